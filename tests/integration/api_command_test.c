/* SPDX-License-Identifier: Apache-2.0 */
/* Commands: programs as functions, how they end, and what they leave behind. */
#include "api.h"

#include <lithops/plugin/runtime.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static lithops_function *command(const char *const *argv)
{
    return not_null(lithops_function_command(argv, NULL, &err));
}

static lithops_function *shell(const char *line)
{
    lithops_command_options options = LITHOPS_COMMAND_OPTIONS_INIT;
    options.shell = true;
    return not_null(lithops_function_command(WORDS(line), &options, &err));
}

/* Map and wait; frees the function. */
static lithops_futures *map(lithops_function *function, lithops_value *inputs,
                            const lithops_map_options *options)
{
    lithops_futures *futures = not_null(lithops_map(fexec, function, inputs, options, &err));
    lithops_function_free(function);
    lithops_wait_options wait = within_limit;
    wait.throw_except = false;
    succeeds(lithops_wait(fexec, futures, &wait, NULL, NULL, &err));
    return futures;
}

static lithops_futures *over(const char *const *argv, const char *json)
{
    return map(command(argv), api_json(json), NULL);
}

#define out_is(futures, index, text)                                                               \
    bytes_are(futures, index, text, sizeof(text) - 1, __FILE__, __LINE__)
static void bytes_are(const lithops_futures *futures, size_t index, const void *text, size_t len,
                      const char *file, int line)
{
    lithops_bytes bytes = {NULL, 0};
    if (lithops_futures_bytes(futures, index, &bytes, &err) != 0) {
        print_error("%s:%d: %s\n", file, line, err.message);
        _fail(file, line);
    }
    if (bytes.len != len || (len && memcmp(bytes.ptr, text, len) != 0)) {
        print_error("%s:%d: call %zu: '%.*s'\n", file, line, index, (int)bytes.len,
                    (const char *)bytes.ptr);
        _fail(file, line);
    }
}

/* The call failed like this; `err` is its error. */
static lithops_command_end ended(const lithops_futures *futures, size_t index, int code,
                                 const char *text)
{
    lithops_payload ignored;
    fails(lithops_futures_payload(futures, index, &ignored, &err), code, text);
    lithops_command_end end;
    succeeds(lithops_futures_command_end(futures, index, &end, &err));
    return end;
}

static void an_input_is_a_word(void **state)
{
    (void)state;
    lithops_futures *fs =
        over(WORDS("echo", "-n", "<{}>"), "[\"a b\", \"\", \"$x'\\\"*\", 7, 0.5]");
    out_is(fs, 0, "<a b>");
    out_is(fs, 1, "<>");
    out_is(fs, 2, "<$x'\"*>");
    out_is(fs, 3, "<7>");
    out_is(fs, 4, "<0.5>");
    lithops_futures_unref(fs);
    fs = over(WORDS("printf", "%s,"), "[\"appended\", [\"x\", \"y\"], null]");
    out_is(fs, 0, "appended,");
    out_is(fs, 1, "x,y,");
    out_is(fs, 2, ",");
    lithops_futures_unref(fs);
}

static void parts_of_inputs(void **state)
{
    (void)state;
    lithops_futures *fs = over(WORDS("printf", "%s|", "{}", "{.}", "{/}", "{//}", "{/.}", "{#}"),
                               "[\"/d/e.x/f.tar.gz\", \"f\", \"d/.hidden\", \"/f.c\", \"d.x/f\"]");
    out_is(fs, 0, "/d/e.x/f.tar.gz|/d/e.x/f.tar|f.tar.gz|/d/e.x|f.tar|1|");
    out_is(fs, 1, "f|f|f|.|f|2|");
    out_is(fs, 2, "d/.hidden|d/.hidden|.hidden|d|.hidden|3|");
    out_is(fs, 3, "/f.c|/f|f.c|/|f|4|");
    out_is(fs, 4, "d.x/f|d.x/f|f|d.x|f|5|");
    lithops_futures_unref(fs);
    fs = over(WORDS("printf", "%s|", "{2}{1}", "{1.}-{2/}", "{}", "[{}]", "{0}", "{x}", "{ }"),
              "[[\"a.b\", \"c/d\"]]");
    out_is(fs, 0, "c/da.b|a-d|a.b|c/d|[a.b c/d]|{0}|{x}|{ }|");
    lithops_futures_unref(fs);
    fs = over(WORDS("echo", "{3}"), "[[\"a\", \"b\"]]");
    lithops_payload ignored;
    fails(lithops_futures_payload(fs, 0, &ignored, &err), LITHOPS_EARG, "{3}");
    lithops_futures_unref(fs);
}

