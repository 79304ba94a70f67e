/* SPDX-License-Identifier: Apache-2.0 */
/* How much output is kept: of one call, of all calls of an executor, in the folder; and that it
 * outlives the cleaning of its job. */
#include "api.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

/* `mib` MiB on standard output, between two lines; ends as the input says. */
LITHOPS_FUNCTION(print_much)
{
    int64_t mib, dies;
    if (lithops_args(call, "II", "mib", &mib, "dies", &dies) != 0)
        return LITHOPS_EARG;
    static char block[64 << 10];
    memset(block, 'x', sizeof block);
    printf("the first line\n");
    fflush(stdout);
    for (int64_t i = 0; i < mib * 16; i++)
        if (write(STDOUT_FILENO, block, sizeof block) != (ssize_t)sizeof block)
            return lithops_fail(call, "write failed");
    printf("\nthe last line\n");
    fflush(stdout);
    if (dies)
        _exit(3);
    return 0;
}

LITHOPS_FUNCTION(print_number)
{
    printf("number %d\n", (int)lithops_call_int(call));
    return lithops_call_int(call) % 2 ? lithops_fail(call, "odd") : 0;
}

/* Like `tee /dev/stdout`: the file is truncated first. Writes that many bytes, and may die. */
LITHOPS_FUNCTION(print_anew)
{
    int64_t bytes, dies;
    if (lithops_args(call, "II", "bytes", &bytes, "dies", &dies) != 0)
        return LITHOPS_EARG;
    FILE *file = fopen("/dev/stdout", "w");
    for (int64_t i = 0; file && i < bytes; i++)
        fputc('a' + (int)(i % 26), file);
    if (!file || fclose(file) != 0)
        return lithops_fail(call, "cannot write");
    if (dies)
        _exit(3);
    return 0;
}

static lithops_executor *open_with(int per_call, int kept)
{
    char limits[128];
    snprintf(limits, sizeof limits, "{\"output_per_call\": %d, \"output_kept\": %d}", per_call,
             kept);
    return api_open_limited(limits, "{\"worker_processes\": 1}");
}

/* The output of a call; drops its future. */
static char *logs_of(lithops_future *future)
{
    succeeds(lithops_future_wait(not_null(future), LIMIT_MS, &err));
    char *logs = lithops_future_logs(future);
    lithops_future_unref(future);
    return not_null(logs);
}

static lithops_future *print(lithops_executor *in, int mib, int dies)
{
    return lithops_call_async(in, print_much, lithops_pack("[ii]", mib, dies), NULL, &err);
}

static void expect_number(lithops_executor *in, int number)
{
    char *logs =
        logs_of(lithops_call_async(in, print_number, lithops_value_int(number), NULL, &err));
    char expected[32];
    snprintf(expected, sizeof expected, "number %d\n", number);
    assert_string_equal(logs, expected);
    free(logs);
}

/* MiB of memory in the workers' log files that this process has open. */
static size_t memory_mib(void)
{
    size_t blocks = 0;
    for (int fd = 0; fd < 256; fd++) {
        char path[64], target[64];
        struct stat status;
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(path, target, sizeof target - 1);
        target[len > 0 ? len : 0] = '\0';
        if (strncmp(target, "/memfd:lithops-log", 18) == 0 && fstat(fd, &status) == 0)
            blocks += (size_t)status.st_blocks;
    }
    return blocks / 2048;
}

/* The log file of an executor, for free(); NULL: there is none. */
static char *kept_of(const char *id, size_t *ret_len)
{
    char path[300];
    snprintf(path, sizeof path, "%s/lithops-%u/logs/%s.log", folder, (unsigned)getuid(), id);
    FILE *file = fopen(path, "r");
    if (!file)
        return NULL;
    struct stat status;
    assert_int_equal(fstat(fileno(file), &status), 0);
    char *text = calloc(1, (size_t)status.st_size + 1);
    *ret_len = fread(text, 1, (size_t)status.st_size, file);
    fclose(file);
    return text;
}

static void test_one_call(void **state)
{
    (void)state;
    const int mib = api_times(100);
    for (int dies = 0; dies < 2; dies++) {
        lithops_executor *own = open_with(1, 64);
        char id[32];
        snprintf(id, sizeof id, "%s", lithops_executor_id(own));
        char *logs = logs_of(print(own, mib, dies));
        size_t len = strlen(logs);
        assert_true(len > MIB && len < MIB + 200);
        assert_int_equal(strncmp(logs, "the first line\nxxx", 18), 0);
        not_null(strstr(logs, "bytes of output are not kept: lithops.output_per_call]\n"));
        assert_string_equal(logs + len - 16, "x\nthe last line\n");
        free(logs);
        expect_number(own, 4); /* output is still attributed to the right call */
        assert_true(memory_mib() <= 2);
        lithops_executor_close(own);
        char *text = not_null(kept_of(id, &len));
        assert_true(len > MIB && len < MIB + 1000);
        not_null(strstr(text, "number 4\n"));
        free(text);
    }
}

/* The newest output is kept; in place of older calls' output there is a note. */
static void test_many_calls(void **state)
{
    (void)state;
    lithops_executor *own = open_with(1, 4);
    lithops_future *futures[20];
    for (int i = 0; i < 20; i++) {
        futures[i] = not_null(print(own, 1, 0));
        succeeds(lithops_future_wait(futures[i], LIMIT_MS, &err));
        assert_true(memory_mib() <= 6);
    }
    for (int i = 0; i < 20; i++) {
        char *logs = logs_of(futures[i]);
        if (i == 0)
            not_null(strstr(logs, "later ones have written more than lithops.output_kept]"));
        if (i == 19)
            not_null(strstr(logs, "the last line"));
        free(logs);
    }
    lithops_executor_close(own);
}

