/* SPDX-License-Identifier: Apache-2.0 */
/* Commands in the client: a function whose code is an argument vector.
 *
 * It travels as the code of any runtime does, so every backend carries it; what runs it is in every
 * worker, worker/command.c. */
#include "function/command.h"

#include "base/error.h"
#include "base/options_read.h"

#include <lithops/plugin/runtime.h>

#include <stdio.h>
#include <string.h>

static void append_word(struct lithops__buffer *buffer, const char *word)
{
    lithops__buffer_append(buffer, word, strlen(word) + 1);
}

/* For people: the program's name. */
static void name_of(const char *program, bool shell, char *buf, size_t size)
{
    const char *slash = strrchr(program, '/');
    const char *name = slash && slash[1] ? slash + 1 : program;
    size_t len = shell ? strcspn(name, " \t\n") : strlen(name);
    snprintf(buf, size, "%.*s", (int)(len < size ? len : size - 1), len ? name : "sh");
    lithops__one_line(buf, size - 1);
}

lithops_function *lithops_function_command(const char *const *argv,
                                           const lithops_command_options *options,
                                           lithops_error *err)
{
    lithops_command_options own = LITHOPS_COMMAND_OPTIONS_INIT;
    if (lithops__options_read(&own, sizeof own, options, "LITHOPS_COMMAND_OPTIONS_INIT", err) != 0)
        return NULL;
    if (!argv || !argv[0] || !argv[0][0]) {
        lithops__fail(err, LITHOPS_EUSAGE, "a command needs a program: its first word is %s",
                      argv && argv[0] ? "empty" : "missing");
        return NULL;
    }
    const unsigned flags = (own.shell ? LITHOPS__COMMAND_SHELL : 0u) |
                           (own.pipe ? LITHOPS__COMMAND_PIPE : 0u) |
                           (own.numbered ? LITHOPS__COMMAND_NUMBERED : 0u);
    const char head[2] = {LITHOPS__COMMAND_VERSION, (char)flags};
    struct lithops__buffer code = LITHOPS__BUFFER_INIT;
    lithops__buffer_append(&code, head, sizeof head);
    append_word(&code, own.folder ? own.folder : "");
    for (size_t i = 0; argv[i]; i++)
        append_word(&code, argv[i]);
    char name[64];
    name_of(argv[0], own.shell, name, sizeof name);
    lithops_function *function = NULL;
    if (code.failed)
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory for the command '%s'", name);
    else
        function = lithops_code_function(LITHOPS__COMMAND_RUNTIME, name,
                                         (lithops_bytes){code.data, code.len}, err);
    lithops__buffer_deinit(&code);
    return function;
}

int lithops__command_read(lithops_bytes code, struct lithops__command *ret_command,
                          lithops_error *err)
{
    const char *at = code.ptr, *end = at + code.len;
    if (code.len < 5 || at[0] != LITHOPS__COMMAND_VERSION || end[-1] != '\0')
        return lithops__fail(err, LITHOPS_EPARSE,
                             "the command was made by another version of lithops: install the same "
                             "version on both sides");
    const char *folder = at + 2, *words = folder + strlen(folder) + 1;
    if (words >= end)
        return lithops__fail(err, LITHOPS_EPARSE, "the command has no words");
    *ret_command = (struct lithops__command){.flags = (unsigned char)at[1],
                                             .folder = *folder ? folder : NULL,
                                             .words = words,
                                             .end = end};
    return 0;
}
