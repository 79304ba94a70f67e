/* SPDX-License-Identifier: Apache-2.0 */
/* Error records: codes, words, and the functions that fill them.
 *
 * A message is one line of valid UTF-8, whatever the names in it are: it goes into logs, terminals,
 * JSON and Python strings. This file stands alone, since modules carry their own copy of it. */
#include "base/error.h"

#include "base/utf8.h"

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

void lithops__one_line(char *text, size_t limit)
{
    size_t len = strlen(text);
    if (len > limit) {
        len = limit;
        for (int i = 0; i < 3 && len > 0 && (text[len] & 0xC0) == 0x80; i++)
            len--; /* not between the bytes of a character */
        text[len] = '\0';
    }
    unsigned char *p = (unsigned char *)text, *end = p + len;
    while (p < end) {
        size_t width = *p < 0x80 ? 1 : lithops__utf8_length(p, (size_t)(end - p));
        if (width == 0)
            *p = '?';
        else if (*p < 0x20 || *p == 0x7F || (*p == 0xC2 && p[1] < 0xA0))
            memset(p, ' ', width); /* C0, DEL, C1 */
        p += width ? width : 1;
    }
    while (len > 0 && text[len - 1] == ' ')
        text[--len] = '\0';
}

/* `text` may be longer than a message can be. */
static void set_message(lithops_error *err, char *text)
{
    lithops__one_line(text, sizeof err->message - 1);
    memcpy(err->message, text, strlen(text) + 1);
}

int lithops__vfail(lithops_error *err, int code, const char *format, va_list args)
{
    if (err) {
        lithops_error filled = LITHOPS_ERROR_INIT;
        char text[sizeof filled.message + 1];
        /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): in files that are built twice */
        int len = vsnprintf(text, sizeof text, format, args);
        if (len < 0)
            snprintf(text, sizeof text, "%s", lithops_error_word(code));
        filled.code = code;
        set_message(&filled, text);
        *err = filled;
    }
    return code;
}

int(lithops__fail)(lithops_error *err, int code, const char *format, ...)
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

static bool may_pass(int os_errno)
{
    switch (os_errno) {
    case EAGAIN:
    case EINTR:
    case ETIMEDOUT:
    case ECONNREFUSED:
    case ECONNRESET:
    case ECONNABORTED:
    case ENETDOWN:
    case ENETRESET:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
        return true;
    default:
        return false;
    }
}

int(lithops__fail_errno)(lithops_error *err, int os_errno, const char *format, ...)
{
    int code = code_of_errno(os_errno);
    if (!err)
        return code;
    va_list args;
    va_start(args, format);
    lithops__vfail(err, code, format, args);
    va_end(args);
    err->os_errno = os_errno;
    err->retryable = may_pass(os_errno);
    char buf[128];
    const char *reason = strerror_r(os_errno, buf, sizeof buf);
    size_t reason_len = strnlen(reason, sizeof buf);
    lithops__one_line(err->message, sizeof err->message - sizeof ": " - reason_len);
    char text[sizeof err->message + sizeof buf];
    snprintf(text, sizeof text, "%s: %.*s", err->message, (int)reason_len, reason);
    set_message(err, text); /* strerror() speaks the language and charset of the locale */
    return code;
}

void lithops__error_prefix(lithops_error *err, const char *format, ...)
{
    if (!err)
        return;
    char prefix[sizeof err->message], whole[2 * sizeof err->message + 2];
    va_list args;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): in files that are built twice */
    int len = vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    snprintf(whole, sizeof whole, "%s: %s", len < 0 ? "" : prefix, err->message);
    set_message(err, whole);
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
    case LITHOPS_EUSAGE:
    case LITHOPS_ECONFIG:
    case LITHOPS_ENOTFOUND:
    case LITHOPS_EEXIST:
    case LITHOPS_EDENIED:
    case LITHOPS_EUNSUPPORTED:
    case LITHOPS_ETYPE:
    case LITHOPS_EPARSE:
        return 2;
    default:
        return 1;
    }
}
