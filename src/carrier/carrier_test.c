/* SPDX-License-Identifier: Apache-2.0 */
/* Links through a storage that nothing but the storage is needed for; carrier_broker_test has the
 * others. */
#include "carrier/carrier_parts.h"

#include "carrier/end.h"
#include "config/storage.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void bytes_go_both_ways_and_nothing_is_left(void **state)
{
    (void)state;
    struct both both;
    connect_both(&both);
    talk(&both);
    end_both(&both);
}

static void a_list_that_lags_does_no_harm(void **state)
{
    (void)state;
    struct both both;
    atomic_store(&server.lags, true);
    connect_both(&both);
    talk(&both);
    atomic_store(&server.lags, false);
    end_both(&both);
}

struct flood {
    int fd;
    uint32_t frames;
};

static void *pour(void *user)
{
    const struct flood *flood = user;
    for (uint32_t i = 0; i < flood->frames; i++)
        say(flood->fd, LITHOPS__MESSAGE_BLOB, 0, i, 1 << 20);
    return NULL;
}

static void long_streams_keep_their_order(void **state)
{
    (void)state;
    struct both both;
    connect_both(&both);
    const int from[] = {both.client, both.worker}, to[] = {both.worker, both.client};
    unsigned puts = atomic_load(&server.puts);
    for (int way = 0; way < 2; way++) {
        struct flood flood = {from[way], 40};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, pour, &flood), 0);
        for (uint32_t i = 0; i < flood.frames; i++)
            hear(to[way], LITHOPS__MESSAGE_BLOB, i, 1 << 20);
        pthread_join(thread, NULL);
    }
    /* One for each 4 MiB, but for what goes early as more is slow to come. */
    assert_in_range(atomic_load(&server.puts) - puts, 16, 320);
    end_both(&both);
}

/* Whoever comes first has the link, the other one is sent away. */
static void of_two_workers_with_one_key_one_is_heard(void **state)
{
    (void)state;
    struct both both;
    struct lithops__carried *second;
    int fd;
    connect_both(&both);
    assert_int_equal(lithops__carrier_join(both.config, both.key, &second, &fd, &err), 0);
    say(fd, LITHOPS__MESSAGE_HELLO, 0, 9, 100);
    say(fd, LITHOPS__MESSAGE_OUTCOMES, LITHOPS__FRAME_SOON, 9, 100);
    talk(&both);
    hear(fd, LITHOPS__MESSAGE_BYE, 0, 0);
    talk(&both);
    char byte;
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    close(fd);
    assert_int_equal(lithops__carrier_leave(second, false, &err), 0);
    end_both(&both);
}

/* Its cloud has started it long after somebody waited for it. */
static void a_worker_whose_link_is_over_is_sent_away(void **state)
{
    (void)state;
    struct both both;
    struct lithops__carried *late;
    char key[LITHOPS__CARRIER_KEY], how[8] = "";
    int fd, gone;
    connect_both(&both);
    assert_int_equal(lithops__carrier_connect(both.carrier, 0, key, &gone, &err), 0);
    close(gone);
    lithops__carrier_disconnect(both.carrier, 0, how, sizeof how);
    assert_int_equal(lithops__carrier_join(both.config, key, &late, &fd, &err), 0);
    say(fd, LITHOPS__MESSAGE_HELLO, 0, 9, 100);
    talk(&both);
    hear(fd, LITHOPS__MESSAGE_BYE, 0, 0);
    close(fd);
    assert_int_equal(lithops__carrier_leave(late, false, &err), 0);
    end_both(&both);
}

/* What it wrote before its end is read, though lists do not show it yet; then the link ends. */
static void an_ended_worker_is_heard_to_the_end(void **state)
{
    (void)state;
    struct both both;
    char byte, how[8] = "";
    connect_both(&both);
    atomic_store(&server.lags, true);
    for (uint32_t i = 0; i < 3; i++) {
        unsigned before = atomic_load(&server.puts);
        say(both.worker, LITHOPS__MESSAGE_OUTCOMES, LITHOPS__FRAME_SOON, i, 1000);
        while (atomic_load(&server.puts) == before)
            sched_yield();
    }
    close(both.worker);
    assert_int_equal(lithops__carrier_leave(both.carried, false, &err), 0);
    lithops__carrier_ended(both.carrier, 1);
    for (uint32_t i = 0; i < 3; i++)
        hear(both.client, LITHOPS__MESSAGE_OUTCOMES, i, 1000);
    assert_int_equal(recv(both.client, &byte, 1, 0), 0);
    atomic_store(&server.lags, false);
    close(both.client);
    lithops__carrier_disconnect(both.carrier, 1, how, sizeof how);
    lithops__carrier_close(both.carrier);
    assert_int_equal(count_objects(both.config), 0);
    lithops__config_free(both.config);
}