/* A call opens /dev/stdout again: output is still attributed to it and to later calls. */
static void test_emptied(void **state)
{
    (void)state;
    for (int dies = 0; dies < 2; dies++) {
        lithops_executor *own = open_with(1, 4);
        for (int bytes = 5; bytes <= 5000; bytes *= 10) { /* less than there was, and more */
            expect_number(own, 24680);
            lithops_future *before =
                lithops_call_async(own, print_number, lithops_value_int(2), NULL, &err);
            succeeds(lithops_future_wait(not_null(before), LIMIT_MS, &err));
            char *logs = logs_of(
                lithops_call_async(own, print_anew, lithops_pack("[ii]", bytes, dies), NULL, &err));
            assert_int_equal(strlen(logs), bytes);
            assert_int_equal(strncmp(logs, "abcde", 5), 0);
            free(logs);
            logs = logs_of(before);
            if (!api_backend()) /* remote workers had already sent it to the client */
                not_null(strstr(logs, "[9 bytes of output are not kept"));
            free(logs);
            expect_number(own, 4);
        }
        lithops_executor_close(own);
    }
}

static void test_folder(void **state)
{
    (void)state;
    char path[256], block[4096] = "";
    snprintf(path, sizeof path, "%s/lithops-%u/logs/000000-0.log", folder, (unsigned)getuid());
    FILE *old = not_null(fopen(path, "w"));
    for (int i = 0; i < 5 * MIB / (int)sizeof block; i++)
        assert_int_equal(fwrite(block, sizeof block, 1, old), 1);
    fclose(old);
    const struct timespec long_ago[2] = {{1, 0}, {1, 0}};
    assert_int_equal(utimensat(AT_FDCWD, path, long_ago, 0), 0);
    lithops_executor *own = open_with(1, 4);
    char id[32];
    snprintf(id, sizeof id, "%s", lithops_executor_id(own));
    expect_number(own, 6);
    lithops_executor_close(own);
    assert_int_not_equal(access(path, F_OK), 0);
    size_t len;
    char *text = not_null(kept_of(id, &len));
    not_null(strstr(text, "number 6\n"));
    free(text);
}

/* A log that is still written to is not removed for another executor's. */
static void test_folder_in_use(void **state)
{
    (void)state;
    lithops_executor *older = open_with(1, 64), *newer = open_with(1, 1);
    char id[32];
    snprintf(id, sizeof id, "%s", lithops_executor_id(older));
    for (int i = 0; i < 2; i++)
        free(logs_of(print(older, 1, 0)));
    succeeds(lithops_clean(older, NULL, NULL, &err));
    free(logs_of(print(newer, 1, 0)));
    lithops_executor_close(newer);
    lithops_executor_close(older);
    size_t len;
    free(not_null(kept_of(id, &len)));
}

/* Also of calls that have failed. */
static void test_cleaned(void **state)
{
    (void)state;
    lithops_executor *own = open_with(1, 4);
    char id[32];
    snprintf(id, sizeof id, "%s", lithops_executor_id(own));
    for (int round = 0; round < 3; round++) {
        lithops_futures *fs =
            lithops_map(own, print_number, lithops_range(round * 2, round * 2 + 2), NULL, &err);
        lithops_wait_options wait = within_limit;
        wait.throw_except = false;
        succeeds(lithops_wait(NULL, not_null(fs), &wait, NULL, NULL, &err));
        succeeds(lithops_clean(own, fs, NULL, &err));
        lithops_futures_unref(fs);
    }
    lithops_executor_close(own);
    size_t len;
    char *text = not_null(kept_of(id, &len));
    for (int i = 0; i < 6; i++) {
        char expected[64];
        snprintf(expected, sizeof expected, "\nnumber %d\n", i);
        const char *at = not_null(strstr(text, expected));
        assert_null(strstr(at + 1, expected)); /* once */
    }
    free(text);
}

/* A forked child inherits the buffers of all files, and writes them when it exits. */
static void test_fork(void **state)
{
    (void)state;
    lithops_executor *own = open_with(1, 4);
    char id[32];
    snprintf(id, sizeof id, "%s", lithops_executor_id(own));
    lithops_future *future =
        lithops_call_async(own, print_number, lithops_value_int(8), NULL, &err);
    succeeds(lithops_future_wait(not_null(future), LIMIT_MS, &err));
    lithops_future_unref(future);
    succeeds(lithops_clean(own, NULL, NULL, &err));
    pid_t child = fork();
    if (child == 0) {
        fflush(NULL); /* as exit() does */
        _exit(0);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    lithops_executor_close(own);
    size_t len;
    char *text = not_null(kept_of(id, &len));
    const char *at = not_null(strstr(text, "\nnumber 8\n"));
    assert_null(strstr(at + 1, "\nnumber 8\n"));
    free(text);
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    setenv("TMPDIR", folder, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_call),      cmocka_unit_test(test_many_calls),
        cmocka_unit_test(test_emptied),       cmocka_unit_test(test_folder),
        cmocka_unit_test(test_folder_in_use), cmocka_unit_test(test_cleaned),
        cmocka_unit_test(test_fork),
    };
    return api_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
