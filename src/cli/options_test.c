/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the option tables, of parsing, and of the texts printed from the tables. */
#include "cli/options.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 32 };

/* Parse a line of words separated by blanks. */
static int parse(const char *line, struct cli *cli, lithops_error *err)
{
    static char text[1024];
    static char *argv[MOST];
    int argc = 0;
    snprintf(text, sizeof text, "%s", line);
    for (char *at = text; *at && argc < MOST; argc++) {
        argv[argc] = at;
        at += strcspn(at, " ");
        if (*at)
            *at++ = '\0';
    }
    return cli_parse(argc, argv, cli, err);
}

static void assert_refused(const char *line, const char *part)
{
    struct cli cli;
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_int_equal(parse(line, &cli, &err), LITHOPS_EUSAGE);
    if (!strstr(err.message, part))
        fail_msg("'%s' gives '%s', which has no '%s'", line, err.message, part);
    cli_deinit(&cli);
}

static void the_tables_are_sound(void **state)
{
    (void)state;
    uint64_t bits = 0;
    for (const struct cli_command *command = cli_commands; command->name; command++) {
        assert_true(command->bit == CLI_JOB_HANDLE || command->bit == CLI_PLAIN ||
                    command->bit == CLI_CONFIG_SHOW || command->bit == CLI_RUNTIME_DEPLOY ||
                    (bits & command->bit) == 0);
        assert_non_null(command->run);
        bits |= command->bit;
    }
    assert_int_equal(bits, CLI_ALL);
    for (const struct cli_option *a = cli_option_table; a->name; a++) {
        bool is_switch = a->kind == CLI_SWITCH || a->kind == CLI_YES || a->kind == CLI_NO;
        assert_int_equal(is_switch, a->argument == NULL);
        assert_int_equal(a->kind == CLI_CHOICE, a->choices != NULL);
        assert_int_not_equal(a->commands, 0);
        assert_null(strpbrk(a->help, "'\\"));
        for (const struct cli_option *b = a + 1; b->name; b++) {
            if (!(a->commands & b->commands))
                continue;
            assert_string_not_equal(a->name, b->name);
            assert_true(!a->letter || a->letter != b->letter);
        }
    }
}

static void options_come_in_every_form(void **state)
{
    (void)state;
    struct cli cli;
    assert_int_equal(parse("map f --workers 4 -t2.5 -ku --env=A=1 -e B=2 --over 1 -2 -.5 - x "
                           "--chunk-size=64MiB --over y --no-progress",
                           &cli, NULL),
                     0);
    const struct cli_options *o = &cli.options;
    assert_int_equal(cli.command->bit, CLI_MAP);
    assert_int_equal(cli.arguments.count, 1);
    assert_string_equal(cli.arguments.items[0], "f");
    assert_int_equal(o->workers, 4);
    assert_int_equal(o->timeout_ms, 2500);
    assert_true(o->keep_going && o->unordered && o->over_given);
    assert_int_equal(o->env.count, 2);
    assert_string_equal(o->env.items[1], "B=2");
    assert_null(o->env.items[2]);
    assert_int_equal(o->over.count, 6);
    assert_string_equal(o->over.items[1], "-2");
    assert_string_equal(o->over.items[3], "-");
    assert_string_equal(o->over.items[5], "y");
    assert_int_equal(o->chunk_size, 64 << 20);
    assert_int_equal(o->progress, 0);
    assert_true(o->chunk_number == LITHOPS_DEFAULT && o->memory_mb == LITHOPS_DEFAULT);
    cli_deinit(&cli);
}

static void what_is_not_given_is_unset(void **state)
{
    (void)state;
    struct cli cli;
    assert_int_equal(parse("map f --over", &cli, NULL), 0);
    assert_true(cli.options.over_given);
    assert_int_equal(cli.options.over.count, 0);
    assert_int_equal(cli.options.progress, -1);
    assert_null(cli.options.config_file);
    cli_deinit(&cli);
}

