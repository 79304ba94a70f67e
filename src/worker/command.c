/* SPDX-License-Identifier: Apache-2.0 */
/* A call of a command: its words out of code and input, then the program.
 *
 * Standard error is the worker's log, as of any call. Where the program fails, its end is read back
 * from there, and goes with the error together with the output. */
#include "worker/command.h"

#include "base/error.h"
#include "function/command.h"
#include "function/image.h"
#include "ipc/region.h"
#include "worker/call.h"
#include "worker/job.h"
#include "worker/process.h"
#include "worker/program.h"
#include "worker/result.h"

#include <lithops/plugin/runtime.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    KEPT_BYTES = 1 << 20,  /* of the buffer for output, between calls */
    FREE_BYTES = 1 << 20,  /* of output, before it is asked whether there is room */
    ERROR_BYTES = 1 << 20, /* of standard error, with a failure */
    NUMBER_TEXT = 32,
};

/* What is used again from call to call. A worker has one thread that runs calls. */
static struct {
    struct lithops__words words;
    struct lithops__buffer out;
    lithops_bytes *inputs;
    char (*numbers)[NUMBER_TEXT]; /* texts of inputs that are numbers */
    size_t capacity;
} kept;

/* ---- inputs ---------------------------------------------------------------------------------- */

static int reserve_inputs(size_t count, lithops_error *err)
{
    if (count <= kept.capacity)
        return 0;
    lithops_bytes *inputs = realloc(kept.inputs, count * sizeof *inputs);
    kept.inputs = inputs ? inputs : kept.inputs;
    void *numbers = inputs ? realloc(kept.numbers, count * sizeof *kept.numbers) : NULL;
    if (!numbers)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for %zu inputs", count);
    kept.numbers = numbers;
    kept.capacity = count;
    return 0;
}

static int take_input(const lithops_value *value, size_t index, lithops_error *err)
{
    char *text = kept.numbers[index];
    int len;
    switch (lithops_value_type(value)) {
    case LITHOPS_STRING:
    case LITHOPS_BYTES:
        kept.inputs[index] = lithops_value_get_bytes(value);
        return 0;
    case LITHOPS_INT:
        len = snprintf(text, NUMBER_TEXT, "%" PRId64, lithops_value_get_int(value));
        break;
    case LITHOPS_DOUBLE:
        len = snprintf(text, NUMBER_TEXT, "%.17g", lithops_value_get_double(value));
        break;
    default:
        return lithops__fail(err, LITHOPS_EARG,
                             "a %s cannot be a word of a command: strings, bytes and numbers can",
                             lithops_type_name(lithops_value_type(value)));
    }
    kept.inputs[index] = (lithops_bytes){text, (size_t)len};
    return 0;
}

/* The input as items, and the number for {#}. */
static int take_inputs(lithops_call *call, bool numbered, size_t *ret_count, int64_t *ret_number,
                       lithops_error *err)
{
    const lithops_value *input = lithops_call_input(call);
    const bool list = lithops_value_type(input) == LITHOPS_LIST;
    size_t skip = 0, count = !input || lithops_value_type(input) == LITHOPS_NULL ? 0
                             : list ? lithops_value_size(input)
                                    : 1;
    *ret_number = lithops_call_id(call) + 1;
    if (!input)
        return call->error.code;
    if (numbered) {
        if (!list || count == 0 || lithops_value_type(lithops_value_at(input, 0)) != LITHOPS_INT)
            return lithops__fail(err, LITHOPS_EARG, "the first item of the input is no number");
        *ret_number = lithops_value_get_int(lithops_value_at(input, 0));
        skip = 1;
    }
    *ret_count = count - skip;
    int rc = reserve_inputs(count + 1, err);
    for (size_t i = skip; rc == 0 && i < count; i++)
        rc = take_input(list ? lithops_value_at(input, i) : input, i - skip, err);
    return rc;
}

/* ---- the program ----------------------------------------------------------------------------- */

