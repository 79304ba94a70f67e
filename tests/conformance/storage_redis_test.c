/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance suite over a real Redis server, started by tests/servers/with-redis, and tests of
 * Redis alone: passwords, TLS, parts, memory that is full, a server that dies or hangs. */
#include "storage_suite.h"

#include "storage/backends/redis/redis.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static lithops_error err;

static int number_in(const char *variable)
{
    return atoi(getenv(variable));
}

static pid_t server(void)
{
    int pid = 0;
    FILE *file = fopen(getenv("LITHOPS_TEST_REDIS_PID"), "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%d", &pid), 1);
    fclose(file);
    return pid;
}

static lithops_value *common_settings(void)
{
    return lithops_pack("{s:s,s:i,s:s}", "host", "127.0.0.1", "port",
                        number_in("LITHOPS_TEST_REDIS_PORT"), "password",
                        getenv("LITHOPS_TEST_REDIS_PASSWORD"));
}

/* Takes the settings. */
static lithops_storage *open_with(lithops_value *settings)
{
    err = (lithops_error)LITHOPS_ERROR_INIT;
    lithops_storage *storage =
        lithops__storage_open_driver(&lithops__storage_redis, settings, NULL, &err);
    lithops_value_free(settings);
    if (!storage)
        print_message("%s\n", err.message);
    return storage;
}

/* A command of the server's keeper. @return the reply's number */
static long long command(const char *text)
{
    static struct lithops__redis redis;
    redis = (struct lithops__redis){.tcp = NULL};
    lithops_error failure = LITHOPS_ERROR_INIT;
    unsigned retry_after_s = 0;
    const lithops_storage_op op = {
        .deadline_ns = UINT64_MAX, .err = &failure, .retry_after_s = &retry_after_s};
    lithops_value *settings = common_settings();
    assert_int_equal(lithops__storage_redis.ops->open(&redis, settings, &op), 0);
    lithops_value_free(settings);
    char copy[512];
    lithops_bytes words[8];
    size_t count = 0;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *save, *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
        words[count++] = (lithops_bytes){word, strlen(word)};
    struct lithops__redis_request request;
    if (lithops__redis_begin(&redis, text, words, count, &op, &request) != 0)
        fail_msg("%s: %s", text, failure.message);
    long long number = request.reply.number;
    lithops__redis_end(&redis, &request);
    lithops__storage_redis.ops->close(&redis);
    return number;
}

static lithops_storage *open_empty(void)
{
    command("FLUSHALL");
    return open_with(common_settings());
}

static int put_letters(lithops_storage *storage, const char *key, int letter, size_t len)
{
    char *body = malloc(len + 1);
    memset(body, letter, len);
    int rc = lithops_storage_put(storage, "b", key, (lithops_bytes){body, len}, &err);
    free(body);
    return rc;
}

static void expect_letters(lithops_storage *storage, const char *key, int letter, size_t len)
{
    char *data;
    size_t got;
    if (lithops_storage_get(storage, "b", key, 0, SIZE_MAX, (void **)&data, &got, &err) != 0)
        fail_msg("%s", err.message);
    assert_int_equal(got, len);
    for (size_t i = 0; i < len; i++)
        if (data[i] != letter)
            fail_msg("byte %zu is %d", i, data[i]);
    free(data);
}

/* ---- passwords and TLS ----------------------------------------------------------------------- */

static void expect_refused(lithops_value *settings, int code, const char *why)
{
    lithops_storage *storage = open_with(settings);
    lithops__storage_set_retries(storage, 2, 1);
    int rc = put_letters(storage, "k", 'x', 1);
    if (rc != code || !strstr(err.message, why))
        fail_msg("'%s' expected: %s (%d)", why, err.message, rc);
    assert_null(strstr(err.message, "a-wrong-one"));
    assert_null(strstr(err.message, getenv("LITHOPS_TEST_REDIS_PASSWORD")));
    lithops_storage_close(storage);
}

