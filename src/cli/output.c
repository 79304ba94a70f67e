/* SPDX-License-Identifier: Apache-2.0 */
/* Results out.
 *
 * Lines are collected and written with write(2), not stdio: a reader that goes away (`| head`) then
 * causes an error code, on which to exit quietly, and an interrupting signal loses nothing. The
 * buffer is written when it is large and before every wait, so results appear as they come. A
 * result file is complete or absent: it is written under another name and renamed. */
#include "cli/output.h"

#include "base/error.h"
#include "value/value.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FLUSH_BYTES = 1 << 16 };

int cli_output_init(struct cli_output *out, bool json, bool raw, const char *folder,
                    lithops_error *err)
{
    *out = (struct cli_output){.fd = STDOUT_FILENO,
                               .folder = -1,
                               .raw = raw,
                               .json = json,
                               .is_terminal = isatty(STDOUT_FILENO),
                               .buffer = LITHOPS__BUFFER_INIT};
    if (!folder)
        return 0;
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return lithops__fail_errno(err, errno, "--out: the folder '%s' cannot be created", folder);
    out->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (out->folder < 0)
        return lithops__fail_errno(err, errno, "--out: the folder '%s' cannot be opened", folder);
    return 0;
}

void cli_output_deinit(struct cli_output *out)
{
    if (out->folder >= 0)
        close(out->folder);
    lithops__buffer_deinit(&out->buffer);
}

/* ---- writing --------------------------------------------------------------------------------- */

static int write_all(int fd, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        ssize_t put = write(fd, at, len);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return errno;
        at += put;
        len -= (size_t)put;
    }
    return 0;
}

static int hand_over(struct cli_output *out, const void *data, size_t len, lithops_error *err)
{
    int os_errno = out->closed ? EPIPE : write_all(out->fd, data, len);
    if (os_errno == EPIPE) {
        out->closed = true;
        return lithops__fail(err, LITHOPS_ECLOSED, "standard output was closed by its reader");
    }
    return os_errno ? lithops__fail_errno(err, os_errno, "results cannot be written") : 0;
}

int cli_output_flush(struct cli_output *out, lithops_error *err)
{
    if (out->buffer.failed)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for results");
    size_t len = out->buffer.len;
    out->buffer.len = 0;
    return hand_over(out, out->buffer.data, len, err);
}

static int flush_if_large(struct cli_output *out, lithops_error *err)
{
    return out->buffer.len >= FLUSH_BYTES || out->buffer.failed ? cli_output_flush(out, err) : 0;
}

/* Append a result in its output form: JSON, or with --raw its text or bytes. */
static int append_value(struct cli_output *out, const lithops_value *value, bool raw,
                        lithops_error *err)
{
    lithops_type type = lithops_value_type(value);
    if (type == LITHOPS_INT) { /* the most frequent one, without an allocation */
        char digits[24];
        int len = snprintf(digits, sizeof digits, "%" PRId64, lithops_value_get_int(value));
        lithops__buffer_append(&out->buffer, digits, (size_t)len);
        return 0;
    }
    if (raw && (type == LITHOPS_STRING || type == LITHOPS_BYTES)) {
        lithops_bytes bytes = lithops_value_get_bytes(value);
        lithops__buffer_append(&out->buffer, bytes.ptr, bytes.len);
        return 0;
    }
    char *text;
    int rc = lithops__json_write(
        value, out->strict_json ? LITHOPS__JSON_NULLS : LITHOPS__JSON_NAMES, &text, err);
    if (rc != 0)
        return rc;
    lithops__buffer_append_string(&out->buffer, text);
    free(text);
    return 0;
}

