/* SPDX-License-Identifier: Apache-2.0 */
/* The words of a command with the inputs in their places.
 *
 * Words are collected in one buffer, each with its NUL, and found again at the end, since the
 * buffer moves as it grows. With a shell there is one word, the command line: what stands in the
 * command is the shell's to read, inputs are quoted. */
#include "base/error.h"
#include "function/command.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* One `{...}`. */
struct place {
    enum { WHOLE, NO_EXTENSION, NAME, FOLDER, NAME_NO_EXTENSION, NUMBER } part;
    size_t item; /* from 1; 0: all */
    size_t len;  /* of its text */
};

struct expansion {
    const lithops_bytes *inputs;
    size_t count;
    int64_t number;
    bool shell;
    struct lithops__buffer *out;
    lithops_error *err;
};

/* Does a place begin here? `at` is at a brace. */
static bool read_place(const char *at, struct place *ret_place)
{
    static const struct {
        const char *text;
        int part;
    } parts[] = {{"}", WHOLE},    {".}", NO_EXTENSION},       {"/}", NAME},
                 {"//}", FOLDER}, {"/.}", NAME_NO_EXTENSION}, {"#}", NUMBER}};
    const char *from = at++;
    size_t item = 0, digits = 0;
    for (; isdigit((unsigned char)*at) && digits < 9; digits++)
        item = item * 10 + (size_t)(*at++ - '0');
    if (digits > 0 && item == 0)
        return false;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t len = strlen(parts[i].text);
        if (strncmp(at, parts[i].text, len) != 0 || (digits && parts[i].part == NUMBER))
            continue;
        ret_place->part = parts[i].part;
        ret_place->item = item;
        ret_place->len = (size_t)(at - from) + len;
        return true;
    }
    return false;
}

static const char *last_slash(lithops_bytes path)
{
    return path.len ? memrchr(path.ptr, '/', path.len) : NULL;
}

static lithops_bytes without_folder(lithops_bytes path)
{
    const char *slash = last_slash(path), *begin = path.ptr;
    if (!slash)
        return path;
    return (lithops_bytes){slash + 1, path.len - (size_t)(slash + 1 - begin)};
}

/* A dot that begins a file's name begins no extension. */
static lithops_bytes without_extension(lithops_bytes path)
{
    const lithops_bytes name = without_folder(path);
    const char *dot = name.len ? memrchr(name.ptr, '.', name.len) : NULL;
    if (!dot || dot == name.ptr)
        return path;
    return (lithops_bytes){path.ptr, (size_t)(dot - (const char *)path.ptr)};
}

static lithops_bytes folder_of(lithops_bytes path)
{
    const char *slash = last_slash(path), *begin = path.ptr;
    if (!slash)
        return (lithops_bytes){".", 1};
    return (lithops_bytes){begin, slash == begin ? 1 : (size_t)(slash - begin)};
}

static lithops_bytes part_of(lithops_bytes input, int part)
{
    switch (part) {
    case NO_EXTENSION:
        return without_extension(input);
    case NAME:
        return without_folder(input);
    case FOLDER:
        return folder_of(input);
    case NAME_NO_EXTENSION:
        return without_extension(without_folder(input));
    default:
        return input;
    }
}

void lithops__shell_quote(struct lithops__buffer *out, const void *word, size_t len)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_./:=@%+,-";
    const char *at = word, *end = at + len;
    bool is_plain = len > 0;
    for (; is_plain && at < end; at++)
        is_plain = *at && strchr(plain, *at);
    if (is_plain) {
        lithops__buffer_append(out, word, len);
        return;
    }
    lithops__buffer_append(out, "'", 1);
    for (at = word; at < end; at++)
        lithops__buffer_append(out, *at == '\'' ? "'\\''" : at, *at == '\'' ? 4 : 1);
    lithops__buffer_append(out, "'", 1);
}

static void put(const struct expansion *x, lithops_bytes text)
{
    if (x->shell)
        lithops__shell_quote(x->out, text.ptr, text.len);
    else if (text.len)
        lithops__buffer_append(x->out, text.ptr, text.len);
}