static void a_worker_that_ended_without_a_word_is_none(void **state)
{
    (void)state;
    struct lithops__config *config = configure();
    struct lithops__carrier *carrier;
    char key[LITHOPS__CARRIER_KEY], how[8] = "", byte;
    int client;
    assert_int_equal(lithops__carrier_open(config, "abc-0", 1, &carrier, &err), 0);
    assert_int_equal(lithops__carrier_connect(carrier, 0, key, &client, &err), 0);
    say(client, LITHOPS__MESSAGE_HELLO, 0, 7, 100);
    lithops__carrier_ended(carrier, 0);
    assert_int_equal(recv(client, &byte, 1, 0), 0);
    close(client);
    lithops__carrier_disconnect(carrier, 0, how, sizeof how);
    lithops__carrier_close(carrier);
    assert_int_equal(count_objects(config), 0);
    lithops__config_free(config);
}

/* ---- workers that end when they are told ----------------------------------------------------- */

struct leaving {
    struct both *both;
    atomic_bool says_hello, has_left;
};

/* It goes on to write until it hears BYE, and later. */
static void *leave_when_told(void *user)
{
    struct leaving *leaving = user;
    struct both *both = leaving->both;
    while (!atomic_load(&leaving->says_hello))
        sched_yield();
    say(both->worker, LITHOPS__MESSAGE_HELLO, 0, 8, 100);
    say(both->worker, LITHOPS__MESSAGE_OUTCOMES, LITHOPS__FRAME_SOON, 8, 100);
    hear(both->worker, LITHOPS__MESSAGE_BYE, 0, 0);
    say(both->worker, LITHOPS__MESSAGE_OUTCOMES, LITHOPS__FRAME_SOON, 9, 100);
    close(both->worker);
    assert_int_equal(lithops__carrier_leave(both->carried, false, NULL), 0);
    atomic_store(&leaving->has_left, true);
    return NULL;
}

/* The end of an executor whose backend cannot end its workers: nothing is written after it. */
static void end_told(struct leaving *leaving)
{
    struct both *both = leaving->both;
    pthread_t thread;
    char how[8] = "";
    assert_int_equal(pthread_create(&thread, NULL, leave_when_told, leaving), 0);
    say(both->client, LITHOPS__MESSAGE_BYE, 0, 0, 0);
    lithops__carrier_told(both->carrier, 1);
    close(both->client);
    lithops__carrier_disconnect(both->carrier, 1, how, sizeof how);
    atomic_store(&leaving->says_hello, true);
    lithops__carrier_close(both->carrier);
    assert_int_equal(count_objects(both->config), 0);
    pthread_join(thread, NULL);
    assert_true(atomic_load(&leaving->has_left));
    assert_int_equal(count_objects(both->config), 0);
    lithops__config_free(both->config);
}

static void a_worker_that_is_told_has_gone_before_the_end(void **state)
{
    (void)state;
    struct both both;
    struct leaving leaving = {.both = &both, .says_hello = true};
    connect_both(&both);
    end_told(&leaving);
}

/* It has read the hello, and says its own when the link is over. */
static void a_worker_that_comes_at_the_end_is_told(void **state)
{
    (void)state;
    struct both both;
    struct leaving leaving = {.both = &both};
    both.config = configure();
    assert_int_equal(lithops__carrier_open(both.config, "abc-0", 2, &both.carrier, &err), 0);
    assert_int_equal(lithops__carrier_connect(both.carrier, 1, both.key, &both.client, &err), 0);
    assert_int_equal(
        lithops__carrier_join(both.config, both.key, &both.carried, &both.worker, &err), 0);
    say(both.client, LITHOPS__MESSAGE_HELLO, 0, 7, 100);
    hear(both.worker, LITHOPS__MESSAGE_HELLO, 7, 100);
    while (count_objects(both.config) > 0) /* the worker deletes it */
        sched_yield();
    end_told(&leaving);
}