static void shells_get_quoted_inputs(void **state)
{
    (void)state;
    lithops_futures *fs = map(shell("printf '%s|' {} {/} | tr a-z A-Z; echo $((1 + 1))"),
                              api_json("[\"it's; exit 3\", [\"$HOME\", \"`id`\"], \"\"]"), NULL);
    out_is(fs, 0, "IT'S; EXIT 3|IT'S; EXIT 3|2\n");
    out_is(fs, 1, "$HOME|`ID`|$HOME|`ID`|2\n");
    out_is(fs, 2, "||2\n");
    lithops_futures_unref(fs);
}

static void items_need_not_be_text(void **state)
{
    (void)state;
    lithops_value *inputs = lithops_value_list();
    lithops_value_append(inputs, lithops_value_bytes("\xff\xfe", 2));
    lithops_value_append(inputs, lithops_value_bytes("a\0b", 3));
    lithops_futures *fs = map(command(WORDS("printf", "%s", "{}")), inputs, NULL);
    out_is(fs, 0, "\xff\xfe");
    lithops_payload ignored;
    fails(lithops_futures_payload(fs, 1, &ignored, &err), LITHOPS_EARG, "NUL");
    lithops_command_end end;
    assert_int_equal(lithops_futures_command_end(fs, 1, &end, &err), LITHOPS_EARG);
    lithops_futures_unref(fs);
}

static void ends_are_told(void **state)
{
    (void)state;
    lithops_futures *fs =
        map(shell("echo out; echo first >&2; echo why {} >&2; {}"),
            api_json("[\"exit 0\", \"exit 3\", \"kill -9 $$\", \"exit 255\"]"), NULL);
    lithops_futures_unref(fs);
    fs = map(shell("echo out{#}; echo first >&2; echo why {#} >&2; eval {}"),
             api_json("[\"exit 0\", \"exit 3\", \"kill -9 $$\"]"), NULL);
    lithops_command_end end;
    succeeds(lithops_futures_command_end(fs, 0, &end, &err));
    assert_int_equal(end.status, 0);
    assert_memory_equal(end.out.ptr, "out1\n", 5);
    lithops_future *future = lithops_futures_get(fs, 0);
    char *logs = lithops_future_logs(future);
    assert_string_equal(logs, "first\nwhy 1\n");
    free(logs);
    lithops_future_unref(future);

    end = ended(fs, 1, LITHOPS_ECALL, "'/bin/sh' ended with exit status 3: why 2");
    assert_int_equal(end.status, 3);
    assert_int_equal(end.signal, 0);
    assert_int_equal(end.out.len, 5);
    assert_memory_equal(end.out.ptr, "out2\n", 5);
    assert_int_equal(end.err.len, 12);
    assert_memory_equal(end.err.ptr, "first\nwhy 2\n", 12);

    end = ended(fs, 2, LITHOPS_ECALL, "signal 9");
    assert_int_equal(end.status, -1);
    assert_int_equal(end.signal, 9);
    assert_int_equal(err.signal, 9);
    lithops_futures_unref(fs);
}

