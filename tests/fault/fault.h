/* SPDX-License-Identifier: Apache-2.0 */
/* What the fault tests share.
 *
 * A case runs in a forked process with a time limit, opens its own executors and ends by returning.
 * A process that outlives its case, be it a worker or something that a function started, fails the
 * case. */
#ifndef LITHOPS_TESTS_FAULT_H
#define LITHOPS_TESTS_FAULT_H

#include "../sanitizers.h"

#include <lithops/lithops.h>

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h>

enum {
    FAULT_SLOWER = UNDER_SANITIZER ? 10 : 1, /* factor for times */
    /* Only hanging code should reach these two, even on a loaded machine. */
    FAULT_CASE_S = UNDER_SANITIZER ? 200 : 100,
    FAULT_WAIT_MS = UNDER_SANITIZER ? 100000 : 50000,
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
/* In a case: end it as skipped, as it cannot run here. */
void fault_skip(const char *reason) __attribute__((noreturn));

/* An executor that reads no configuration file; `settings` of the localhost section, consumed, may
 * be NULL. Fails the case when it cannot be opened. */
lithops_executor *fault_open(int workers, lithops_value *settings);
/* The same on a backend whose workers are reached over links; `settings` of its section, consumed.
 */
lithops_executor *fault_open_links(const char *backend, int call_retries, lithops_value *settings);
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

/* Wait until each call is done, however it ends. */
void fault_await_all(lithops_futures *futures);
/* The results of `count` calls of fault_square, or of a function like it, are right, but for calls
 * that ended with the code `allowed`; 0: none. @return how many did */
size_t fault_check_squares(lithops_futures *futures, size_t count, int allowed);
/* Each of some million tiny calls has one outcome, a right result or an error that says what was
 * lost, while kill_one() kills something at random. Maps of `calls` calls go on until there were
 * `usual` kills and 1000 calls for each; FAULT_KILLS sets another number: 1000 takes some minutes.
 */
void fault_many_kills(lithops_executor *fexec, size_t calls, int usual,
                      bool (*kill_one)(unsigned *seed));

/* Run `command ARGUMENTS` with a configuration file of this text, made in `folder`, and read what
 * it prints, errors too. @return its exit status */
int fault_command(const char *command, const char *folder, const char *yaml, const char *arguments,
                  char *buf, size_t size);
/* The same where a job of `calls` calls that this process has started runs `running` of them or
 * more: the other terminal of `lithops job stop`. Its calls are cancelled, those that run too. */
void fault_stops_job(const char *command, const char *folder, const char *yaml,
                     lithops_executor *fexec, int calls, int running);
/* The same from another machine, where this process is not seen: what hosts have of it is stopped,
 * and this process hears of that. Needs root. */
void fault_stops_job_elsewhere(const char *command, const char *folder, const char *yaml,
                               lithops_executor *fexec, int calls, int running);

extern lithops_function fault_square[1]; /* int -> its square */
extern lithops_function fault_nap[1];    /* milliseconds -> the worker's process id */

extern lithops_function fault_sum[1]; /* reducer of ints */

double fault_now(void); /* seconds */
/* Child processes of this process, over all its threads: up to `most`; all are counted where `pids`
 * is NULL. @return how many */
size_t fault_children(pid_t *pids, size_t most);
size_t fault_children_of(pid_t pid, pid_t *pids, size_t most); /* of another process */
pid_t fault_pid_in(const char *folder, const char *name);      /* in the file NAME.pid */
/* Wait until process `pid` is gone (not even a zombie). False: it still exists. */
bool fault_is_gone(pid_t pid, int timeout_ms);
size_t fault_open_descriptors(void);

#endif