/* By a signal, as when the client hangs up: BYE is there, and may not be read yet. */
static void a_worker_that_is_stopped_looks_for_bye(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct both both;
        char how[8] = "";
        connect_both(&both);
        say(both.client, LITHOPS__MESSAGE_BYE, 0, 0, 0);
        lithops__carrier_told(both.carrier, 1);
        close(both.client);
        lithops__carrier_disconnect(both.carrier, 1, how, sizeof how);
        say(both.worker, LITHOPS__MESSAGE_END, 0, 0, 100);
        close(both.worker);
        assert_int_equal(lithops__carrier_leave(both.carried, false, NULL), 0);
        assert_int_equal(count_objects(both.config), 0);
        lithops__carrier_close(both.carrier);
        lithops__config_free(both.config);
    }
}

/* Nobody has come, so there is nobody to wait for, but for one that comes at this moment. */
static void a_worker_that_has_not_come_is_hardly_waited_for(void **state)
{
    (void)state;
    struct lithops__config *config = configure();
    struct lithops__carrier *carrier;
    char key[LITHOPS__CARRIER_KEY], how[8] = "";
    int client;
    assert_int_equal(lithops__carrier_open(config, "abc-0", 1, &carrier, &err), 0);
    assert_int_equal(lithops__carrier_connect(carrier, 0, key, &client, &err), 0);
    unsigned puts = atomic_load(&server.puts);
    say(client, LITHOPS__MESSAGE_HELLO, 0, 7, 100);
    while (atomic_load(&server.puts) == puts)
        sched_yield();
    say(client, LITHOPS__MESSAGE_BYE, 0, 0, 0);
    lithops__carrier_told(carrier, 0);
    close(client);
    lithops__carrier_disconnect(carrier, 0, how, sizeof how);
    unsigned lists = atomic_load(&server.lists);
    lithops__carrier_close(carrier);
    assert_in_range(atomic_load(&server.lists) - lists, 3, 40);
    assert_int_equal(count_objects(config), 0);
    lithops__config_free(config);
}

/* Somebody else writes where workers do. */
static void objects_that_no_worker_wrote_are_deleted(void **state)
{
    (void)state;
    static const char *const names[] = {"",          "/",          "/a",           "/0123456",
                                        "/01234567", "/01234567/", "/01234567/x1", "/01234567/1x"};
    struct both both;
    char key[2 * LITHOPS__CARRIER_KEY];
    connect_both(&both);
    const char *link = strrchr(both.key, '/') + 1;
    lithops_storage *storage = lithops__storage_open(both.config, NULL, &err);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(key, sizeof key, "%.*sfrom/%s%s", (int)(link - both.key), both.key,
                 i ? link : "9-1", names[i]);
        (void)lithops_storage_put(storage, lithops_storage_bucket(storage), key,
                                  (lithops_bytes){"x", 1}, NULL); /* not all are possible here */
    }
    lithops_storage_close(storage);
    talk(&both);
    while (count_objects(both.config) > 3) /* one may be the last that was heard, two were said */
        talk(&both);
    end_both(&both);
}

/* Progress waits for half a second here, so hundreds of messages are few objects. */
static void progress_is_gathered(void **state)
{
    (void)state;
    struct both both;
    connect_both(&both);
    unsigned puts = atomic_load(&server.puts);
    for (uint32_t i = 0; i < 500; i++)
        say(both.worker, LITHOPS__MESSAGE_OUTCOMES, 0, i, 100);
    say(both.worker, LITHOPS__MESSAGE_OUTCOMES, LITHOPS__FRAME_SOON, 500, 100);
    for (uint32_t i = 0; i <= 500; i++)
        hear(both.client, LITHOPS__MESSAGE_OUTCOMES, i, 100);
    say(both.worker, LITHOPS__MESSAGE_OUTCOMES, 0, 501, 100); /* and it does come */
    hear(both.client, LITHOPS__MESSAGE_OUTCOMES, 501, 100);
    assert_in_range(atomic_load(&server.puts) - puts, 2, 50);
    end_both(&both);
}

static void a_storage_that_fails_ends_the_link(void **state)
{
    (void)state;
    struct both both;
    char how[256] = "it is gone", byte;
    connect_both(&both);
    atomic_store(&server.refuses, true);
    say(both.client, LITHOPS__MESSAGE_RUN, 0, 1, 100);
    assert_true(recv(both.client, &byte, 1, 0) <= 0);
    close(both.client);
    lithops__carrier_disconnect(both.carrier, 1, how, sizeof how);
    assert_string_equal(how, "it is gone; the storage has failed: no permission to write");
    atomic_store(&server.refuses, false);
    close(both.worker);
    assert_int_equal(lithops__carrier_leave(both.carried, false, &err), 0);
    lithops__carrier_close(both.carrier);
    assert_int_equal(count_objects(both.config), 0);
    lithops__config_free(both.config);
}

