/* SPDX-License-Identifier: Apache-2.0 */
/* Parses the command line by the tables of options.c.
 *
 * This is our own parser rather than getopt_long(), so that the table holds everything about an
 * option, an error can suggest the nearest known option of that command, and --over takes all
 * arguments up to the next option. The rules are the usual ones: -w 4, -w4, -kp, --workers 4,
 * --workers=4, and after -- nothing is an option, nor are the arguments of the program that `run`
 * runs. A negative number is not an option, except -0 of a map. */
#include "cli/options.h"

#include "base/error.h"
#include "base/near.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    int argc, at;
    char *const *argv;
    struct cli *cli;
    struct cli_list *rest; /* where further arguments go after --over */
    bool in_program;       /* arguments belong to the program that `run` runs */
    lithops_error *err;
};

int cli_list_append(struct cli_list *list, const char *item)
{
    /* Keep room for a final NULL, so that the list can be used as a NULL-terminated array. */
    if (list->count + 1 >= list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 8;
        const char **items = realloc(list->items, capacity * sizeof *items);
        if (!items)
            return LITHOPS_ENOMEM;
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = item;
    list->items[list->count] = NULL;
    return 0;
}

int cli_list_append_copy(struct cli_list *list, const char *item)
{
    char *copy = strdup(item);
    int rc = copy ? cli_list_append(list, copy) : LITHOPS_ENOMEM;
    if (rc != 0)
        free(copy);
    return rc;
}

void cli_list_free_copies(struct cli_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free((void *)(uintptr_t)list->items[i]);
    free(list->items);
    *list = (struct cli_list){NULL, 0, 0};
}

static int append(struct parser *p, struct cli_list *list, const char *item)
{
    return cli_list_append(list, item) ? lithops__fail(p->err, LITHOPS_ENOMEM, "out of memory") : 0;
}

static bool is_option(const char *arg)
{
    return arg[0] == '-' && arg[1] != '\0' && !isdigit((unsigned char)arg[1]) &&
           !(arg[1] == '.' && isdigit((unsigned char)arg[2])) && strcmp(arg, "-Infinity") != 0;
}

/* ---- numbers --------------------------------------------------------------------------------- */

static int parse_number(const struct cli_option *option, const char *text, int64_t *ret_number,
                        lithops_error *err)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (end == text || *end || errno == ERANGE || number < option->min || number > option->max) {
        if (option->max >= INT32_MAX)
            return lithops__fail(err, LITHOPS_EUSAGE, "a whole number of at least %lld expected",
                                 (long long)option->min);
        return lithops__fail(err, LITHOPS_EUSAGE, "a whole number from %lld to %lld expected",
                             (long long)option->min, (long long)option->max);
    }
    *ret_number = number;
    return 0;
}

int cli_parse_seconds(const char *text, int64_t *ret_ms, lithops_error *err)
{
    char *end;
    double seconds = strtod(text, &end);
    /* 1e9 s is thirty years, and safe from overflow. */
    if (end == text || *end || !isfinite(seconds) || seconds < 0.001 || seconds > 1e9)
        return lithops__fail(err, LITHOPS_EUSAGE, "seconds expected, at least 0.001");
    *ret_ms = (int64_t)(seconds * 1000 + 0.5);
    return 0;
}

int cli_parse_size(const char *text, int64_t *ret_bytes, lithops_error *err)
{
    static const struct {
        const char *name;
        double factor;
    } units[] = {
        {"", 1},         {"B", 1},      {"K", 0x1p10},   {"KiB", 0x1p10}, {"kB", 1e3},
        {"KB", 1e3},     {"M", 0x1p20}, {"MiB", 0x1p20}, {"MB", 1e6},     {"G", 0x1p30},
        {"GiB", 0x1p30}, {"GB", 1e9},   {"T", 0x1p40},   {"TiB", 0x1p40}, {"TB", 1e12},
    };
    char *end;
    double number = strtod(text, &end);
    if (end != text && isfinite(number)) {
        while (*end == ' ')
            end++;
        for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
            double bytes = number * units[i].factor;
            if (strcasecmp(end, units[i].name) == 0 && bytes >= 1 && bytes < 0x1p62) {
                *ret_bytes = (int64_t)bytes;
                return 0;
            }
        }
    }
    return lithops__fail(err, LITHOPS_EUSAGE,
                         "a size of at least 1 expected, as 4096, 512KiB, 64MiB or 10MB");
}

