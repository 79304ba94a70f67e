/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: a negative code, and a caller-owned record that says what to do.
 *
 * A function that can fail returns 0 or one of the codes below (or NULL) and fills the
 * `lithops_error` that it was given as its last argument; NULL is allowed there. The record is
 * plain memory: nothing to free, copy it as you like. It is never written on success.
 * One thread at a time. */
#ifndef LITHOPS_ERROR_H
#define LITHOPS_ERROR_H

#include <lithops/base.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* name, value, word used in messages and logs */
#define LITHOPS_ERROR_CODES(X)                                                                     \
    X(LITHOPS_OK, 0, "ok")                                                                         \
    X(LITHOPS_EUSAGE, -1, "usage")              /* a wrong argument; the caller's bug */           \
    X(LITHOPS_ECONFIG, -2, "configuration")     /* a wrong key, type or value; file and line */    \
    X(LITHOPS_ENOTFOUND, -3, "not found")       /* function, library, file, bucket, key */         \
    X(LITHOPS_EEXIST, -4, "exists")             /* it is there already */                          \
    X(LITHOPS_EDENIED, -5, "permission denied") /* known, but not allowed */                       \
    X(LITHOPS_EIO, -6, "input/output")          /* reading or writing failed */                    \
    X(LITHOPS_ENOSPACE, -7, "no space left")    /* disk, shared memory or descriptors used up */   \
    X(LITHOPS_ENOMEM, -8, "out of memory")      /* in the client; a call's is LITHOPS_EMEMORY */   \
    X(LITHOPS_ETIMEDOUT, -9, "timed out")       /* the wait ended; the calls go on */              \
    X(LITHOPS_ECANCELED, -10, "canceled")       /* the call was cancelled */                       \
    X(LITHOPS_ECALL, -11, "call failed")        /* the user's function returned an error */        \
    X(LITHOPS_EARG, -12, "argument")            /* the function cannot bind its input */           \
    X(LITHOPS_ECRASH, -13, "crash")             /* the call ended its worker process */            \
    X(LITHOPS_ETIMEOUT, -14, "TimeoutError")    /* the call ran longer than its timeout */         \
    X(LITHOPS_EMEMORY, -15, "MemoryError")      /* the call used more than runtime_memory */       \
    X(LITHOPS_EBACKEND, -16, "backend")         /* the backend cannot be reached or refuses */     \
    X(LITHOPS_ETHROTTLED, -17, "throttled")     /* the service asks to slow down */                \
    X(LITHOPS_EUNSUPPORTED, -18, "unsupported") /* not built in, or not offered by the backend */  \
    X(LITHOPS_EFORKED, -19, "forked")           /* the handle belongs to the parent process */     \
    X(LITHOPS_ECLOSED, -20, "closed")           /* the executor was closed */                      \
    X(LITHOPS_ETYPE, -21, "type")               /* a value has another type than asked for */      \
    X(LITHOPS_EPARSE, -22, "syntax")            /* text or bytes that cannot be decoded */

typedef enum lithops_code {
#define LITHOPS_ERROR_ENUM(name, value, word) name = value,
    LITHOPS_ERROR_CODES(LITHOPS_ERROR_ENUM)
#undef LITHOPS_ERROR_ENUM
} lithops_code;

typedef struct lithops_error {
    int code;             /* a lithops_code */
    int os_errno;         /* errno behind it, or 0 */
    int http_status;      /* status behind it, or 0 */
    int signal;           /* signal that ended the worker process, or 0 */
    bool retryable;       /* the same request may succeed later */
    char origin[48];      /* "storage/localhost", "call A000-00003", ...; may be empty */
    char message[640];    /* one line, says what to do; UTF-8, no final newline */
    char traceback[1280]; /* where it happened in the worker; may be empty */
} lithops_error;

#define LITHOPS_ERROR_INIT                                                                         \
    {                                                                                              \
        0, 0, 0, 0, false, "", "", ""                                                              \
    }

/** The word for a code ("not found"). Never NULL. Thread-safe. */
LITHOPS_PUBLIC const char *lithops_error_word(int code);

/** Print `lithops: <message>` and, if there is one, the traceback, to `out`.
 * @return an exit status for main(): 1 a call failed or something went wrong while running, 2 usage
 *         or configuration (also what is not found, exists already, is denied, not supported or
 *         cannot be decoded), 3 backend unreachable, 124 timed out */
LITHOPS_PUBLIC int lithops_error_print(const lithops_error *err, FILE *out);

#ifdef __cplusplus
}
#endif
#endif