static int write_named(struct cli_output *out, const char *name, lithops_bytes bytes,
                       lithops_error *err)
{
    char part[72];
    snprintf(part, sizeof part, "%s.part", name);
    int os_errno = 0;
    int fd = openat(out->folder, part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        os_errno = errno;
    else
        os_errno = write_all(fd, bytes.ptr, bytes.len);
    if (fd >= 0 && close(fd) != 0 && os_errno == 0)
        os_errno = errno;
    if (os_errno == 0 && renameat(out->folder, part, out->folder, name) != 0)
        os_errno = errno;
    if (os_errno && fd >= 0)
        unlinkat(out->folder, part, 0);
    return os_errno ? lithops__fail_errno(err, os_errno, "--out: '%s' cannot be written", name) : 0;
}

static int write_file(struct cli_output *out, int64_t call, const lithops_value *result,
                      lithops_error *err)
{
    lithops_type type = lithops_value_type(result);
    char name[64];
    snprintf(name, sizeof name, "%05" PRId64 ".%s", call,
             type == LITHOPS_BYTES    ? "bin"
             : type == LITHOPS_STRING ? "txt"
                                      : "json");
    out->buffer.len = 0;
    int rc = append_value(out, result, true, err);
    if (rc != 0)
        return rc;
    if (type != LITHOPS_BYTES && type != LITHOPS_STRING)
        lithops__buffer_append_string(&out->buffer, "\n");
    rc = write_named(out, name, (lithops_bytes){out->buffer.data, out->buffer.len}, err);
    out->buffer.len = 0;
    return rc;
}

int cli_output_bytes(struct cli_output *out, int64_t number, lithops_bytes bytes,
                     lithops_error *err)
{
    if (out->folder >= 0) {
        char name[64];
        snprintf(name, sizeof name, "%05" PRId64 ".out", number);
        return write_named(out, name, bytes, err);
    }
    if (bytes.len < FLUSH_BYTES) {
        lithops__buffer_append(&out->buffer, bytes.ptr, bytes.len);
        return flush_if_large(out, err);
    }
    int rc = cli_output_flush(out, err);
    return rc == 0 ? hand_over(out, bytes.ptr, bytes.len, err) : rc;
}

int cli_output_result(struct cli_output *out, int64_t call, const lithops_value *result,
                      lithops_error *err)
{
    if (out->folder >= 0)
        return write_file(out, call, result, err);
    size_t before = out->buffer.len;
    int rc = append_value(out, result, out->raw, err);
    if (rc != 0) {
        out->buffer.len = before;
        return rc;
    }
    if (!out->raw || lithops_value_type(result) != LITHOPS_BYTES)
        lithops__buffer_append_string(&out->buffer, "\n");
    return flush_if_large(out, err);
}

int cli_output_line(struct cli_output *out, const lithops_value *value, lithops_error *err)
{
    int rc = append_value(out, value, false, err);
    if (rc != 0)
        return rc;
    lithops__buffer_append_string(&out->buffer, "\n");
    return flush_if_large(out, err);
}

/* ---- errors ---------------------------------------------------------------------------------- */

static void set_text(lithops_value *map, const char *key, const char *text)
{
    if (text[0])
        lithops_value_set(map, key, lithops_value_string(text));
}

static void set_number(lithops_value *map, const char *key, int number)
{
    if (number)
        lithops_value_set(map, key, lithops_value_int(number));
}

lithops_value *cli_error_value(const lithops_error *failure, int64_t call)
{
    lithops_value *error = lithops_value_map();
    if (call >= 0)
        lithops_value_set(error, "call", lithops_value_int(call));
    set_text(error, "code", lithops_error_word(failure->code));
    set_text(error, "message", failure->message);
    set_text(error, "origin", failure->origin);
    set_text(error, "traceback", failure->traceback);
    set_number(error, "signal", failure->signal);
    set_number(error, "errno", failure->os_errno);
    set_number(error, "http_status", failure->http_status);
    lithops_value *line = lithops_value_map();
    lithops_value_set(line, "error", error);
    return line;
}

int cli_output_failure(struct cli_output *out, int64_t call, const lithops_error *failure,
                       lithops_error *err)
{
    bool colour = cli_wants_colour(STDERR_FILENO);
    const char *traceback = failure->traceback;
    size_t len = strlen(traceback);
    fprintf(stderr, "%slithops: call %05" PRId64 ": %s: %s%s\n%s%s", colour ? "\033[31m" : "", call,
            lithops_error_word(failure->code), failure->message, colour ? "\033[0m" : "", traceback,
            len > 0 && traceback[len - 1] != '\n' ? "\n" : "");
    if (!out->json || out->folder >= 0)
        return 0;
    lithops_value *line = cli_error_value(failure, call);
    int rc = cli_output_line(out, line, err);
    lithops_value_free(line);
    return rc;
}

bool cli_wants_colour(int fd)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fd) && (!no_color || !*no_color) && term && strcmp(term, "dumb") != 0;
}

int cli_report(const lithops_error *err)
{
    bool colour = cli_wants_colour(STDERR_FILENO);
    if (colour)
        fputs("\033[31m", stderr);
    int status = lithops_error_print(err, stderr);
    if (colour)
        fputs("\033[0m", stderr);
    return status;
}

void cli_say_part(void *user, const char *name, bool is_there, const char *text)
{
    (void)user;
    if (is_there) {
        printf("%s: %s\n", name, text);
        return;
    }
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops__fail(&err, LITHOPS_EBACKEND, "%s", text);
    cli_report(&err);
}
