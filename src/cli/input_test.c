/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of turning text into inputs. */
#include "cli/input.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static lithops_type type_of(const char *text, enum cli_text how)
{
    lithops_value *value = cli_value_from_text(text, strlen(text), how, NULL);
    assert_non_null(value);
    lithops_type type = lithops_value_type(value);
    lithops_value_free(value);
    return type;
}

static void text_is_json_or_a_string(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        lithops_type type;
    } guesses[] = {
        {"5", LITHOPS_INT},
        {"-5", LITHOPS_INT},
        {"0", LITHOPS_INT},
        {"-0", LITHOPS_INT},
        {"007", LITHOPS_STRING},
        {"1.5", LITHOPS_DOUBLE},
        {"-1e3", LITHOPS_DOUBLE},
        {"true", LITHOPS_BOOL},
        {"null", LITHOPS_NULL},
        {"nullify", LITHOPS_STRING},
        {"\"5\"", LITHOPS_STRING},
        {"[1,2]", LITHOPS_LIST},
        {"{\"a\":1}", LITHOPS_MAP},
        {"{a}", LITHOPS_STRING},
        {"[1,", LITHOPS_STRING},
        {"", LITHOPS_STRING},
        {"-", LITHOPS_STRING},
        {"1 2", LITHOPS_STRING},
        {"x", LITHOPS_STRING},
        {"\xff\xfe", LITHOPS_BYTES},
        {"5\r", LITHOPS_STRING},
        {"5 ", LITHOPS_STRING},
        {" 5", LITHOPS_STRING},
        {"NaN", LITHOPS_DOUBLE},
        {"-Infinity", LITHOPS_DOUBLE},
        {"[Infinity]", LITHOPS_LIST},
        {"Nation", LITHOPS_STRING},
        {"Infinit", LITHOPS_STRING},
        {"12345678901234567890 apples", LITHOPS_STRING},
        {"9223372036854775807", LITHOPS_INT},
        {"{\"$bytes\":\"AAEC\"}", LITHOPS_BYTES},
    };
    for (size_t i = 0; i < sizeof guesses / sizeof *guesses; i++) {
        if (type_of(guesses[i].text, CLI_TEXT_GUESS) != guesses[i].type)
            fail_msg("'%s' has another type", guesses[i].text);
    }
    assert_int_equal(type_of("5", CLI_TEXT_STRING), LITHOPS_STRING);
    assert_int_equal(type_of("{\"a\":1}", CLI_TEXT_STRING), LITHOPS_STRING);
    assert_int_equal(type_of("5", CLI_TEXT_JSON), LITHOPS_INT);
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_null(cli_value_from_text("five", 4, CLI_TEXT_JSON, &err));
    assert_int_equal(err.code, LITHOPS_EPARSE);
}

static void a_number_that_does_not_fit_is_an_error(void **state)
{
    (void)state;
    static const char *const texts[] = {"9223372036854775808",
                                        "-9223372036854775809",
                                        "18446744073709551615",
                                        "1e400",
                                        "-1e400",
                                        "[1, 1e400]",
                                        "{\"id\": 12345678901234567890}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        lithops_error err = LITHOPS_ERROR_INIT;
        assert_null(cli_value_from_text(texts[i], strlen(texts[i]), CLI_TEXT_GUESS, &err));
        assert_int_equal(err.code, LITHOPS_EPARSE);
        assert_non_null(strstr(err.message, "--strings"));
        assert_int_equal(type_of(texts[i], CLI_TEXT_STRING), LITHOPS_STRING);
    }
}

static void ints_keep_their_value(void **state)
{
    (void)state;
    static const char *const texts[] = {"0",
                                        "7",
                                        "-12",
                                        "999999999999999999",
                                        "-999999999999999999",
                                        "9223372036854775807",
                                        "-9223372036854775808"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        lithops_value *value =
            cli_value_from_text(texts[i], strlen(texts[i]), CLI_TEXT_GUESS, NULL);
        assert_true(lithops_value_get_int(value) == strtoll(texts[i], NULL, 10));
        lithops_value_free(value);
    }
}

static void text_may_hold_a_nul(void **state)
{
    (void)state;
    lithops_value *value = cli_value_from_text("a\0b", 3, CLI_TEXT_GUESS, NULL);
    assert_int_equal(lithops_value_get_bytes(value).len, 3);
    lithops_value_free(value);
}