static int find_program(lithops_call *call, const char *name, char *buf, size_t size,
                        struct lithops__program_end *ret_end, lithops_error *err)
{
    const char *included = strchr(name, '/') ? NULL : lithops_call_file(call, name);
    int rc = lithops__program_find(included ? included : name, buf, size);
    if (rc == 0)
        return 0;
    ret_end->status = rc == ENOENT ? 127 : 126;
    ret_end->os_errno = rc;
    if (rc != ENOENT)
        return lithops__fail(err, LITHOPS_EDENIED,
                             "'%s' is there, but no program that may be executed (status 126): "
                             "chmod +x?",
                             buf);
    const char *path = getenv("PATH");
    if (strchr(name, '/'))
        return lithops__fail(err, LITHOPS_ENOTFOUND,
                             "there is no program '%s' where the worker runs (status 127)", name);
    return lithops__fail(err, LITHOPS_ENOTFOUND,
                         "there is no program '%s' where the worker runs (status 127), in none of "
                         "the folders of its PATH: %s; is it part of a shell?",
                         name, path ? path : "none");
}

static bool may_hold(void *user, size_t len)
{
    const lithops_call *call = user;
    return len < FREE_BYTES || lithops__region_could_hold(&call->process->region, len);
}

/* The kernel has ended the program for want of memory. This process is replaced then: what ends it
 * later must not be taken for the same. */
static bool was_out_of_memory(struct lithops__worker_process *process, uint64_t kills_before,
                              const struct lithops__program_end *end)
{
    if (end->signal != SIGKILL || lithops__limits_oom_kills(process) <= kills_before)
        return false;
    process->is_spoilt = true;
    return true;
}

static int run_program(lithops_call *call, const struct lithops__command *command,
                       lithops_bytes *input, struct lithops__program_end *ret_end,
                       lithops_error *err)
{
    char file[4096];
    int rc = find_program(call, kept.words.argv[0], file, sizeof file, ret_end, err);
    if (rc != 0)
        return rc;
    const struct lithops__program program = {.argv = kept.words.argv,
                                             .file = file,
                                             .folder = command->folder,
                                             .input = input,
                                             .err_fd = call->process->log_fd,
                                             .may_hold = may_hold,
                                             .user = call};
    const uint64_t kills = lithops__limits_oom_kills(call->process);
    rc = lithops__program_run(&program, &kept.out, ret_end, err);
    if (rc == 0 && was_out_of_memory(call->process, kills, ret_end))
        return lithops__fail(
            err, LITHOPS_EMEMORY, "'%s' used more than its runtime_memory of %llu MB",
            kept.words.argv[0], (unsigned long long)(call->process->memory_bytes >> 20));
    if (rc == LITHOPS_ENOSPACE && err->code == 0)
        lithops__fail(err, rc,
                      "the output of '%s' is more than shared memory can hold (%zu MB so far): let "
                      "it write to a file, or raise %s",
                      kept.words.argv[0], kept.out.len >> 20,
                      call->process->area.control->memory_key);
    return rc;
}

/* ---- failures -------------------------------------------------------------------------------- */

/* The last line of a text, for a message. */
static const char *last_line(const char *text, size_t len, int *ret_len)
{
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' '))
        len--;
    const char *newline = len ? memrchr(text, '\n', len) : NULL;
    const char *begin = newline ? newline + 1 : text;
    size_t line = len - (size_t)(begin - text);
    *ret_len = line > 300 ? 300 : (int)line;
    return begin;
}

static void describe(const struct lithops__program_end *end, const char *text, size_t len,
                     lithops_error *err)
{
    int line_len;
    const char *line = last_line(text, len, &line_len), *program = kept.words.argv[0];
    const char *colon = line_len ? ": " : "";
    if (end->signal)
        lithops__fail(err, LITHOPS_ECALL, "'%s' was ended by signal %d (%s)%s%.*s", program,
                      end->signal, strsignal(end->signal), colon, line_len, line);
    else
        lithops__fail(err, LITHOPS_ECALL, "'%s' ended with exit status %d%s%.*s", program,
                      end->status, colon, line_len, line);
    err->signal = end->signal;
}

/* What the program wrote to standard error; where it has not begun, why. */
static size_t errors_len(const lithops_call *call, const struct lithops__program_end *end,
                         uint64_t log_begin, const lithops_error *err)
{
    if (end->os_errno)
        return strlen(err->message);
    off_t log_end = lseek(call->process->log_fd, 0, SEEK_END);
    uint64_t written = log_end > (off_t)log_begin ? (uint64_t)log_end - log_begin : 0;
    return written > ERROR_BYTES ? ERROR_BYTES : written;
}

