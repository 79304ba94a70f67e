/* SPDX-License-Identifier: Apache-2.0 */
/* What the fault tests share.
 *
 * A case is a program of its own: it runs in a forked process with a time limit, opens its own
 * executors and ends by returning. What it leaves behind is counted: a process that outlives its
 * case, be it a worker or something that a function has started, fails the case. */
#ifndef LITHOPS_TESTS_FAULT_H
#define LITHOPS_TESTS_FAULT_H

#include <lithops/lithops.h>

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h>

#ifndef __has_feature /* gcc, which has macros instead */
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define FAULT_TSAN 1
#else
#define FAULT_TSAN 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer) || FAULT_TSAN
#define FAULT_SANITIZED 1
#else
#define FAULT_SANITIZED 0
#endif

enum {
    FAULT_SLOWER = FAULT_SANITIZED ? 10 : 1, /* times are multiplied with it */
    /* Only what hangs should meet these two, on a machine under load too. */
    FAULT_CASE_S = FAULT_SANITIZED ? 200 : 100,
    FAULT_WAIT_MS = FAULT_SANITIZED ? 100000 : 50000,
};

/* Define a cmocka test whose body runs as a case. */
#define FAULT_CASE(name)                                                                           \
    static void case_##name(void);                                                                 \
    static void name(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        fault_run(#name, case_##name);                                                             \
    }                                                                                              \
    static void case_##name(void)

void fault_run(const char *name, void (*body)(void));

/* In a case: end it as failed. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fault_fail(__FILE__, __LINE__, #condition);                                            \
    } while (0)
#define CHECK_INT(actual, expected)                                                                \
    fault_check_int(__FILE__, __LINE__, #actual, (long long)(actual), (long long)(expected))
void fault_fail(const char *file, int line, const char *text) __attribute__((noreturn));
void fault_check_int(const char *file, int line, const char *text, long long actual,
                     long long expected);
/* In a case: it cannot be tried here; counted as skipped. */
void fault_skip(const char *reason) __attribute__((noreturn));

/* An executor that reads no configuration file; `settings` of the localhost section, consumed, may
 * be NULL. Fails the case when it cannot be opened. */
lithops_executor *fault_open(int workers, lithops_value *settings);
lithops_executor *fault_try_open(int workers, lithops_value *settings, lithops_error *err);

/* Wait for one call; its code, and its error in *ret_err. Drops the future. */
int fault_outcome(lithops_future *future, lithops_error *ret_err);
/* Start one call and wait for it. */
int fault_call(lithops_executor *fexec, const lithops_function *function, lithops_value *input,
               lithops_error *ret_err);
/* The same, with a timeout of the call and a memory limit; LITHOPS_DEFAULT: none. */
int fault_call_limited(lithops_executor *fexec, const lithops_function *function,
                       lithops_value *input, int64_t timeout_ms, int64_t memory_mb,
                       lithops_error *ret_err);
/* A map of `count` calls of fault_square gives the right results. */
void fault_check_works(lithops_executor *fexec, int count);

extern lithops_function fault_square[1]; /* int -> its square */
extern lithops_function fault_nap[1];    /* milliseconds -> the worker's process id */

double fault_now(void); /* seconds */
/* Child processes of this process, its own and those of its threads. @return how many */
size_t fault_children(pid_t *pids, size_t most);
/* Wait until process `pid` is gone (not even a zombie). False: it is still there. */
bool fault_is_gone(pid_t pid, int timeout_ms);
size_t fault_open_descriptors(void);

#endif