static struct cli_list list_of(const char *const *items, size_t count)
{
    struct cli_list list = {NULL, 0, 0};
    for (size_t i = 0; i < count; i++)
        assert_int_equal(cli_list_append(&list, items[i]), 0);
    return list;
}
#define LIST(...)                                                                                  \
    list_of((const char *const[]){__VA_ARGS__},                                                    \
            sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void pairs_become_a_map(void **state)
{
    (void)state;
    struct cli_list list = LIST("x=1", "name=a=b", "empty=", "x=2");
    lithops_value *value;
    assert_int_equal(cli_named_values(&list, "extra", true, &value, NULL), 0);
    assert_int_equal(lithops_value_size(value), 3);
    assert_int_equal(lithops_value_get_int(lithops_value_get(value, "x")), 2);
    assert_string_equal(lithops_value_get_string(lithops_value_get(value, "name")), "a=b");
    assert_string_equal(lithops_value_get_string(lithops_value_get(value, "empty")), "");
    lithops_value_free(value);
    assert_int_equal(cli_environment(&list, &value, NULL), 0);
    assert_string_equal(lithops_value_get_string(lithops_value_get(value, "x")), "2");
    lithops_value_free(value);
    free(list.items);
}

static void extra_may_be_json(void **state)
{
    (void)state;
    lithops_value *value;
    lithops_error err = LITHOPS_ERROR_INIT;
    struct cli_list list = LIST("[1,\"a\"]");
    assert_int_equal(cli_named_values(&list, "extra", true, &value, &err), 0);
    assert_int_equal(lithops_value_type(value), LITHOPS_LIST);
    lithops_value_free(value);
    assert_int_equal(cli_named_values(&list, "set", false, &value, &err), LITHOPS_EUSAGE);
    free(list.items);

    list = LIST("{\"a\":");
    assert_int_equal(cli_named_values(&list, "extra", true, &value, &err), LITHOPS_EUSAGE);
    assert_non_null(strstr(err.message, "--extra"));
    free(list.items);
    list = LIST("a=1", "[1]");
    assert_int_equal(cli_named_values(&list, "extra", true, &value, &err), LITHOPS_EUSAGE);
    assert_null(value);
    free(list.items);
    list = LIST("a");
    assert_int_equal(cli_named_values(&list, "extra", true, &value, &err), LITHOPS_EUSAGE);
    free(list.items);
    list = (struct cli_list){NULL, 0, 0};
    assert_int_equal(cli_named_values(&list, "extra", true, &value, &err), 0);
    assert_null(value);
}

static void patterns_name_objects(void **state)
{
    (void)state;
    char folder[] = "/tmp/lithops-input-XXXXXX", path[64], pattern[64];
    assert_non_null(mkdtemp(folder));
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%d.txt", folder, i);
        close(open(path, O_CREAT | O_WRONLY, 0600));
    }
    snprintf(pattern, sizeof pattern, "%s/*.txt", folder);
    struct cli_list list = LIST(pattern, "/none/such*.txt", "b/k", "{\"$cloudobject\":true}", "12");
    lithops_value *values = cli_values_from_list(&list, CLI_TEXT_GUESS, true, NULL);
    assert_int_equal(lithops_value_size(values), 7);
    snprintf(path, sizeof path, "%s/2.txt", folder);
    assert_string_equal(lithops_value_get_string(lithops_value_at(values, 2)), path);
    /* Without a match the pattern stays, so that the engine can report that there is no such
     * file. */
    assert_string_equal(lithops_value_get_string(lithops_value_at(values, 3)), "/none/such*.txt");
    assert_int_equal(lithops_value_type(lithops_value_at(values, 5)), LITHOPS_MAP);
    assert_int_equal(lithops_value_type(lithops_value_at(values, 6)), LITHOPS_STRING);
    lithops_value_free(values);
    free(list.items);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%d.txt", folder, i);
        unlink(path);
    }
    rmdir(folder);
}

static void a_wrong_input_is_named(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    struct cli_list list = LIST("1", "five");
    assert_null(cli_values_from_list(&list, CLI_TEXT_JSON, false, &err));
    assert_non_null(strstr(err.message, "'five'"));
    free(list.items);
}