/* A server may store what its client no longer waits for. */
static void what_a_server_stores_late_is_deleted(void **state)
{
    (void)state;
    struct both both;
    char how[256] = "";
    connect_both(&both);
    atomic_store(&server.stalls, true);
    say(both.client, LITHOPS__MESSAGE_BYE, 0, 1, 100);
    close(both.client);
    lithops__carrier_disconnect(both.carrier, 1, how, sizeof how);
    atomic_store(&server.stalls, false);
    close(both.worker);
    assert_int_equal(lithops__carrier_leave(both.carried, false, &err), 0);
    lithops__carrier_close(both.carrier);
    carry_out(); /* unless the client has waited for it */
    assert_int_equal(count_objects(both.config), 0);
    lithops__config_free(both.config);
}

/* Another worker has read the hello, and has the link. */
static void a_worker_that_finds_no_hello_ends(void **state)
{
    (void)state;
    struct both both;
    int fd;
    char byte;
    connect_both(&both);
    struct lithops__end second = {.storage = lithops__storage_open(both.config, NULL, &err),
                                  .pace = {1000000, 1000000, 50000000, 50000000},
                                  .asks = true,
                                  .in = "lithops.jobs/abc-0-0/to/1-1/00000000/",
                                  .hello = "lithops.jobs/abc-0-0/to/1-1/hello/"};
    assert_int_equal(lithops__end_start(&second, &fd, &err), 0);
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
    lithops__end_finish(&second);
    lithops__end_deinit(&second);
    assert_false(second.is_orphan); /* it deletes nothing */
    lithops_storage_close(second.storage);
    talk(&both);
    end_both(&both);
}

/* Somebody else has deleted an object. Its writer lives and goes on, so nothing else would end the
 * link: a worker says that it lives, though it no longer hears what it is told. */
static void a_missing_object_ends_the_link(void **state)
{
    (void)state;
    struct lithops__config *config = configure();
    for (int asks = 0; asks < 2; asks++) {
        struct lithops__end end = {.storage = lithops__storage_open(config, NULL, &err),
                                   .pace = {1000000, 1000000, UINT64_MAX, 20000000},
                                   .asks = asks,
                                   .in = "gap/"};
        const char *bucket = lithops_storage_bucket(end.storage);
        int fd;
        char bytes[4];
        assert_int_equal(lithops_storage_put(end.storage, bucket, "gap/0000000000",
                                             (lithops_bytes){"abcd", 4}, &err),
                         0);
        assert_int_equal(lithops_storage_put(end.storage, bucket, "gap/0000000002",
                                             (lithops_bytes){"abcd", 4}, &err),
                         0);
        assert_int_equal(lithops__end_start(&end, &fd, &err), 0);
        lithops__end_tell(&end, asks ? 0 : 3);
        assert_int_equal(recv(fd, bytes, 4, MSG_WAITALL), 4);
        assert_int_equal(recv(fd, bytes, 1, 0), 0);
        close(fd);
        lithops__end_finish(&end);
        assert_non_null(strstr(end.broken.message, "object 1 of a link is missing"));
        lithops__end_deinit(&end);
        assert_int_equal(lithops__carrier_sweep(end.storage, "gap/", &err), 0);
        lithops_storage_close(end.storage);
    }
    lithops__config_free(config);
}

/* One that said hello, and was not heard, is alone; the link is not. */
static void a_worker_that_is_not_heard_takes_nothing_away(void **state)
{
    (void)state;
    struct both both;
    struct lithops__carried *second;
    int fd;
    connect_both(&both);
    assert_int_equal(lithops__carrier_join(both.config, both.key, &second, &fd, &err), 0);
    unsigned puts = atomic_load(&server.puts);
    say(both.client, LITHOPS__MESSAGE_RUN, 0, 1, 100); /* which nobody has read */
    while (atomic_load(&server.puts) == puts)
        sched_yield();
    close(fd);
    assert_int_equal(lithops__carrier_leave(second, true, &err), 0);
    hear(both.worker, LITHOPS__MESSAGE_RUN, 1, 100);
    end_both(&both);
}

static void a_worker_takes_an_orphaned_link_away(void **state)
{
    (void)state;
    struct both both;
    connect_both(&both);
    say(both.client, LITHOPS__MESSAGE_RUN, 0, 1, 100);
    hear(both.worker, LITHOPS__MESSAGE_RUN, 1, 100);
    say(both.worker, LITHOPS__MESSAGE_OUTCOMES, 0, 1, 100); /* which waits, and goes last */
    close(both.worker);
    assert_int_equal(lithops__carrier_leave(both.carried, true, &err), 0);
    assert_int_equal(count_objects(both.config), 0);
    char how[8] = "";
    close(both.client);
    lithops__carrier_disconnect(both.carrier, 1, how, sizeof how);
    lithops__carrier_close(both.carrier);
    lithops__config_free(both.config);
}

