/* SPDX-License-Identifier: Apache-2.0 */
/* The program's registry of functions.
 *
 * LITHOPS_FUNCTION fills it from constructors: before main() for the program and what it links,
 * inside dlopen(3) for other libraries, and a destructor takes an entry out when its library is
 * unloaded. So the list is linked through the functions themselves and nothing is allocated.
 *
 * Invariants: names in the list are unique, the first one registered stays; everything is under
 * `lock`, under which nothing else is called: dlopen() calls in here while it holds the loader's
 * lock, so calling the loader under our lock could deadlock. */
#include "function/registry.h"

#include "base/error.h"
#include "base/log.h"
#include "base/near.h"

#include <pthread.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static lithops_function *first; /* under lock */

/* `next` is const for readers only: every function in the list was registered as writable. */
static lithops_function *next_of(const lithops_function *function)
{
    return (lithops_function *)(uintptr_t)function->next;
}

static lithops_function *find_locked(const char *name)
{
    lithops_function *function = first;
    while (function && strcmp(function->name, name) != 0)
        function = next_of(function);
    return function;
}

void lithops_function_register(lithops_function *function)
{
    if (!function)
        return;
    /* A name that another library uses for something else may be resolved to that. */
    if (function->magic != LITHOPS_FUNCTION_MAGIC) {
        lithops__log(LITHOPS_LOG_WARNING, "function",
                     "ignored a registration that LITHOPS_FUNCTION did not make; rename any "
                     "function of the program that has the name of a C library function");
        return;
    }
    pthread_mutex_lock(&lock);
    bool taken = find_locked(function->name) != NULL;
    if (!taken) {
        function->next = first;
        first = function;
    }
    pthread_mutex_unlock(&lock);
    if (taken)
        lithops__log(LITHOPS_LOG_WARNING, "function",
                     "function '%s' is defined more than once in this program; the first one is "
                     "used (name the other one as \"library.so:%s\")",
                     function->name, function->name);
}

void lithops_function_unregister(lithops_function *function)
{
    pthread_mutex_lock(&lock);
    if (first == function && function) {
        first = next_of(function);
    } else {
        lithops_function *before = first;
        while (before && next_of(before) != function)
            before = next_of(before);
        if (before && function)
            before->next = function->next;
    }
    pthread_mutex_unlock(&lock);
}

const lithops_function *lithops__function_find(const char *name)
{
    pthread_mutex_lock(&lock);
    const lithops_function *function = find_locked(name);
    pthread_mutex_unlock(&lock);
    return function;
}

const char *lithops__function_near_text(const char *name, char *buf, size_t size)
{
    struct lithops__near near;
    lithops__near_init(&near, name, LITHOPS__NEAR_MAX);
    pthread_mutex_lock(&lock);
    for (const lithops_function *function = first; function; function = function->next)
        lithops__near_offer(&near, function->name);
    lithops__near_text(&near, buf, size); /* the names may be freed once the lock is released */
    pthread_mutex_unlock(&lock);
    return buf;
}

int lithops__function_check(const lithops_function *function, lithops_error *err)
{
    if (!function)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "the function is NULL; did lithops_function_open() fail?");
    if (function->magic != LITHOPS_FUNCTION_MAGIC)
        return lithops__fail(
            err, LITHOPS_EUSAGE,
            "this is not a lithops_function, or it was freed; declare functions with "
            "LITHOPS_FUNCTION(name) or name them with lithops_function_open()");
    return 0;
}