static void after_two_dashes_nothing_is_an_option(void **state)
{
    (void)state;
    struct cli cli;
    assert_int_equal(parse("call f -5 --raw -- --json -k", &cli, NULL), 0);
    assert_int_equal(cli.arguments.count, 4);
    assert_string_equal(cli.arguments.items[1], "-5");
    assert_string_equal(cli.arguments.items[2], "--json");
    assert_true(cli.options.raw && !cli.options.json);
    cli_deinit(&cli);
    assert_int_equal(parse("map f --over a -- --b", &cli, NULL), 0);
    assert_int_equal(cli.options.over.count, 2);
    cli_deinit(&cli);
}

static void a_program_has_options_of_its_own(void **state)
{
    (void)state;
    struct cli cli;
    assert_int_equal(parse("run -w 2 sh -c x --help -- -w 3 --over a -- -b", &cli, NULL), 0);
    assert_int_equal(cli.arguments.count, 7);
    assert_string_equal(cli.arguments.items[6], "3");
    assert_int_equal(cli.options.workers, 2);
    assert_false(cli.options.help);
    assert_int_equal(cli.options.over.count, 2);
    assert_string_equal(cli.options.over.items[1], "-b");
    cli_deinit(&cli);
    assert_int_equal(parse("run --over a b --over=c d -u cat -n", &cli, NULL), 0);
    assert_int_equal(cli.arguments.count, 2);
    assert_int_equal(cli.options.source_count, 2);
    assert_int_equal(cli.options.sources[1], 2);
    assert_int_equal(cli.options.over.count, 4);
    cli_deinit(&cli);
    assert_int_equal(parse("run --help", &cli, NULL), 0);
    assert_true(cli.options.help);
    cli_deinit(&cli);
    assert_refused("run cat --over a -u b", "'b'");
    assert_refused("run --over a", "argument is missing");
    assert_refused("run --no-such-option cat", "--no-such-option");
}

static void commands_have_one_or_two_words(void **state)
{
    (void)state;
    struct cli cli;
    assert_int_equal(parse("storage put a b", &cli, NULL), 0);
    assert_int_equal(cli.command->bit, CLI_STORAGE_PUT);
    assert_int_equal(cli.arguments.count, 2);
    cli_deinit(&cli);
    assert_true(cli_is_group("storage") && !cli_is_group("map") && !cli_is_group("stor"));
    assert_refused("", "no command");
    assert_refused("storage", "lithops storage --help");
    assert_refused("storage lst", "storage list");
    assert_refused("mapp", "did you mean 'map'");
    assert_refused("map-reducer", "map-reduce");
    assert_refused("xyzzyqqq", "unknown command 'xyzzyqqq' (");
}

static void mistakes_are_named(void **state)
{
    (void)state;
    assert_refused("map f --ovr 1", "did you mean '--over'");
    assert_refused("hello --over 1", "unknown option '--over'");
    assert_refused("map f -Z", "'-Z'");
    assert_refused("map f -kZ", "'-Z'");
    assert_refused("map f --timeout", "--timeout needs SECONDS");
    assert_refused("map f --timeout --raw", "--timeout needs SECONDS");
    assert_refused("map f --raw=1", "--raw takes no argument");
    assert_refused("map f --mode local", "localhost|serverless|standalone");
    assert_refused("map f --env 1", "KEY=VALUE");
    assert_refused("map f --env =1", "KEY=VALUE");
    assert_refused("map f g", "unexpected argument 'g'");
    assert_refused("map", "an argument is missing");
    assert_refused("storage head b", "usage: lithops storage head BUCKET KEY");
}