static void wrong_passwords_are_told_without_them(void **state)
{
    (void)state;
    int port = number_in("LITHOPS_TEST_REDIS_PORT");
    expect_refused(lithops_pack("{s:s,s:i}", "host", "127.0.0.1", "port", port), LITHOPS_EDENIED,
                   "set the password in the section 'redis'");
    expect_refused(
        lithops_pack("{s:s,s:i,s:s}", "host", "127.0.0.1", "port", port, "password", "a-wrong-one"),
        LITHOPS_EDENIED, "check username and password");
    expect_refused(lithops_pack("{s:s,s:i,s:s,s:s}", "host", "127.0.0.1", "port", port, "username",
                                "nobody", "password", "a-wrong-one"),
                   LITHOPS_EDENIED, "check username and password");
}

static lithops_value *tls_settings(const char *host, const char *authorities, const char *verify)
{
    return lithops_pack("{s:s,s:i,s:s,s:b,s:s,s:s,s:b,s:s}", "host", host, "port",
                        number_in("LITHOPS_TEST_REDIS_TLS_PORT"), "password",
                        getenv("LITHOPS_TEST_REDIS_PASSWORD"), "ssl", 1, "ssl_ca_certs",
                        authorities, "ssl_cert_reqs", verify, "ssl_check_hostname", 1, "username",
                        "default");
}

static void tls_is_verified(void **state)
{
    (void)state;
    const char *ca = getenv("LITHOPS_TEST_REDIS_CA");
    lithops_storage *storage = open_with(tls_settings("localhost", ca, "required"));
    if (put_letters(storage, "tls", 't', 9 << 20) != 0)
        fail_msg("%s", err.message);
    expect_letters(storage, "tls", 't', 9 << 20);
    lithops_storage_close(storage);
    expect_refused(tls_settings("localhost", "", "required"), LITHOPS_EDENIED, "certificate");
    expect_refused(tls_settings("127.0.0.1", ca, "required"), LITHOPS_EDENIED, "127.0.0.1");
    storage = open_with(tls_settings("127.0.0.1", "", "none"));
    expect_letters(storage, "tls", 't', 9 << 20);
    lithops_storage_close(storage);
    /* TLS where the server has none, and none where it has. */
    expect_refused(lithops_pack("{s:s,s:i,s:b,s:f}", "host", "localhost", "port",
                                number_in("LITHOPS_TEST_REDIS_PORT"), "ssl", 1,
                                "socket_connect_timeout", 0.2),
                   LITHOPS_EBACKEND, "cannot connect to localhost");
    expect_refused(lithops_pack("{s:s,s:i}", "host", "localhost", "port",
                                number_in("LITHOPS_TEST_REDIS_TLS_PORT")),
                   LITHOPS_EBACKEND, "localhost");
}

static void a_socket_and_a_database_can_be_named(void **state)
{
    (void)state;
    lithops_storage *storage = open_with(
        lithops_pack("{s:s,s:s,s:i}", "unix_socket_path", getenv("LITHOPS_TEST_REDIS_SOCKET"),
                     "password", getenv("LITHOPS_TEST_REDIS_PASSWORD"), "db", 3));
    if (put_letters(storage, "only there", 'x', 10) != 0)
        fail_msg("%s", err.message);
    expect_letters(storage, "only there", 'x', 10);
    lithops_storage_close(storage);
    storage = open_with(common_settings());
    lithops_object_info info;
    assert_int_equal(lithops_storage_head(storage, "b", "only there", &info, &err),
                     LITHOPS_ENOTFOUND);
    lithops_storage_close(storage);
}

/* ---- parts ----------------------------------------------------------------------------------- */

enum { LARGE = 2 * LITHOPS_STORAGE_PART_BYTES + 5 };