static void escapes_stand_for_characters(void **state)
{
    (void)state;
    char *text = cli_unescape("a\\n\\t\\r\\\\\\x1e.", NULL);
    assert_string_equal(text, "a\n\t\r\\\x1e.");
    free(text);
    static const char *const wrong[] = {"\\", "\\q", "\\x", "\\x1", "\\xzz", "\\x00", "\\0"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        lithops_error err = LITHOPS_ERROR_INIT;
        assert_null(cli_unescape(wrong[i], &err));
        assert_int_equal(err.code, LITHOPS_EUSAGE);
    }
}

/* Feed `parts` one write at a time and note what lines come out, separated by |. */
static void feed(const char *const *parts, size_t count, char *seen, size_t size)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct cli_lines lines;
    cli_lines_init(&lines, ends[0], '\n');
    size_t used = 0;
    for (size_t i = 0; i <= count; i++) {
        lithops_bytes line;
        if (i < count)
            assert_int_equal(write(ends[1], parts[i], strlen(parts[i])), strlen(parts[i]));
        else
            close(ends[1]);
        assert_int_equal(cli_lines_read(&lines, NULL), 0);
        while (cli_lines_next(&lines, &line))
            used +=
                (size_t)snprintf(seen + used, size - used, "%lld:%.*s|", (long long)lines.number,
                                 (int)line.len, (const char *)line.ptr);
        used += (size_t)snprintf(seen + used, size - used, "/");
    }
    assert_true(lines.at_end);
    cli_lines_deinit(&lines);
    close(ends[0]);
}

static void lines_come_as_they_arrive(void **state)
{
    (void)state;
    char seen[256];
    feed((const char *const[]){"one\ntw", "o", "\n\nthree\n", "four"}, 4, seen, sizeof seen);
    assert_string_equal(seen, "1:one|//2:two|3:|4:three|/"
                              "/5:four|/");
    feed((const char *const[]){"a\n"}, 1, seen, sizeof seen);
    assert_string_equal(seen, "1:a|//");
    feed((const char *const[]){"5\r", "\nabc\r\n\r\na\rb\nend\r"}, 2, seen, sizeof seen);
    assert_string_equal(seen, "/1:5|2:abc|3:|4:a\rb|/5:end|/");
    feed((const char *const[]){"\xef\xbb\xbf"
                               "5\r\n\xef\xbb\xbf"
                               "6\n"},
         1, seen, sizeof seen);
    assert_string_equal(seen, "1:5|2:\xef\xbb\xbf"
                              "6|//"); /* a byte order mark counts only at the beginning */
    feed(NULL, 0, seen, sizeof seen);
    assert_string_equal(seen, "/");
}

static void a_long_line_arrives_whole(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    for (int i = 0; i < 3000000; i++)
        fputc('a' + i % 26, file);
    fputs("\nlast", file);
    fflush(file);
    rewind(file);
    struct cli_lines lines;
    cli_lines_init(&lines, fileno(file), '\n');
    lithops_bytes line;
    while (!cli_lines_next(&lines, &line) && !lines.at_end)
        assert_int_equal(cli_lines_read(&lines, NULL), 0);
    assert_int_equal(line.len, 3000000);
    while (!lines.at_end)
        assert_int_equal(cli_lines_read(&lines, NULL), 0);
    assert_true(cli_lines_next(&lines, &line));
    assert_memory_equal(line.ptr, "last", 4);
    assert_false(cli_lines_next(&lines, &line));
    cli_lines_deinit(&lines);
    fclose(file);
}

static void a_closed_input_is_an_error(void **state)
{
    (void)state;
    struct cli_lines lines;
    lithops_error err = LITHOPS_ERROR_INIT;
    cli_lines_init(&lines, -1, '\n');
    assert_int_equal(cli_lines_read(&lines, &err), LITHOPS_EIO);
    assert_non_null(strstr(err.message, "standard input"));
    cli_lines_deinit(&lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_json_or_a_string),
        cmocka_unit_test(a_number_that_does_not_fit_is_an_error),
        cmocka_unit_test(ints_keep_their_value),
        cmocka_unit_test(text_may_hold_a_nul),
        cmocka_unit_test(pairs_become_a_map),
        cmocka_unit_test(extra_may_be_json),
        cmocka_unit_test(patterns_name_objects),
        cmocka_unit_test(a_wrong_input_is_named),
        cmocka_unit_test(escapes_stand_for_characters),
        cmocka_unit_test(lines_come_as_they_arrive),
        cmocka_unit_test(a_long_line_arrives_whole),
        cmocka_unit_test(a_closed_input_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
