/* SPDX-License-Identifier: Apache-2.0 */
/* Error records: codes, words, and the functions that fill them. */
#include "base/error.h"

#include <errno.h>
#include <string.h>

const char *lithops_error_word(int code)
{
    switch (code) {
#define LITHOPS_ERROR_WORD(name, value, word)                                                      \
    case value:                                                                                    \
        return word;
        LITHOPS_ERROR_CODES(LITHOPS_ERROR_WORD)
    default:
        return "unknown error";
    }
}

int lithops__vfail(lithops_error *err, int code, const char *format, va_list args)
{
    if (err) {
        lithops_error filled = LITHOPS_ERROR_INIT;
        filled.code = code;
        vsnprintf(filled.message, sizeof filled.message, format, args);
        *err = filled;
    }
    return code;
}

int lithops__fail(lithops_error *err, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    lithops__vfail(err, code, format, args);
    va_end(args);
    return code;
}

static int code_of_errno(int os_errno)
{
    switch (os_errno) {
    case ENOENT:
    case ENOTDIR:
        return LITHOPS_ENOTFOUND;
    case EEXIST:
        return LITHOPS_EEXIST;
    case EACCES:
    case EPERM:
    case EROFS:
        return LITHOPS_EDENIED;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
        return LITHOPS_ENOSPACE;
    case ENOMEM:
        return LITHOPS_ENOMEM;
    default:
        return LITHOPS_EIO;
    }
}

int lithops__fail_errno(lithops_error *err, int os_errno, const char *format, ...)
{
    int code = code_of_errno(os_errno);
    if (!err)
        return code;
    va_list args;
    va_start(args, format);
    lithops__vfail(err, code, format, args);
    va_end(args);
    err->os_errno = os_errno;
    size_t used = strlen(err->message);
    char text[128];
    snprintf(err->message + used, sizeof err->message - used, ": %s",
             strerror_r(os_errno, text, sizeof text));
    return code;
}

void lithops__error_prefix(lithops_error *err, const char *format, ...)
{
    if (!err)
        return;
    char prefix[sizeof err->message], whole[2 * sizeof err->message + 2];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    snprintf(whole, sizeof whole, "%s: %s", prefix, err->message);
    memcpy(err->message, whole, sizeof err->message - 1);
    err->message[sizeof err->message - 1] = '\0';
}

int lithops_error_print(const lithops_error *err, FILE *out)
{
    if (!err || err->code == LITHOPS_OK)
        return 0;
    fprintf(out, "lithops: %s%s%s\n", err->origin, err->origin[0] ? ": " : "", err->message);
    if (err->traceback[0])
        fprintf(out, "%s%s", err->traceback,
                err->traceback[strlen(err->traceback) - 1] == '\n' ? "" : "\n");
    switch (err->code) {
    case LITHOPS_EBACKEND:
    case LITHOPS_ETHROTTLED:
        return 3;
    case LITHOPS_ETIMEDOUT:
        return 124;
    case LITHOPS_ECALL:
    case LITHOPS_EARG:
    case LITHOPS_ECRASH:
    case LITHOPS_ETIMEOUT:
    case LITHOPS_EMEMORY:
    case LITHOPS_ECANCELED:
        return 1;
    default:
        return 2;
    }
}