static void programs_that_cannot_run(void **state)
{
    (void)state;
    lithops_futures *fs = over(WORDS("no-such-program-here", "x"), "[1]");
    assert_int_equal(ended(fs, 0, LITHOPS_ENOTFOUND, "no-such-program-here").status, 127);
    lithops_futures_unref(fs);
    fs = over(WORDS("/no/such/program"), "[1]");
    assert_int_equal(ended(fs, 0, LITHOPS_ENOTFOUND, "/no/such/program").status, 127);
    lithops_futures_unref(fs);
    fs = over(WORDS(api_write_file("plain", "data", 4)), "[1]");
    assert_int_equal(ended(fs, 0, LITHOPS_EDENIED, "chmod").status, 126);
    lithops_futures_unref(fs);
    fs = over(WORDS("/"), "[1]");
    assert_int_equal(ended(fs, 0, LITHOPS_EDENIED, "'/'").status, 126);
    lithops_futures_unref(fs);

    const char *script = api_write_file("script", "echo \"$0 $1\"\n", 13);
    assert_int_equal(chmod(script, 0755), 0);
    fs = over(WORDS(script), "[\"no interpreter named\"]");
    char expected[200];
    snprintf(expected, sizeof expected, "%s no interpreter named\n", script);
    bytes_are(fs, 0, expected, strlen(expected), __FILE__, __LINE__);
    lithops_futures_unref(fs);

    is_refused(lithops_function_command(WORDS(""), NULL, &err), LITHOPS_EUSAGE, "empty");
    is_refused(lithops_function_command(NULL, NULL, &err), LITHOPS_EUSAGE, "missing");
}

static void words_of_any_length(void **state)
{
    (void)state;
    size_t len = 100000;
    char *text = malloc(3 * len);
    memset(text, 'x', 3 * len);
    lithops_value *inputs = lithops_value_list();
    lithops_value_append(inputs, lithops_value_string_n(text, len));
    lithops_value_append(inputs, lithops_value_string_n(text, 3 * len));
    lithops_futures *fs = map(command(WORDS("printf", "%s")), inputs, NULL);
    bytes_are(fs, 0, text, len, __FILE__, __LINE__);
    assert_int_not_equal(ended(fs, 1, LITHOPS_EARG, "standard input").status, 0);
    lithops_futures_unref(fs);

    lithops_command_options options = LITHOPS_COMMAND_OPTIONS_INIT;
    options.pipe = true;
    lithops_function *cat = not_null(lithops_function_command(WORDS("cat"), &options, &err));
    inputs = lithops_value_list();
    lithops_value_append(inputs, lithops_value_string_n(text, 3 * len));
    lithops_value_append(inputs, lithops_value_bytes("\0\xff", 2));
    lithops_value_append(inputs, lithops_value_bytes("", 0));
    fs = map(cat, inputs, NULL);
    bytes_are(fs, 0, text, 3 * len, __FILE__, __LINE__);
    out_is(fs, 1, "\0\xff");
    out_is(fs, 2, "");
    lithops_futures_unref(fs);
    /* A program that does not read its input. */
    lithops_function *none = not_null(lithops_function_command(WORDS("true"), &options, &err));
    inputs = lithops_value_list();
    lithops_value_append(inputs, lithops_value_string_n(text, 3 * len));
    fs = map(none, inputs, NULL);
    out_is(fs, 0, "");
    lithops_futures_unref(fs);
    free(text);
}

static void output_of_any_length(void **state)
{
    (void)state;
    const int64_t sizes[] = {0, 1, 65535, 65536, 65537, 5000000};
    enum { SIZES = sizeof sizes / sizeof *sizes };
    lithops_futures *fs =
        map(command(WORDS("head", "-c", "{}", "/dev/zero")), lithops_ints(sizes, SIZES), NULL);
    for (size_t i = 0; i < SIZES; i++) {
        lithops_bytes bytes;
        succeeds(lithops_futures_bytes(fs, i, &bytes, &err));
        assert_int_equal(bytes.len, sizes[i]);
        const char *text = bytes.ptr;
        assert_true(bytes.len == 0 || (text[0] == 0 && memcmp(text, text + 1, bytes.len - 1) == 0));
    }
    lithops_futures_unref(fs);
}

static void output_without_end(void **state)
{
    (void)state;
    if (api_backend()) {
        print_message("skipped: the limit is a key of localhost, not over %s\n", api_backend());
        skip();
    }
    lithops_executor *shared = fexec;
    fexec = api_open("{\"shared_memory\": 64}");
    lithops_futures *fs = over(WORDS("yes", "{}"), "[\"y\"]");
    lithops_payload ignored;
    fails(lithops_futures_payload(fs, 0, &ignored, &err), LITHOPS_ENOSPACE, "shared_memory");
    lithops_futures_unref(fs);
    lithops_executor_close(fexec);
    fexec = shared;
}