static void numbers_have_ranges(void **state)
{
    (void)state;
    const char *const wrong[] = {
        "map f --timeout 0",     "map f --timeout -1",      "map f --timeout nan",
        "map f --timeout inf",   "map f --timeout 1e99",    "map f --timeout 1s",
        "map f --workers 0",     "map f --workers 1.5",     "map f --workers 99999999999999999999",
        "map f --workers x",     "map f --chunk-number 0",  "map f --chunk-number -3",
        "map f --memory 0",      "map f --chunk-size 0",    "map f --chunk-size -5",
        "map f --chunk-size 5x", "map f --chunk-size 1e30", "map f --chunk-size MiB",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_refused(wrong[i], "expected");
    assert_refused("map-reduce f --spawn-reducer 101", "0 to 100");
}

static void sizes_have_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t bytes;
    } right[] = {
        {"1", 1},           {"4096", 4096}, {"64MiB", 64 << 20},         {"64M", 64 << 20},
        {"10MB", 10000000}, {"1.5k", 1536}, {"2 GiB", (int64_t)2 << 30}, {"1tb", 1000000000000},
        {"7B", 7},
    };
    int64_t bytes;
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        assert_int_equal(cli_parse_size(right[i].text, &bytes, NULL), 0);
        assert_int_equal(bytes, right[i].bytes);
    }
}

static void help_needs_nothing_else_to_be_right(void **state)
{
    (void)state;
    struct cli cli;
    assert_int_equal(parse("map --nonsense --help", &cli, NULL), 0);
    assert_true(cli.options.help);
    cli_deinit(&cli);
    assert_int_equal(parse("storage put -h", &cli, NULL), 0);
    assert_true(cli.options.help);
    cli_deinit(&cli);
}

/* The output of `print`, freed by the caller. */
static char *printed(void (*print)(FILE *out, const void *what), const void *what)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    print(out, what);
    fclose(out);
    return text;
}
static void print_help(FILE *out, const void *what)
{
    cli_print_help(out, what);
}
static void print_completion(FILE *out, const void *what)
{
    assert_int_equal(cli_print_completion(out, what, NULL), 0);
}

/* Whether `text` has --name itself, not only a longer option that begins with it. */
static bool tells(const char *text, const char *name)
{
    char alone[64], with_argument[64];
    snprintf(alone, sizeof alone, " --%s\n", name);
    snprintf(with_argument, sizeof with_argument, " --%s ", name);
    return strstr(text, alone) || strstr(text, with_argument);
}

static void help_tells_every_option(void **state)
{
    (void)state;
    for (const struct cli_command *command = cli_commands; command->name; command++) {
        char *text = printed(print_help, command);
        assert_non_null(strstr(text, command->name));
        for (const struct cli_option *option = cli_option_table; option->name; option++) {
            if (option->commands & command->bit)
                assert_true(tells(text, option->name));
        }
        for (size_t at = 0; text[at]; at += strcspn(text + at, "\n") + 1)
            assert_true(strcspn(text + at, "\n") <= 80);
        free(text);
    }
}

static void completions_know_every_option(void **state)
{
    (void)state;
    static const struct {
        const char *shell, *form;
    } shells[] = {{"bash", "--%s"}, {"zsh", "--%s["}, {"fish", "-l %s "}, {"man", "%s"}};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
        char *text = printed(print_completion, shells[i].shell);
        for (const struct cli_option *option = cli_option_table; option->name; option++) {
            char word[64];
            if (i == 3 && strchr(option->name, '-'))
                continue; /* its dash is quoted */
            snprintf(word, sizeof word, shells[i].form, option->name);
            assert_non_null(strstr(text, word));
        }
        free(text);
    }
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_int_equal(cli_print_completion(stdout, "tcsh", &err), LITHOPS_EUSAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tables_are_sound),
        cmocka_unit_test(options_come_in_every_form),
        cmocka_unit_test(what_is_not_given_is_unset),
        cmocka_unit_test(after_two_dashes_nothing_is_an_option),
        cmocka_unit_test(a_program_has_options_of_its_own),
        cmocka_unit_test(commands_have_one_or_two_words),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(numbers_have_ranges),
        cmocka_unit_test(sizes_have_units),
        cmocka_unit_test(help_needs_nothing_else_to_be_right),
        cmocka_unit_test(help_tells_every_option),
        cmocka_unit_test(completions_know_every_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