static void parts_of_what_was_replaced_are_removed(void **state)
{
    (void)state;
    lithops_storage *storage = open_empty();
    assert_int_equal(put_letters(storage, "k", 'a', LARGE), 0);
    assert_int_equal(command("DBSIZE"), 2 + 3); /* the record, the set, three parts */
    assert_int_equal(put_letters(storage, "k", 'b', LARGE), 0);
    assert_int_equal(command("DBSIZE"), 2 + 3);
    expect_letters(storage, "k", 'b', LARGE);
    char edge[4] = "";
    void *data;
    size_t len;
    assert_int_equal(lithops_storage_get(storage, "b", "k", LITHOPS_STORAGE_PART_BYTES - 1, 3,
                                         &data, &len, &err),
                     0);
    assert_int_equal(len, 3);
    memcpy(edge, data, 3);
    free(data);
    assert_string_equal(edge, "bbb");
    assert_int_equal(put_letters(storage, "k", 'c', 10), 0);
    assert_int_equal(command("DBSIZE"), 2 + 1);
    assert_int_equal(put_letters(storage, "k", 'd', 0), 0);
    assert_int_equal(command("DBSIZE"), 2);
    assert_int_equal(lithops_storage_delete(storage, "b", "k", &err), 0);
    assert_int_equal(command("DBSIZE"), 1); /* the bucket stays */
    lithops_storage_close(storage);
}

static void *write_two_parts(void *user)
{
    const size_t len = 2 * LITHOPS_STORAGE_PART_BYTES;
    char *body = calloc(1, len);
    for (size_t done = 0; done < len;) {
        ssize_t wrote = write(*(int *)user, body + done, len - done);
        if (wrote < 0)
            break; /* the reader has given up */
        done += (size_t)wrote;
    }
    free(body);
    return NULL; /* the pipe stays open: there might be more */
}

static bool until_a_part_is_there(void *user)
{
    return command("DBSIZE") > *(long long *)user;
}

static void a_put_that_is_given_up_leaves_no_parts(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    lithops_storage *storage = open_empty();
    assert_int_equal(put_letters(storage, "k", 'o', LARGE), 0);
    long long before = command("DBSIZE");
    int fds[2];
    pthread_t writer;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(pthread_create(&writer, NULL, write_two_parts, &fds[1]), 0);
    lithops_storage_set_bounds(storage, LITHOPS_FOREVER, until_a_part_is_there, &before, NULL);
    assert_int_equal(lithops_storage_put_fd(storage, "b", "k", fds[0], &err), LITHOPS_ECANCELED);
    close(fds[0]);
    pthread_join(writer, NULL);
    close(fds[1]);
    assert_int_equal(command("DBSIZE"), before);
    lithops_storage_set_bounds(storage, LITHOPS_FOREVER, NULL, NULL, NULL);
    expect_letters(storage, "k", 'o', LARGE);
    lithops_storage_close(storage);
}

static atomic_bool stop;

static void *replace_all_the_time(void *user)
{
    lithops_storage *storage = user;
    char *body = malloc(LARGE);
    lithops_error failure = LITHOPS_ERROR_INIT;
    intptr_t bad = 0;
    for (int i = 0; !stop; i++) {
        memset(body, 'a' + i % 26, LARGE);
        bad += lithops_storage_put(storage, "b", "k", (lithops_bytes){body, LARGE}, &failure) != 0;
    }
    free(body);
    return (void *)bad;
}

