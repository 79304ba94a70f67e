/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the tests of the public API, which use the installed headers only.
 *
 * Every wait has a time limit, so that a call that never ends fails one test and not the whole
 * run. */
#ifndef LITHOPS_TESTS_API_H
#define LITHOPS_TESTS_API_H

#include <lithops/lithops.h>

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h>

enum { LIMIT_MS = 100000 };

extern lithops_executor *fexec; /* of the test group, two worker processes */
extern lithops_error err;       /* error of the last call */
extern char folder[64];         /* for files of this test program; removed when it ends */

/* For the first line of main(): run as a worker, or make the folder. */
void api_init(int *argc, char ***argv);
/* For the last line: remove the folder. Processes or descriptors left behind fail the run. */
int api_finish(int failed);

/* Group fixtures: open and close `fexec`. */
int api_open_group(void **state);
int api_close_group(void **state);

/* For lithops_executor_options: the backend under test; NULL: the default. */
const char *api_backend(void);
/* The configuration under test: what tests/servers/configured has made, or storage in `folder`, and
 * the transport. `limits` is JSON for more keys of the section lithops. For lithops_value_free().
 */
lithops_value *api_config(const char *limits);
/* An executor of it; `settings` is JSON for the section of the backend. */
lithops_executor *api_open(const char *settings);
lithops_executor *api_open_limited(const char *limits, const char *settings);

/* The same, with the time limit of every test. */
extern const lithops_wait_options within_limit;

lithops_value *api_json(const char *text);
char *api_to_json(const lithops_value *value); /* for free() */

/* Wait for the result and compare it with JSON text; drops the future. */
#define result_is(future, json) api_result_is(future, json, __FILE__, __LINE__)
void api_result_is(lithops_future *future, const char *json, const char *file, int line);
/* Wait for the failure; drops the future. `text` is part of the message. */
#define call_fails(future, code, text) api_call_fails(future, code, text, __FILE__, __LINE__)
void api_call_fails(lithops_future *future, int code, const char *text, const char *file, int line);
/* Wait for all results of a sequence; drops it. */
#define results_are(futures, json) api_results_are(futures, json, __FILE__, __LINE__)
void api_results_are(lithops_futures *futures, const char *json, const char *file, int line);

#define succeeds(expr) api_succeeds(expr, #expr, __FILE__, __LINE__)
void api_succeeds(int rc, const char *what, const char *file, int line);
/* `expr` returns `code`, and `err` has the same code and a message with `text`. */
#define fails(expr, err_code, text)                                                                \
    do {                                                                                           \
        memset(&err, 0, sizeof err);                                                               \
        api_fails(expr, err_code, text, #expr, __FILE__, __LINE__);                                \
    } while (0)
void api_fails(int rc, int code, const char *text, const char *what, const char *file, int line);
/* `expr` returns NULL and fills `err`. */
#define is_refused(expr, err_code, text)                                                           \
    do {                                                                                           \
        memset(&err, 0, sizeof err);                                                               \
        if ((expr) != NULL)                                                                        \
            _fail(__FILE__, __LINE__);                                                             \
        api_fails(err.code, err_code, text, #expr, __FILE__, __LINE__);                            \
    } while (0)

/* A pointer that must not be NULL; else `err` is printed. */
#define not_null(expr) api_not_null(expr, #expr, __FILE__, __LINE__)
void *api_not_null(void *pointer, const char *what, const char *file, int line);

/* Write `folder`/name. @return its path, valid for the next four calls */
const char *api_write_file(const char *name, const void *data, size_t len);
double api_now(void);     /* seconds */
int api_times(int count); /* fewer under a sanitizer, which makes everything slow */
size_t api_open_descriptors(void);
size_t api_children(void);
bool api_child(pid_t *ret_pid);          /* a child process; false: there is none */
size_t api_mapped_kb(const char *field); /* of /proc/self/status */

#endif
