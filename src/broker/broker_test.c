/* SPDX-License-Identifier: Apache-2.0 */
/* The outbox of a broker whose server takes its time; connections that soon break; settings. */
#include "base/clock.h"
#include "base/error.h"
#include "broker/driver.h"

#include <lithops/log.h>

#include <poll.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

static lithops_error err;
static int begun = -1; /* readable: it connects */
static int gate = -1;  /* readable: it has connected */
static bool breaks;    /* it does, when it receives */
static atomic_uint warnings;
static size_t letters, bytes, last; /* that came, and the number in the last one */

static int slow_open(void *state, const lithops_value *settings, lithops_error *error)
{
    (void)state;
    (void)settings;
    (void)error;
    return 0;
}

static void slow_close(void *state)
{
    (void)state;
}

static int slow_connect(void *state, const char *inbox, const struct lithops__bounds *bounds,
                        lithops_error *error)
{
    struct pollfd fd = {gate, POLLIN, 0};
    eventfd_write(begun, 1);
    (void)state;
    (void)inbox;
    (void)bounds;
    (void)error;
    poll(&fd, 1, -1);
    return 0;
}

static int slow_send(void *state, const char *inbox, lithops_bytes notice,
                     const struct lithops__bounds *bounds, lithops_error *error)
{
    (void)state;
    (void)inbox;
    (void)bounds;
    (void)error;
    letters++;
    bytes += notice.len;
    memcpy(&last, notice.ptr, sizeof last);
    return 0;
}

static int slow_receive(void *state, void (*deliver)(lithops_bytes notice, void *user), void *user,
                        const struct lithops__bounds *bounds, lithops_error *error)
{
    (void)state;
    (void)deliver;
    (void)user;
    (void)bounds;
    return breaks ? lithops__fail(error, LITHOPS_EDENIED, "not allowed") : 0;
}

static int slow_fd(void *state)
{
    (void)state;
    return -1;
}

static const struct lithops__broker_driver slow = {.name = "slow",
                                                   .state_size = 1,
                                                   .open = slow_open,
                                                   .close = slow_close,
                                                   .connect = slow_connect,
                                                   .disconnect = slow_close,
                                                   .send = slow_send,
                                                   .receive = slow_receive,
                                                   .fd = slow_fd,
                                                   .beat_ms = 1000};

static void ignore(lithops_bytes notice, void *user)
{
    (void)notice;
    (void)user;
}

static void ignore_loss(void *user)
{
    (void)user;
}

/* Send `count` notices of `len` bytes, with their numbers in them, and only then let it connect. */
static void send_while_it_connects(size_t count, size_t len)
{
    const struct lithops__broker_events events = {.notice = ignore, .lost = ignore_loss};
    struct lithops__broker *broker;
    eventfd_t one;
    char *notice = calloc(1, len);
    letters = bytes = last = 0;
    gate = eventfd(0, EFD_CLOEXEC);
    begun = eventfd(0, EFD_CLOEXEC);
    assert_true(notice && gate >= 0 && begun >= 0);
    assert_int_equal(lithops__broker_start(&slow, NULL, "inbox", &events, &broker, &err), 0);
    assert_int_equal(eventfd_read(begun, &one), 0);
    for (size_t i = 0; i < count; i++) {
        memcpy(notice, &i, sizeof i);
        lithops__broker_send(broker, "somebody", (lithops_bytes){notice, len});
    }
    assert_int_equal(eventfd_write(gate, 1), 0);
    lithops__broker_close(broker); /* sends what is left */
    close(gate);
    close(begun);
    free(notice);
}

static void letters_are_bounded(void **state)
{
    (void)state;
    send_while_it_connects(5000, 16);
    assert_int_equal(letters, 4096);
    assert_int_equal(last, 4095); /* the first ones */
}

static void bytes_are_bounded(void **state)
{
    (void)state;
    send_while_it_connects(300, LITHOPS__BROKER_NOTICE);
    assert_int_equal(bytes, (16 << 20) / LITHOPS__BROKER_NOTICE * LITHOPS__BROKER_NOTICE);
    assert_int_equal(last, letters - 1);
}

static void count_warning(lithops_log_level level, const char *where, const char *text, void *user)
{
    (void)where;
    (void)text;
    (void)user;
    atomic_fetch_add(&warnings, level == LITHOPS_LOG_WARNING);
}

/* It rests before it connects again, though connecting goes well, and says so once. */
static void what_soon_breaks_is_left_alone(void **state)
{
    (void)state;
    const struct lithops__broker_events events = {.notice = ignore, .lost = ignore_loss};
    struct lithops__broker *broker;
    eventfd_t one;
    gate = eventfd(1, EFD_CLOEXEC);
    begun = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
    assert_true(gate >= 0 && begun >= 0);
    breaks = true;
    lithops_log_to(LITHOPS_LOG_DEBUG, count_warning, NULL);
    uint64_t begin_ns = lithops__now_ns();
    assert_int_equal(lithops__broker_start(&slow, NULL, "inbox", &events, &broker, &err), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(eventfd_read(begun, &one), 0);
    assert_true(lithops__now_ns() - begin_ns >= 750000000); /* 250 ms and 500 ms */
    lithops__broker_close(broker);
    lithops_log_to(LITHOPS_LOG_NONE, NULL, NULL);
    assert_int_equal(atomic_load(&warnings), 1);
    breaks = false;
    close(gate);
    close(begun);
}

/* Another section stands in for the keys that a broker has, and for no other: they travel. */
static void only_own_keys_are_taken(void **state)
{
    (void)state;
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    struct lithops__config *config;
    lithops_value *value =
        lithops_pack("{s:{s:s},s:{s:s},s:{s:s,s:s,s:s}}", "lithops", "monitoring", "aws_sqs",
                     "aws_sqs", "region", "eu-west-1", "aws", "region", "us-east-1",
                     "access_key_id", "them", "connection_string", "secret");
    options.config = value;
    assert_int_equal(lithops__config_load(&options, &config, &err), 0);
    lithops_value *settings = lithops__broker_settings(config);
    assert_string_equal(lithops_value_get_string(lithops_value_get(settings, "region")),
                        "eu-west-1");
    assert_string_equal(lithops_value_get_string(lithops_value_get(settings, "access_key_id")),
                        "them");
    assert_null(lithops_value_get(settings, "connection_string"));
    lithops_value_free(settings);
    lithops__config_free(config);
    lithops_value_free(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_own_keys_are_taken),
        cmocka_unit_test(what_soon_breaks_is_left_alone),
        cmocka_unit_test(letters_are_bounded),
        cmocka_unit_test(bytes_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