static void keys_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const keys[] = {"", "a", "/a", "a/", "a/a-name-that-is-longer-than-any"};
    struct lithops__config *config = configure();
    struct lithops__carried *carried;
    int fd;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        assert_int_equal(lithops__carrier_join(config, keys[i], &carried, &fd, &err),
                         LITHOPS_EUSAGE);
    lithops__config_free(config);
}

static void what_is_urgent_is_seen_wherever_a_stream_is_cut(void **state)
{
    (void)state;
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    static const uint16_t frames[][2] = {{LITHOPS__MESSAGE_OUTCOMES, 0},
                                         {LITHOPS__MESSAGE_BEAT, 0},
                                         {LITHOPS__MESSAGE_OUTCOMES, LITHOPS__FRAME_SOON}};
    static const unsigned found[] = {LITHOPS__SCAN_NEWS, LITHOPS__SCAN_URGENT,
                                     LITHOPS__SCAN_NEWS | LITHOPS__SCAN_URGENT};
    for (size_t i = 0; i < 3; i++) {
        size_t at = lithops__frame_begin(&out, frames[i][0], frames[i][1], 1);
        lithops__buffer_append(&out, "0123456789", 10);
        lithops__frame_end(&out, at);
    }
    for (size_t step = 1; step <= out.len; step++) {
        struct lithops__scan scan = {.have = 0};
        unsigned seen[3] = {0}, all = 0;
        for (size_t at = 0; at < out.len; at += step) {
            size_t len = out.len - at < step ? out.len - at : step;
            unsigned now = lithops__scan_feed(&scan, out.data + at, len);
            all |= now;
            if (step < 26) /* then no piece ends two headers */
                seen[(at + len - 16) / 26 % 3] |= now;
        }
        assert_int_equal(all, LITHOPS__SCAN_NEWS | LITHOPS__SCAN_URGENT);
        assert_true(scan.skip == 0 && scan.have == 0);
        for (size_t i = 0; step == 1 && i < 3; i++)
            assert_int_equal(seen[i], found[i]);
    }
    lithops__buffer_deinit(&out);
}

static void looks_become_rarer(void **state)
{
    (void)state;
    const struct lithops__pace pace = {2000000000, 1000000000, 0, 0};
    assert_int_equal(lithops__pace_look(&pace, 0), 20000000);
    assert_int_equal(lithops__pace_look(&pace, 800000000), 100000000);
    assert_int_equal(lithops__pace_look(&pace, UINT64_MAX), 2000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_go_both_ways_and_nothing_is_left),
        cmocka_unit_test(a_list_that_lags_does_no_harm),
        cmocka_unit_test(long_streams_keep_their_order),
        cmocka_unit_test(of_two_workers_with_one_key_one_is_heard),
        cmocka_unit_test(a_worker_whose_link_is_over_is_sent_away),
        cmocka_unit_test(an_ended_worker_is_heard_to_the_end),
        cmocka_unit_test(a_worker_that_ended_without_a_word_is_none),
        cmocka_unit_test(a_worker_that_is_told_has_gone_before_the_end),
        cmocka_unit_test(a_worker_that_comes_at_the_end_is_told),
        cmocka_unit_test(a_worker_that_is_stopped_looks_for_bye),
        cmocka_unit_test(a_worker_that_has_not_come_is_hardly_waited_for),
        cmocka_unit_test(objects_that_no_worker_wrote_are_deleted),
        cmocka_unit_test(progress_is_gathered),
        cmocka_unit_test(a_storage_that_fails_ends_the_link),
        cmocka_unit_test(what_a_server_stores_late_is_deleted),
        cmocka_unit_test(a_worker_that_finds_no_hello_ends),
        cmocka_unit_test(a_missing_object_ends_the_link),
        cmocka_unit_test(a_worker_that_is_not_heard_takes_nothing_away),
        cmocka_unit_test(a_worker_takes_an_orphaned_link_away),
        cmocka_unit_test(keys_that_are_none_are_refused),
        cmocka_unit_test(what_is_urgent_is_seen_wherever_a_stream_is_cut),
        cmocka_unit_test(looks_become_rarer),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