/* ---- one option ------------------------------------------------------------------------------ */

static bool is_choice(const char *choices, const char *text)
{
    size_t len = strlen(text);
    for (const char *word = choices; word; word = strchr(word, '|')) {
        word += *word == '|';
        if (strncmp(word, text, len) == 0 && (word[len] == '|' || !word[len]) && len > 0)
            return true;
    }
    return false;
}

static void *field_of(struct cli *cli, const struct cli_option *option)
{
    return (char *)&cli->options + option->offset;
}

static void switch_on(struct cli *cli, const struct cli_option *option)
{
    if (option->kind == CLI_SWITCH)
        *(bool *)field_of(cli, option) = true;
    else
        *(int *)field_of(cli, option) = option->kind == CLI_YES;
}

static int store(struct parser *p, const struct cli_option *option, const char *text)
{
    void *field = field_of(p->cli, option);
    lithops_error *err = p->err;
    switch (option->kind) {
    case CLI_CHOICE:
        if (!is_choice(option->choices, text))
            return lithops__fail(err, LITHOPS_EUSAGE, "one of %s expected", option->choices);
        *(const char **)field = text;
        return 0;
    case CLI_NUMBER:
        return parse_number(option, text, field, err);
    case CLI_SIZE:
        return cli_parse_size(text, field, err);
    case CLI_SECONDS:
        return cli_parse_seconds(text, field, err);
    case CLI_PAIR:
        if (!strchr(text, '=') || *text == '=')
            return lithops__fail(err, LITHOPS_EUSAGE, "KEY=VALUE expected");
        return append(p, field, text);
    case CLI_LIST:
        return append(p, field, text);
    default: /* text, a file, a folder */
        *(const char **)field = text;
        return 0;
    }
}

/* Store an option's argument; errors name the option. */
static int store_checked(struct parser *p, const struct cli_option *option, const char *text)
{
    int rc = store(p, option, text);
    if (rc == LITHOPS_EUSAGE)
        lithops__error_prefix(p->err, "%s: --%s '%s'", p->cli->command->name, option->name, text);
    return rc;
}

static int missing_argument(struct parser *p, const struct cli_option *option)
{
    return lithops__fail(p->err, LITHOPS_EUSAGE, "%s: --%s needs %s", p->cli->command->name,
                         option->name, option->argument);
}

/* Whether the option's argument follows. An option does not count, so that a forgotten argument is
 * an error instead of swallowing the next option. */
static bool has_next(const struct parser *p)
{
    return p->at + 1 < p->argc && !is_option(p->argv[p->at + 1]);
}

static int unknown_option(struct parser *p, const char *name)
{
    struct lithops__near near;
    lithops__near_init(&near, name, 1);
    for (const struct cli_option *option = cli_option_table; option->name; option++) {
        if (option->commands & p->cli->command->bit)
            lithops__near_offer(&near, option->name);
    }
    char close[100] = "";
    if (near.count > 0)
        snprintf(close, sizeof close, "; did you mean '--%s'?", near.best[0].name);
    return lithops__fail(p->err, LITHOPS_EUSAGE,
                         "%s: unknown option '--%s'%s ('lithops %s --help' lists all)",
                         p->cli->command->name, name, close, p->cli->command->name);
}

static const struct cli_option *find_option(const struct parser *p, const char *name, size_t len,
                                            char letter)
{
    for (const struct cli_option *option = cli_option_table; option->name; option++) {
        if (!(option->commands & p->cli->command->bit))
            continue;
        if (letter ? option->letter == letter
                   : strncmp(option->name, name, len) == 0 && !option->name[len])
            return option;
    }
    return NULL;
}

/* --over: where further arguments go; each is a source of its own. */
static int begin_rest(struct parser *p, const struct cli_option *option, const char *first)
{
    struct cli_options *options = &p->cli->options;
    options->over_given = true;
    p->in_program = false;
    p->rest = field_of(p->cli, option);
    if (options->source_count == CLI_MOST_SOURCES)
        return lithops__fail(p->err, LITHOPS_EUSAGE, "%s: more than %d times --over",
                             p->cli->command->name, CLI_MOST_SOURCES);
    options->sources[options->source_count++] = p->rest->count;
    return first ? append(p, p->rest, first) : 0;
}