/* What is open for writing is not executed: as after a download, when another thread has forked. */
static void *close_soon(void *fd)
{
    usleep(50000);
    close(*(int *)fd);
    return NULL;
}

static void a_program_just_written(void **state)
{
    (void)state;
    char path[] = "/tmp/lithops-program-XXXXXX";
    const char text[] = "#!/bin/sh\necho it runs";
    pthread_t closer;
    int fd = mkostemp(path, O_CLOEXEC);
    assert_true(fd >= 0 && fchmod(fd, 0700) == 0);
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    lithops_futures_unref(over(WORDS("true"), "[null]")); /* workers are there */
    assert_int_equal(pthread_create(&closer, NULL, close_soon, &fd), 0);
    lithops_futures *fs = over(WORDS(path), "[null]");
    pthread_join(closer, NULL);
    out_is(fs, 0, "it runs\n");
    lithops_futures_unref(fs);
    unlink(path);
}

/* A zombie is not alive. */
static bool is_alive(pid_t pid)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    const char *name_end = file && fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    if (file)
        fclose(file);
    return name_end && name_end[1] && name_end[2] != 'Z' && name_end[2] != 'X';
}

static pid_t pid_of(const lithops_futures *futures)
{
    lithops_bytes bytes;
    succeeds(lithops_futures_bytes(futures, 0, &bytes, &err));
    char text[32];
    snprintf(text, sizeof text, "%.*s", (int)bytes.len, (const char *)bytes.ptr);
    return (pid_t)atoi(text);
}

/* The call ends with its program, though a child of it still holds the output. */
static void what_it_leaves_ends_with_it(void **state)
{
    (void)state;
    lithops_futures *fs = map(shell("sleep 1000 & echo $!"), api_json("[null]"), NULL);
    pid_t left = pid_of(fs);
    assert_true(left > 1);
    for (int i = 0; is_alive(left); i++) {
        assert_true(i < LIMIT_MS);
        usleep(1000);
    }
    lithops_futures_unref(fs);
}

static void a_timeout_ends_all_of_it(void **state)
{
    (void)state;
    const char *path = api_write_file("pids", "", 0);
    char line[300];
    snprintf(line, sizeof line, "sleep 1000 & echo $$ $! >%s; wait", path);
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    options.timeout_ms = 1500;
    lithops_futures *fs = map(shell(line), api_json("[null]"), &options);
    lithops_payload ignored;
    fails(lithops_futures_payload(fs, 0, &ignored, &err), LITHOPS_ETIMEOUT, "timeout");
    FILE *file = fopen(path, "r");
    int pids[2] = {0, 0};
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%d %d", &pids[0], &pids[1]), 2);
    fclose(file);
    for (int i = 0; is_alive(pids[0]) || is_alive(pids[1]); i++) {
        assert_true(i < LIMIT_MS);
        usleep(1000);
    }
    lithops_futures_unref(fs);
}

static void its_surroundings(void **state)
{
    (void)state;
    lithops_value *env = lithops_pack("{s:s}", "COMMAND_TEST", "set");
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    options.extra_env = env;
    lithops_futures *fs =
        map(shell("echo $COMMAND_TEST; read line; echo \"$? $(ls /proc/self/fd | wc -l)\"; "
                  "trap '' PIPE; sed -n 's/SigIgn:.*\\(.......\\)$/\\1/p' /proc/self/status"),
            api_json("[null]"), &options);
    /* 0, 1, 2 and the folder that ls reads; of the signals that can be ignored, only the one that
     * this shell ignores */
    out_is(fs, 0, "set\n1 4\n0001000\n");
    lithops_futures_unref(fs);
    lithops_value_free(env);

    lithops_command_options in = LITHOPS_COMMAND_OPTIONS_INIT;
    in.folder = "/usr";
    fs = map(not_null(lithops_function_command(WORDS("pwd"), &in, &err)), api_json("[null]"), NULL);
    out_is(fs, 0, "/usr\n");
    lithops_futures_unref(fs);
    in.folder = "/no/such/folder";
    fs = map(not_null(lithops_function_command(WORDS("pwd"), &in, &err)), api_json("[null]"), NULL);
    ended(fs, 0, LITHOPS_ENOTFOUND, "/no/such/folder");
    lithops_futures_unref(fs);
}