/* @param between  what stands between items */
static int put_place(const struct expansion *x, const struct place *place, char between)
{
    if (place->part == NUMBER) {
        lithops__buffer_printf(x->out, "%lld", (long long)x->number);
        return 0;
    }
    if (place->item > x->count)
        return lithops__fail(x->err, LITHOPS_EARG,
                             "{%zu} stands for an input that is not there: "
                             "there %s %zu",
                             place->item, x->count == 1 ? "is" : "are", x->count);
    size_t first = place->item ? place->item - 1 : 0, end = place->item ? place->item : x->count;
    for (size_t i = first; i < end; i++) {
        if (i > first)
            lithops__buffer_append(x->out, &between, 1);
        put(x, part_of(x->inputs[i], (int)place->part));
    }
    return 0;
}

static int put_word(const struct expansion *x, const char *word)
{
    struct place place;
    int rc = 0;
    bool alone = word[0] == '{' && read_place(word, &place) && !word[place.len];
    /* With no input at all, such a word is none. */
    if (alone && !x->shell && place.part != NUMBER && !place.item)
        return x->count ? put_place(x, &place, '\0') : 1;
    while (rc == 0 && *word) {
        if (*word == '{' && read_place(word, &place)) {
            rc = put_place(x, &place, ' ');
            word += place.len;
        } else {
            lithops__buffer_append(x->out, word++, 1);
        }
    }
    return rc;
}

static bool has_place(const struct lithops__command *command)
{
    struct place place;
    for (const char *at = command->words; at < command->end; at++)
        if (*at == '{' && read_place(at, &place))
            return true;
    return false;
}

static int put_words(const struct expansion *x, const struct lithops__command *command)
{
    const char end = x->shell ? ' ' : '\0';
    int rc = 0;
    for (const char *word = command->words; rc >= 0 && word < command->end;
         word += strlen(word) + 1) {
        rc = put_word(x, word);
        if (rc == 0)
            lithops__buffer_append(x->out, &end, 1);
    }
    if (rc >= 0 && x->count && !has_place(command)) {
        rc = put_place(x, &(struct place){.part = WHOLE}, end);
        lithops__buffer_append(x->out, &end, 1);
    }
    return rc < 0 ? rc : 0;
}

/* Find the words in the text. */
static int index_words(struct lithops__words *words, bool shell, lithops_error *err)
{
    struct lithops__buffer *text = &words->text;
    if (shell && text->len && !text->failed)
        text->data[text->len - 1] = '\0'; /* the blank behind the last word */
    size_t count = shell ? 3 : 0;
    for (size_t i = 0; !shell && i < text->len; i++)
        count += text->data[i] == '\0';
    char **argv = text->failed ? NULL : realloc(words->argv, (count + 1) * sizeof *argv);
    if (!argv)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for the words of a command");
    static char sh[] = "/bin/sh", c[] = "-c";
    words->argv = argv;
    words->count = 0;
    if (shell) {
        argv[words->count++] = sh;
        argv[words->count++] = c;
    }
    for (char *at = (char *)text->data, *end = at + text->len; at < end; at += strlen(at) + 1)
        argv[words->count++] = at;
    argv[words->count] = NULL;
    return 0;
}

int lithops__command_expand(const struct lithops__command *command, const lithops_bytes *inputs,
                            size_t count, int64_t number, struct lithops__words *words,
                            lithops_error *err)
{
    const bool shell = command->flags & LITHOPS__COMMAND_SHELL;
    const struct expansion x = {inputs, count, number, shell, &words->text, err};
    for (size_t i = 0; i < count; i++)
        if (inputs[i].len && memchr(inputs[i].ptr, '\0', inputs[i].len))
            return lithops__fail(
                err, LITHOPS_EARG,
                "the input has a NUL in it, which no argument "
                "of a program can: give it as standard input (pipe, --pipe of the command)");
    words->text.len = 0;
    int rc = put_words(&x, command);
    if (rc == 0)
        rc = index_words(words, shell, err);
    if (rc == 0 && (words->count == 0 || !words->argv[0][0]))
        return lithops__fail(err, LITHOPS_EARG, "the program is empty with this input");
    return rc;
}

void lithops__words_deinit(struct lithops__words *words)
{
    lithops__buffer_deinit(&words->text);
    free(words->argv);
    *words = (struct lithops__words){.argv = NULL};
}
