/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of log.c. A deadlock ends at the time limit of the test. */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int quiet(void **state)
{
    (void)state;
    lithops_log_to(LITHOPS_LOG_NONE, NULL, NULL);
    return 0;
}

static void levels_have_words(void **state)
{
    (void)state;
    lithops_log_level level;
    assert_int_equal(lithops__log_level_parse("Warn", &level), 0);
    assert_int_equal(level, LITHOPS_LOG_WARNING);
    assert_int_equal(lithops__log_level_parse("ERROR", &level), 0);
    assert_int_equal(level, LITHOPS_LOG_ERROR);
    assert_int_equal(lithops__log_level_parse(NULL, &level), 0);
    assert_int_equal(level, LITHOPS_LOG_NONE);
    assert_int_equal(lithops__log_level_parse("loud", &level), -1);
    assert_int_equal(lithops__log_level_parse("", &level), -1);
}

static char last[2000];
static int records;
static void keep_record(lithops_log_level level, const char *where, const char *text, void *user)
{
    snprintf(last, sizeof last, "%d %s %s", (int)level, where, text);
    records++;
    errno = EDOM;
    assert_ptr_equal(user, &records);
}

static void records_reach_the_sink(void **state)
{
    (void)state;
    records = 0;
    lithops_log_to(LITHOPS_LOG_WARNING, keep_record, &records);
    errno = ENOENT;
    lithops__log(LITHOPS_LOG_INFO, "here", "n=%d", 6);
    lithops__log(LITHOPS_LOG_ERROR, "here", "n=%d", 7);
    assert_int_equal(errno, ENOENT); /* a record may stand between a call and its errno */
    assert_int_equal(records, 1);
    assert_string_equal(last, "3 here n=7");
    lithops_log_to(LITHOPS_LOG_NONE, keep_record, &records);
    lithops__log(LITHOPS_LOG_ERROR, "here", "n=%d", 8);
    assert_int_equal(records, 1);
}