static int parse_long(struct parser *p, const char *name)
{
    const char *equals = strchr(name, '=');
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    const struct cli_option *option = find_option(p, name, len, 0);
    if (!option) {
        char word[64];
        snprintf(word, sizeof word, "%.*s", (int)(len < 60 ? len : 60), name);
        return unknown_option(p, word);
    }
    if (option->kind == CLI_REST) {
        return begin_rest(p, option, equals ? equals + 1 : NULL);
    }
    p->rest = NULL;
    if (!option->argument && equals)
        return lithops__fail(p->err, LITHOPS_EUSAGE, "%s: --%s takes no argument",
                             p->cli->command->name, option->name);
    if (!option->argument) {
        switch_on(p->cli, option);
        return 0;
    }
    if (equals)
        return store_checked(p, option, equals + 1);
    if (!has_next(p))
        return missing_argument(p, option);
    return store_checked(p, option, p->argv[++p->at]);
}

static int parse_letters(struct parser *p, const char *letters)
{
    p->rest = NULL;
    for (; *letters; letters++) {
        const struct cli_option *option = find_option(p, NULL, 0, *letters);
        if (!option)
            return lithops__fail(p->err, LITHOPS_EUSAGE,
                                 "%s: unknown option '-%c' ('lithops %s --help' lists all)",
                                 p->cli->command->name, *letters, p->cli->command->name);
        if (option->argument) {
            if (letters[1])
                return store_checked(p, option, letters + 1);
            if (!has_next(p))
                return missing_argument(p, option);
            return store_checked(p, option, p->argv[++p->at]);
        }
        switch_on(p->cli, option);
    }
    return 0;
}

/* -0 is a number, but with --over - it is the option, as in xargs. */
static bool is_null_option(const struct parser *p, const char *arg)
{
    bool of_stdin = !p->rest || (p->rest->count == 1 && strcmp(p->rest->items[0], "-") == 0);
    return strcmp(arg, "-0") == 0 && of_stdin && find_option(p, NULL, 0, '0');
}

/* Everything between the program of `run` and --over belongs to the program, options included. */
static bool is_of_program(const struct parser *p, const char *arg)
{
    return p->in_program && strcmp(arg, "--over") != 0 &&
           strncmp(arg, "--over=", sizeof "--over=" - 1) != 0;
}

static int take_argument(struct parser *p, const char *arg)
{
    if (p->rest)
        return append(p, p->rest, arg);
    if (p->cli->command->bit == CLI_COMMAND && !p->in_program) {
        if (p->cli->arguments.count > 0)
            return lithops__fail(p->err, LITHOPS_EUSAGE,
                                 "run: '%s' belongs neither to the command nor to --over", arg);
        p->in_program = true;
    }
    return append(p, &p->cli->arguments, arg);
}

/* ---- the whole line -------------------------------------------------------------------------- */

const struct cli_command *cli_command_find(int argc, char *const *argv, int *ret_words)
{
    for (const struct cli_command *command = cli_commands; command->name; command++) {
        const char *blank = strchr(command->name, ' ');
        size_t len = blank ? (size_t)(blank - command->name) : strlen(command->name);
        if (argc < 1 || strncmp(command->name, argv[0], len) != 0 || argv[0][len])
            continue;
        if (blank && (argc < 2 || strcmp(blank + 1, argv[1]) != 0))
            continue;
        *ret_words = blank ? 2 : 1;
        return command;
    }
    return NULL;
}

/* Commands of upstream that do not apply here. */
static const struct {
    const char *word, *reason;
} absent[] = {
    {"image", "machines need no image: the engine is sent there over SSH, once"},
};

static int say_absent(const char *word, lithops_error *err)
{
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        if (strcmp(word, absent[i].word) == 0)
            return lithops__fail(err, LITHOPS_EUNSUPPORTED, "%s: %s", word, absent[i].reason);
    return 0;
}