static void readers_see_one_version_of_many_parts(void **state)
{
    (void)state;
    lithops_storage *storage = open_empty();
    assert_int_equal(put_letters(storage, "k", 'z', LARGE), 0);
    pthread_t writer;
    void *bad;
    unsigned whole = 0;
    stop = false;
    assert_int_equal(pthread_create(&writer, NULL, replace_all_the_time, storage), 0);
    for (int i = 0; i < 40; i++) {
        lithops_reader *reader;
        char buf[8192];
        size_t len, total = 0;
        int rc = lithops_storage_open_reader(storage, "b", "k", 0, UINT64_MAX, &reader, &err),
            first = 0;
        assert_int_equal(rc, 0);
        do {
            rc = lithops_reader_read(reader, buf, sizeof buf, &len, &err);
            for (size_t k = 0; rc == 0 && k < len; k++) {
                first = first ? first : buf[k];
                if (buf[k] != first)
                    fail_msg("a mixture: %c and %c", first, buf[k]);
            }
            total += rc ? 0 : len;
        } while (rc == 0 && len);
        whole += total == LARGE;
        assert_true(rc == LITHOPS_EIO || (rc == 0 && total == LARGE));
        lithops_reader_close(reader);
    }
    stop = true;
    pthread_join(writer, &bad);
    assert_null(bad);
    print_message("%u of 40 readers outlived the version that they read\n", whole);
    lithops_storage_close(storage);
}

static void a_part_that_the_server_dropped_is_told(void **state)
{
    (void)state;
    lithops_storage *storage = open_empty();
    assert_int_equal(put_letters(storage, "k", 'x', 100), 0);
    lithops_object_info info;
    assert_int_equal(lithops_storage_head(storage, "b", "k", &info, &err), 0);
    char text[128];
    snprintf(text, sizeof text, "DEL {lithops:b}#%s/0", info.etag);
    assert_int_equal(command(text), 1);
    void *data;
    size_t len;
    assert_int_equal(lithops_storage_get(storage, "b", "k", 0, SIZE_MAX, &data, &len, &err),
                     LITHOPS_EIO);
    assert_non_null(strstr(err.message, "maxmemory-policy to noeviction"));
    lithops_storage_close(storage);
}

static int count_keys(const lithops_object_info *info, void *user)
{
    char expected[32];
    size_t *count = user;
    snprintf(expected, sizeof expected, "page/%05zu", (*count)++);
    assert_string_equal(info->key, expected);
    return 0;
}

static void lists_have_pages(void **state)
{
    (void)state;
    enum { MANY = 1700 };
    lithops_storage *storage = open_empty();
    static char names[MANY][32];
    static const char *keys[MANY];
    for (size_t i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "page/%05zu", i);
        keys[i] = names[i];
        assert_int_equal(put_letters(storage, keys[i], 'x', 1), 0);
    }
    assert_int_equal(put_letters(storage, "pagf", 'x', 1), 0);
    size_t count = 0;
    assert_int_equal(lithops_storage_list(storage, "b", "page", count_keys, &count, &err), 0);
    assert_int_equal(count, MANY);
    assert_int_equal(lithops_storage_delete_many(storage, "b", keys, MANY, &err), 0);
    count = 0;
    assert_int_equal(lithops_storage_list(storage, "b", "page", count_keys, &count, &err), 0);
    assert_int_equal(count, 0);
    assert_int_equal(command("DBSIZE"), 3);
    lithops_storage_close(storage);
}

/* ---- trouble --------------------------------------------------------------------------------- */

static void full_memory_keeps_the_old_object(void **state)
{
    (void)state;
    lithops_storage *storage = open_empty();
    assert_int_equal(put_letters(storage, "k", 'o', 100), 0);
    long long before = command("DBSIZE");
    command("CONFIG SET maxmemory 14mb");
    int large = put_letters(storage, "k", 'n', 5 * LITHOPS_STORAGE_PART_BYTES);
    if (large != LITHOPS_ENOSPACE)
        fail_msg("%d: %s", large, err.message);
    assert_non_null(strstr(err.message, "raise maxmemory"));
    assert_int_equal(command("DBSIZE"), before);
    expect_letters(storage, "k", 'o', 100);
    command("CONFIG SET maxmemory 1");
    assert_int_equal(put_letters(storage, "k", 'n', 100), LITHOPS_ENOSPACE);
    expect_letters(storage, "k", 'o', 100);
    assert_int_equal(lithops_storage_delete(storage, "b", "k", &err), 0); /* makes room */
    command("CONFIG SET maxmemory 0");
    assert_int_equal(put_letters(storage, "k", 'n', 100), 0);
    lithops_storage_close(storage);
}