static void numbers_may_be_given(void **state)
{
    (void)state;
    lithops_command_options options = LITHOPS_COMMAND_OPTIONS_INIT;
    options.numbered = true;
    lithops_futures *fs =
        map(not_null(lithops_function_command(WORDS("echo", "{#}", "{}"), &options, &err)),
            api_json("[[41, \"a\", \"b\"], [7], [\"x\"]]"), NULL);
    out_is(fs, 0, "41 a b\n");
    out_is(fs, 1, "7\n");
    lithops_payload ignored;
    fails(lithops_futures_payload(fs, 2, &ignored, &err), LITHOPS_EARG, "number");
    lithops_futures_unref(fs);
}

/* The kernel ends it if the worker has a memory group; else its allocations fail. */
static void a_memory_limit_is_the_programs_too(void **state)
{
    (void)state;
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    options.runtime_memory_mb = 200;
    lithops_futures *fs = map(shell("head -c {} /dev/zero | tail -c {} | wc -c"),
                              api_json("[1000, 400000000]"), &options);
    out_is(fs, 0, "1000\n");
    lithops_command_end end;
    int rc = lithops_futures_command_end(fs, 1, &end, &err);
    /* The shell's status of a pipeline is its last program's: 0. */
    assert_true(rc == LITHOPS_EMEMORY || end.out.len != strlen("400000000\n"));
    lithops_futures_unref(fs);
    fs = map(command(WORDS("tail", "-c", "400000000", "/dev/zero")), api_json("[null]"), &options);
    lithops_payload ignored;
    rc = lithops_futures_payload(fs, 0, &ignored, &err);
    if (rc != LITHOPS_EMEMORY)
        assert_int_equal(ended(fs, 0, LITHOPS_ECALL, "memory").status, 1);
    lithops_futures_unref(fs);
}

static void what_programs_use_is_told(void **state)
{
    (void)state;
    lithops_futures *fs =
        map(shell("i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done"), api_json("[null]"), NULL);
    lithops_future *future = lithops_futures_get(fs, 0);
    lithops_value *stats = lithops_future_stats(future);
    double used = lithops_value_get_double(lithops_value_get(stats, "worker_func_cpu_user_time"));
    double whole = lithops_value_get_double(lithops_value_get(stats, "worker_func_exec_time"));
    if (used <= 0.005 || used > whole + 1) /* programs of other calls may be reaped meanwhile */
        print_error("%g s of CPU time in %g s\n", used, whole);
    assert_true(used > 0.005 && used <= whole + 1);
    lithops_value_free(stats);
    lithops_future_unref(future);
    lithops_futures_unref(fs);
}

static void failed_ones_run_again(void **state)
{
    (void)state;
    const char *path = api_write_file("tries", "", 0);
    char line[300];
    snprintf(line, sizeof line, "echo x >>%s; test $(wc -l <%s) -gt 2 && echo done", path, path);
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    options.call_retries = 2;
    lithops_futures *fs = map(shell(line), api_json("[null]"), &options);
    out_is(fs, 0, "done\n");
    lithops_futures_unref(fs);
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_input_is_a_word),
        cmocka_unit_test(parts_of_inputs),
        cmocka_unit_test(shells_get_quoted_inputs),
        cmocka_unit_test(items_need_not_be_text),
        cmocka_unit_test(ends_are_told),
        cmocka_unit_test(programs_that_cannot_run),
        cmocka_unit_test(a_program_just_written),
        cmocka_unit_test(words_of_any_length),
        cmocka_unit_test(output_of_any_length),
        cmocka_unit_test(output_without_end),
        cmocka_unit_test(what_it_leaves_ends_with_it),
        cmocka_unit_test(a_timeout_ends_all_of_it),
        cmocka_unit_test(its_surroundings),
        cmocka_unit_test(numbers_may_be_given),
        cmocka_unit_test(a_memory_limit_is_the_programs_too),
        cmocka_unit_test(what_programs_use_is_told),
        cmocka_unit_test(failed_ones_run_again),
    };
    return api_finish(cmocka_run_group_tests(tests, api_open_group, api_close_group));
}
