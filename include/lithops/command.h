/* SPDX-License-Identifier: Apache-2.0 */
/* Commands: any program as a function.
 *
 *     const char *argv[] = {"gzip", "-c", "{}", NULL};
 *     lithops_function *gzip = lithops_function_command(argv, NULL, &err);
 *     lithops_futures *futures = lithops_map(fexec, gzip, lithops_strings(files), NULL, &err);
 *
 * Each call runs the program once, in a process of its own that the worker process starts. Its
 * standard output is the result (bytes); what it writes to standard error is the output of the call
 * (lithops_future_logs()). Standard input is empty. What the program leaves running when it ends is
 * ended too, but for what has made a session of its own.
 *
 * A program that ends with another status than 0, or by a signal, fails its call with
 * LITHOPS_ECALL; lithops_futures_command_end() says how it ended. One that is not there where the
 * worker runs fails it with LITHOPS_ENOTFOUND, one that may not be executed with LITHOPS_EDENIED.
 */
#ifndef LITHOPS_COMMAND_H
#define LITHOPS_COMMAND_H

#include <lithops/function.h>
#include <lithops/future.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lithops_command_options {
    size_t size;
    const char *folder; /* to run in; NULL: that of the worker process */
    bool shell;         /* the words, joined by blanks, are a command line for /bin/sh; inputs are
                           quoted in it */
    bool pipe;          /* the input is the program's standard input, and no argument */
    bool numbered;      /* an input is a list, and its first item the number that {#} stands for */
} lithops_command_options;
#define LITHOPS_COMMAND_OPTIONS_INIT                                                               \
    {                                                                                              \
        sizeof(lithops_command_options), NULL, false, false, false                                 \
    }

/** A function that runs a program.
 *
 * The program is found where the worker runs: by its path, or in the PATH there, after files that
 * the job includes (include_modules). In its words, as in GNU parallel, `{}` stands for the input,
 * `{.}` for it without its extension, `{/}` without its folder, `{//}` for its folder, `{/.}` for
 * it without folder and extension, and `{#}` for the number of the call in its job, from 1. `{2}`,
 * `{2.}` and so on stand for the same of the second item of an input that is a list.
 *
 * Where no word has any of these, `{}` is appended. Of a list, a word that is `{}` becomes one word
 * for each item; within a word they are joined by blanks. Inputs are strings, bytes without a NUL,
 * numbers, lists of these, or null: no input.
 *
 * @param argv  NULL-terminated; copied
 * @return for lithops_function_free(); NULL with LITHOPS_EUSAGE (no words), LITHOPS_ENOMEM */
LITHOPS_PUBLIC lithops_function *lithops_function_command(const char *const *argv,
                                                          const lithops_command_options *options,
                                                          lithops_error *err);

/** How the program of a call has ended. */
typedef struct lithops_command_end {
    int status;        /* its exit status; 127 not found, 126 not executable; -1: a signal */
    int signal;        /* that ended it, or 0 */
    lithops_bytes out; /* what it wrote to standard output */
    lithops_bytes err; /* of a failed call: the end of what it wrote to standard error, or why it
                          could not begin */
} lithops_command_end;

/** How the call at `index`, of a function made by lithops_function_command(), has ended. Does not
 * wait. The bytes are borrowed from `futures`.
 * @return 0, also when the program has failed; LITHOPS_ETIMEDOUT while it runs; the code of the
 *         call's error, which fills err, when there is no program that has ended (a timeout, a
 *         cancellation, a wrong input) */
LITHOPS_PUBLIC int lithops_futures_command_end(const lithops_futures *futures, size_t index,
                                               lithops_command_end *ret_end, lithops_error *err);

#ifdef __cplusplus
}
#endif
#endif