static void a_record_is_one_line(void **state)
{
    (void)state;
    lithops_log_to(LITHOPS_LOG_DEBUG, keep_record, &records);
    lithops__log(LITHOPS_LOG_DEBUG, "here", "bad key '%s'\n", "a\nlithops error\xff");
    assert_string_equal(last, "0 here bad key 'a lithops error?'");
    char text[3000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    lithops__log(LITHOPS_LOG_DEBUG, "here", "%s", text);
    assert_in_range(strlen(last), 1000, 1100);
}

static void without_a_sink_lines_go_to_standard_error(void **state)
{
    (void)state;
    int ends[2], kept = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    lithops_log_to(LITHOPS_LOG_INFO, NULL, NULL);
    lithops__log(LITHOPS_LOG_DEBUG, "here", "not this");
    lithops__log(LITHOPS_LOG_INFO, "here", "one\ntwo");
    lithops__log(LITHOPS_LOG_ERROR, "there", "%s", "");
    dup2(kept, STDERR_FILENO);
    close(kept);
    char text[200];
    size_t used = 0;
    ssize_t len;
    while (used < sizeof text - 1 && (len = read(ends[0], text + used, sizeof text - 1 - used)) > 0)
        used += (size_t)len;
    text[used] = '\0';
    close(ends[0]);
    assert_string_equal(text, "lithops info [here] one two\nlithops error [there] \n");
}

static int in_sink, total; /* without a lock: it is the log's to keep threads apart */
static void count_alone(lithops_log_level level, const char *where, const char *text, void *user)
{
    (void)level, (void)where, (void)text, (void)user;
    in_sink++;
    total += in_sink == 1;
    in_sink--;
}
static void *log_much(void *unused)
{
    (void)unused;
    for (int i = 0; i < 5000; i++)
        lithops__log(LITHOPS_LOG_INFO, "here", "%d", i);
    return NULL;
}

static void two_threads_are_never_in_the_sink(void **state)
{
    (void)state;
    pthread_t threads[4];
    total = 0;
    lithops_log_to(LITHOPS_LOG_INFO, count_alone, NULL);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_much, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    lithops_log_to(LITHOPS_LOG_NONE, NULL, NULL);
    assert_int_equal(total, 4 * 5000);
}

static int entered[2], go_on[2]; /* pipes: from the sink, and to it */
static void stay(lithops_log_level level, const char *where, const char *text, void *user)
{
    (void)level, (void)where, (void)user;
    char byte = text[0];
    assert_int_equal(write(entered[1], &byte, 1), 1);
    if (byte == 's') /* a cancellation point */
        while (read(go_on[0], &byte, 1) < 0 && errno == EINTR) {
        }
}
static void *log_and_stay(void *unused)
{
    (void)unused;
    lithops__log(LITHOPS_LOG_INFO, "here", "stay");
    return NULL;
}
static char next_entered(void)
{
    char byte = 0;
    assert_int_equal(read(entered[0], &byte, 1), 1);
    return byte;
}
static pthread_t thread_in_the_sink(void)
{
    pthread_t thread;
    assert_int_equal(pipe(entered), 0);
    assert_int_equal(pipe(go_on), 0);
    lithops_log_to(LITHOPS_LOG_INFO, stay, NULL);
    assert_int_equal(pthread_create(&thread, NULL, log_and_stay, NULL), 0);
    assert_int_equal(next_entered(), 's');
    return thread;
}
static void close_pipes(void)
{
    for (int i = 0; i < 2; i++) {
        close(entered[i]);
        close(go_on[i]);
    }
}

static void a_child_forked_while_another_thread_logs_can_log(void **state)
{
    (void)state;
    pthread_t thread = thread_in_the_sink();
    pid_t child = fork();
    if (child == 0) {
        lithops__log(LITHOPS_LOG_INFO, "here", "child");
        lithops__log(LITHOPS_LOG_INFO, "here", "child");
        lithops_log_to(LITHOPS_LOG_NONE, NULL, NULL);
        _exit(7);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    assert_int_equal(next_entered(), 'c');
    assert_int_equal(next_entered(), 'c');
    assert_int_equal(write(go_on[1], "x", 1), 1);
    pthread_join(thread, NULL);
    lithops__log(LITHOPS_LOG_INFO, "here", "parent");
    assert_int_equal(next_entered(), 'p');
    close_pipes();
}

static void a_thread_cancelled_in_the_sink_does_not_silence_it(void **state)
{
    (void)state;
    pthread_t thread = thread_in_the_sink();
    void *ended;
    pthread_cancel(thread);
    pthread_join(thread, &ended);
    assert_ptr_equal(ended, PTHREAD_CANCELED);
    lithops__log(LITHOPS_LOG_INFO, "here", "next");
    assert_int_equal(next_entered(), 'n');
    close_pipes();
}

static void log_again(lithops_log_level level, const char *where, const char *text, void *user)
{
    (void)where, (void)text, (void)user;
    records++;
    lithops__log(level, "there", "from the sink");
}

static void a_record_from_the_sink_is_dropped(void **state)
{
    (void)state;
    records = 0;
    lithops_log_to(LITHOPS_LOG_INFO, log_again, NULL);
    lithops__log(LITHOPS_LOG_INFO, "here", "one");
    lithops__log(LITHOPS_LOG_INFO, "here", "two");
    assert_int_equal(records, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_have_words),
        cmocka_unit_test_teardown(records_reach_the_sink, quiet),
        cmocka_unit_test_teardown(a_record_is_one_line, quiet),
        cmocka_unit_test_teardown(without_a_sink_lines_go_to_standard_error, quiet),
        cmocka_unit_test_teardown(two_threads_are_never_in_the_sink, quiet),
        cmocka_unit_test_teardown(a_child_forked_while_another_thread_logs_can_log, quiet),
        cmocka_unit_test_teardown(a_thread_cancelled_in_the_sink_does_not_silence_it, quiet),
        cmocka_unit_test_teardown(a_record_from_the_sink_is_dropped, quiet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
