/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of writing results. */
#include "cli/output.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char seen[4096];

/* What `results` (consumed; a NULL-terminated list) look like on standard output. */
static const char *written(bool json, bool raw, lithops_value **results)
{
    int ends[2];
    struct cli_output out;
    assert_int_equal(cli_output_init(&out, json, raw, NULL, NULL), 0);
    assert_int_equal(pipe(ends), 0);
    out.fd = ends[1];
    for (int64_t i = 0; results[i]; i++) {
        assert_int_equal(cli_output_result(&out, i, results[i], NULL), 0);
        lithops_value_free(results[i]);
    }
    assert_int_equal(cli_output_flush(&out, NULL), 0);
    close(ends[1]);
    ssize_t got = read(ends[0], seen, sizeof seen - 1);
    seen[got > 0 ? got : 0] = '\0';
    close(ends[0]);
    cli_output_deinit(&out);
    return seen;
}
#define RESULTS(...) ((lithops_value *[]){__VA_ARGS__, NULL})

static void results_are_json_lines(void **state)
{
    (void)state;
    assert_string_equal(
        written(false, false,
                RESULTS(lithops_value_int(-7), lithops_value_double(1.5), lithops_value_null(),
                        lithops_value_string("a\n\"b\""), lithops_value_bytes("\0\1\2", 3),
                        lithops_pack("[i,{s:b}]", 1, "k", 1))),
        "-7\n1.5\nnull\n\"a\\n\\\"b\\\"\"\n{\"$bytes\": \"AAEC\"}\n[1, {\"k\": true}]\n");
}

static void raw_results_are_as_they_are(void **state)
{
    (void)state;
    assert_string_equal(written(false, true,
                                RESULTS(lithops_value_string("a\"b"), lithops_value_bytes("xy", 2),
                                        lithops_value_bytes("z", 1), lithops_value_int(5))),
                        "a\"b\nxyz5\n");
}

static void a_result_without_json_leaves_nothing(void **state)
{
    (void)state;
    struct cli_output out;
    lithops_error err = LITHOPS_ERROR_INIT;
    cli_output_init(&out, false, false, NULL, NULL);
    lithops_value *list = lithops_pack("[i,{s:s}]", 1, "$bytes", "z");
    assert_int_equal(cli_output_result(&out, 0, list, &err), LITHOPS_ETYPE);
    assert_int_equal(out.buffer.len, 0);
    lithops_value_free(list);
    cli_output_deinit(&out);
}

static void assert_file(int folder, const char *name, const char *content)
{
    char got[64] = "";
    int fd = openat(folder, name, O_RDONLY);
    if (fd < 0)
        fail_msg("no file %s", name);
    assert_int_equal(read(fd, got, sizeof got - 1), strlen(content));
    assert_string_equal(got, content);
    close(fd);
    unlinkat(folder, name, 0);
}

static void results_can_be_files(void **state)
{
    (void)state;
    char parent[] = "/tmp/lithops-output-XXXXXX", folder[64];
    assert_non_null(mkdtemp(parent));
    snprintf(folder, sizeof folder, "%s/new", parent);
    struct cli_output out;
    assert_int_equal(cli_output_init(&out, false, false, folder, NULL), 0);
    lithops_value *results[] = {lithops_value_int(5), lithops_value_string("text"),
                                lithops_value_bytes("by", 2), lithops_value_list()};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(cli_output_result(&out, i == 3 ? 123456 : i, results[i], NULL), 0);
        lithops_value_free(results[i]);
    }
    assert_file(out.folder, "00000.json", "5\n");
    assert_file(out.folder, "00001.txt", "text");
    assert_file(out.folder, "00002.bin", "by");
    assert_file(out.folder, "123456.json", "[]\n");
    cli_output_deinit(&out);
    assert_int_equal(rmdir(folder), 0); /* nothing else was left in it */
    rmdir(parent);
}

static void folders_that_cannot_be_are_named(void **state)
{
    (void)state;
    struct cli_output out;
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_int_equal(cli_output_init(&out, false, false, "/none/such", &err), LITHOPS_ENOTFOUND);
    assert_non_null(strstr(err.message, "/none/such"));
    assert_int_equal(cli_output_init(&out, false, false, "/dev/null", &err), LITHOPS_ENOTFOUND);
}

static void a_full_disk_is_an_error(void **state)
{
    (void)state;
    struct cli_output out;
    lithops_error err = LITHOPS_ERROR_INIT;
    cli_output_init(&out, false, false, NULL, NULL);
    out.fd = open("/dev/full", O_WRONLY);
    lithops_value *value = lithops_value_int(1);
    assert_int_equal(cli_output_result(&out, 0, value, &err), 0);
    assert_int_equal(cli_output_flush(&out, &err), LITHOPS_ENOSPACE);
    lithops_value_free(value);
    close(out.fd);
    cli_output_deinit(&out);
}

static void a_reader_that_left_is_told(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    int ends[2];
    struct cli_output out;
    cli_output_init(&out, false, false, NULL, NULL);
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    out.fd = ends[1];
    lithops_value *value = lithops_value_int(1);
    cli_output_result(&out, 0, value, NULL);
    assert_int_equal(cli_output_flush(&out, NULL), LITHOPS_ECLOSED);
    assert_true(out.closed);
    assert_int_equal(cli_output_flush(&out, NULL), LITHOPS_ECLOSED);
    lithops_value_free(value);
    close(ends[1]);
    cli_output_deinit(&out);
}

static void errors_have_a_json_form(void **state)
{
    (void)state;
    lithops_error failure = LITHOPS_ERROR_INIT;
    failure.code = LITHOPS_ECRASH;
    failure.signal = 11;
    snprintf(failure.message, sizeof failure.message, "killed by signal 11");
    lithops_value *line = cli_error_value(&failure, 3);
    char *text;
    assert_int_equal(lithops_value_to_json(line, &text, NULL), 0);
    assert_string_equal(text, "{\"error\": {\"call\": 3, \"code\": \"crash\", "
                              "\"message\": \"killed by signal 11\", \"signal\": 11}}");
    free(text);
    lithops_value_free(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_json_lines),
        cmocka_unit_test(raw_results_are_as_they_are),
        cmocka_unit_test(a_result_without_json_leaves_nothing),
        cmocka_unit_test(results_can_be_files),
        cmocka_unit_test(folders_that_cannot_be_are_named),
        cmocka_unit_test(a_full_disk_is_an_error),
        cmocka_unit_test(a_reader_that_left_is_told),
        cmocka_unit_test(errors_have_a_json_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