/* @return where it is in the buffer; NULL: there is no memory */
static const char *append_errors(const lithops_call *call, const struct lithops__program_end *end,
                                 const lithops_error *err,
                                 const struct lithops__command_failure *failure,
                                 struct lithops__buffer *data)
{
    const size_t len = failure->err_len;
    char *errors = lithops__buffer_reserve(data, len);
    if (!errors)
        return NULL;
    if (end->os_errno) {
        memcpy(errors, err->message, len);
    } else {
        int fd = call->process->log_fd;
        ssize_t got = pread(fd, errors, len, lseek(fd, 0, SEEK_END) - (off_t)len);
        size_t read = got > 0 ? (size_t)got : 0; /* less where somebody has emptied the file */
        memset(errors + read, ' ', len - read);
    }
    data->len += len;
    return errors;
}

/* Fail the call: the error, and how the program has ended. */
static int fail(lithops_call *call, const struct lithops__command *command,
                const struct lithops__program_end *end, uint64_t log_begin, lithops_error *err)
{
    struct lithops__command_failure failure = {.magic = LITHOPS__COMMAND_FAILURE,
                                               .status = end->status,
                                               .signal = end->signal,
                                               .os_errno = end->os_errno,
                                               .flags = command->flags,
                                               .words_len = kept.words.text.len,
                                               .out_len = kept.out.len,
                                               .err_len = errors_len(call, end, log_begin, err)};
    struct lithops__buffer data = LITHOPS__BUFFER_INIT;
    lithops__buffer_append(&data, &failure, sizeof failure);
    lithops__buffer_append(&data, kept.words.text.data, kept.words.text.len);
    lithops__buffer_append(&data, kept.out.data, kept.out.len);
    const char *errors = append_errors(call, end, err, &failure, &data);
    if (err->code == 0)
        describe(end, errors, errors ? failure.err_len : 0, err);
    int rc = lithops_fail_data(call, err, (lithops_bytes){data.data, errors ? data.len : 0});
    lithops__buffer_deinit(&data);
    return rc;
}

/* ---- the call -------------------------------------------------------------------------------- */

static int run_command(lithops_call *call, const struct lithops__command *command)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__program_end end = {.status = 0};
    const bool pipe = command->flags & LITHOPS__COMMAND_PIPE;
    size_t count = 0;
    int64_t number = 0;
    int rc = take_inputs(call, command->flags & LITHOPS__COMMAND_NUMBERED, &count, &number, &err);
    if (rc == 0 && pipe && count != 1)
        rc = lithops__fail(&err, LITHOPS_EARG, "%zu inputs, but standard input is one", count);
    if (rc == 0)
        rc = lithops__command_expand(command, kept.inputs, pipe ? 0 : count, number, &kept.words,
                                     &err);
    if (rc != 0)
        return err.code ? lithops_fail_error(call, &err) : rc;
    const off_t log_begin = lseek(call->process->log_fd, 0, SEEK_END);
    rc = run_program(call, command, pipe ? kept.inputs : NULL, &end, &err);
    lithops_call_wrote(call);
    if (rc != 0 && rc != LITHOPS_EMEMORY && !end.os_errno)
        return lithops_fail_error(call, &err);
    if (rc != 0 || end.status != 0)
        return fail(call, command, &end, (uint64_t)log_begin, &err);
    return lithops_return_bytes(call, kept.out.data ? (void *)kept.out.data : "", kept.out.len);
}

int lithops__command_call(lithops_call *call)
{
    struct lithops__command command;
    lithops_error err = LITHOPS_ERROR_INIT;
    if (lithops__command_read(lithops_call_code(call), &command, &err) != 0)
        return lithops_fail_error(call, &err);
    kept.out.len = 0;
    int rc = run_command(call, &command);
    if (kept.out.capacity > KEPT_BYTES || kept.out.failed)
        lithops__buffer_deinit(&kept.out);
    if (kept.words.text.capacity > KEPT_BYTES || kept.words.text.failed)
        lithops__words_deinit(&kept.words);
    return rc;
}