static int unknown_command(int argc, char *const *argv, lithops_error *err)
{
    if (argc < 1)
        return lithops__fail(err, LITHOPS_EUSAGE, "no command given ('lithops --help' lists them)");
    if (say_absent(argv[0], err) != 0)
        return LITHOPS_EUNSUPPORTED;
    bool group = cli_is_group(argv[0]);
    if (group && argc < 2)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "%s: a subcommand is missing ('lithops %s --help' lists them)",
                             argv[0], argv[0]);
    char given[160], close[256];
    snprintf(given, sizeof given, "%s%s%s", argv[0], group ? " " : "", group ? argv[1] : "");
    struct lithops__near near;
    lithops__near_init(&near, given, LITHOPS__NEAR_MAX);
    for (const struct cli_command *command = cli_commands; command->name; command++)
        lithops__near_offer(&near, command->name);
    lithops__near_text(&near, close, sizeof close);
    return lithops__fail(err, LITHOPS_EUSAGE, "unknown command '%s'%s ('lithops --help' lists all)",
                         given, close);
}

static int check_arguments(const struct cli *cli, lithops_error *err)
{
    const struct cli_command *command = cli->command;
    int count = cli->arguments.count > INT32_MAX ? INT32_MAX : (int)cli->arguments.count;
    if (count > command->max_arguments && say_absent(command->name, err) != 0)
        return LITHOPS_EUNSUPPORTED; /* upstream's `lithops worker list` */
    if (count > command->max_arguments)
        return lithops__fail(
            err, LITHOPS_EUSAGE, "%s: unexpected argument '%s'; usage: lithops %s %s%s",
            command->name, cli->arguments.items[command->max_arguments], command->name,
            command->arguments, command->bit & (CLI_MAPS | CLI_COMMAND) ? " --over INPUT..." : "");
    if (count < command->min_arguments)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "%s: an argument is missing; usage: lithops %s %s%s", command->name,
                             command->name, command->arguments,
                             command->bit & (CLI_MAPS | CLI_COMMAND) ? " --over INPUT..." : "");
    return 0;
}

static void init_options(struct cli_options *options)
{
    memset(options, 0, sizeof *options);
    options->progress = -1;
    for (const struct cli_option *option = cli_option_table; option->name; option++) {
        if (option->kind == CLI_NUMBER || option->kind == CLI_SIZE || option->kind == CLI_SECONDS)
            *(int64_t *)(void *)((char *)options + option->offset) = LITHOPS_DEFAULT;
    }
}

static bool asks_for_help(int argc, char *const *argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    }
    return false;
}

int cli_parse(int argc, char *const *argv, struct cli *ret_cli, lithops_error *err)
{
    memset(ret_cli, 0, sizeof *ret_cli);
    init_options(&ret_cli->options);
    int words;
    ret_cli->command = cli_command_find(argc, argv, &words);
    if (!ret_cli->command)
        return unknown_command(argc, argv, err);
    if (ret_cli->command->bit != CLI_COMMAND && asks_for_help(argc, argv)) {
        ret_cli->options.help = true;
        return 0;
    }
    struct parser p = {.argc = argc, .at = words, .argv = argv, .cli = ret_cli, .err = err};
    bool only_arguments = false;
    int rc = 0;
    for (; rc == 0 && p.at < argc; p.at++) {
        const char *arg = argv[p.at];
        if (is_of_program(&p, arg))
            rc = take_argument(&p, arg);
        else if (only_arguments || (!is_option(arg) && !is_null_option(&p, arg)))
            rc = take_argument(&p, arg);
        else if (strcmp(arg, "--") == 0)
            only_arguments = p.rest || ret_cli->command->bit != CLI_COMMAND;
        else if (arg[1] == '-')
            rc = parse_long(&p, arg + 2);
        else
            rc = parse_letters(&p, arg + 1);
    }
    return rc != 0 || ret_cli->options.help ? rc : check_arguments(ret_cli, err);
}

void cli_deinit(struct cli *cli)
{
    for (const struct cli_option *option = cli_option_table; option->name; option++) {
        if (option->kind == CLI_PAIR || option->kind == CLI_LIST || option->kind == CLI_REST) {
            struct cli_list *list = field_of(cli, option);
            free(list->items);
            *list = (struct cli_list){NULL, 0, 0};
        }
    }
    free(cli->arguments.items);
    cli->arguments = (struct cli_list){NULL, 0, 0};
}