static void a_server_that_comes_back_is_found(void **state)
{
    (void)state;
    lithops_storage *storage = open_empty();
    lithops__storage_set_retries(storage, 9, 50);
    assert_int_equal(put_letters(storage, "k", 'x', LARGE), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(kill(server(), SIGKILL), 0);
        expect_letters(storage, "k", 'x' + i, LARGE);
        assert_int_equal(kill(server(), SIGKILL), 0);
        if (put_letters(storage, "k", 'x' + i + 1, LARGE) != 0)
            fail_msg("%s", err.message);
    }
    lithops_storage_close(storage);
}

static void a_server_that_hangs_ends_with_the_deadline(void **state)
{
    (void)state;
    lithops_storage *storage = open_empty();
    assert_int_equal(put_letters(storage, "k", 'x', 1), 0);
    pid_t pid = server();
    assert_int_equal(kill(pid, SIGSTOP), 0);
    lithops_storage_set_bounds(storage, 300, NULL, NULL, NULL);
    void *data;
    size_t len;
    int rc = lithops_storage_get(storage, "b", "k", 0, SIZE_MAX, &data, &len, &err);
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_int_equal(rc, LITHOPS_ETIMEDOUT);
    lithops_storage_set_bounds(storage, 20000, NULL, NULL, NULL);
    expect_letters(storage, "k", 'x', 1);
    lithops_storage_close(storage);
}

static void a_host_is_needed_and_looked_for(void **state)
{
    (void)state;
    assert_null(open_with(lithops_pack("{s:i}", "port", 1)));
    assert_int_equal(err.code, LITHOPS_ECONFIG);
    assert_non_null(strstr(err.message, "'redis' needs a host"));
    lithops_storage *storage =
        open_with(lithops_pack("{s:s,s:i}", "host", "no-such-host.invalid", "port", 1));
    assert_int_equal(put_letters(storage, "k", 'x', 1), LITHOPS_EBACKEND);
    assert_non_null(strstr(err.message, "no-such-host.invalid"));
    lithops_storage_close(storage);
    storage = open_with(lithops_pack("{s:s,s:i}", "host", "127.0.0.1", "port", 9));
    lithops__storage_set_retries(storage, 2, 1);
    assert_int_equal(put_letters(storage, "k", 'x', 1), LITHOPS_EBACKEND);
    assert_non_null(strstr(err.message, "cannot connect to 127.0.0.1:9"));
    lithops_storage_close(storage);
}

int main(void)
{
    if (!getenv("LITHOPS_TEST_REDIS_PORT")) {
        print_message("run this by tests/servers/with-redis\n");
        return 1;
    }
    const struct storage_suite suite = {
        .name = "redis", .open = open_empty, .close = lithops_storage_close};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_passwords_are_told_without_them),
        cmocka_unit_test(tls_is_verified),
        cmocka_unit_test(a_socket_and_a_database_can_be_named),
        cmocka_unit_test(parts_of_what_was_replaced_are_removed),
        cmocka_unit_test(a_put_that_is_given_up_leaves_no_parts),
        cmocka_unit_test(readers_see_one_version_of_many_parts),
        cmocka_unit_test(a_part_that_the_server_dropped_is_told),
        cmocka_unit_test(lists_have_pages),
        cmocka_unit_test(full_memory_keeps_the_old_object),
        cmocka_unit_test(a_server_that_comes_back_is_found),
        cmocka_unit_test(a_server_that_hangs_ends_with_the_deadline),
        cmocka_unit_test(a_host_is_needed_and_looked_for),
    };
    int failed = storage_suite_run(&suite);
    return failed + cmocka_run_group_tests_name("redis' own", tests, NULL, NULL);
}
