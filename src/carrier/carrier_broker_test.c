/* SPDX-License-Identifier: Apache-2.0 */
/* Links through a storage beside a real broker, which tests/servers/with-rabbitmq and with-redis
 * start: what comes by notices, and what becomes of a job when they do not come. */
#include "carrier/carrier_broker_parts.h"
#include "carrier/notice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the brokers ----------------------------------------------------------------------------- */

static lithops_value *amqp_section(void)
{
    return lithops_pack("{s:s}", "amqp_url", getenv("LITHOPS_TEST_AMQP_URL"));
}

static lithops_value *amqps_section(void)
{
    return lithops_pack("{s:s,s:s}", "amqp_url", getenv("LITHOPS_TEST_AMQPS_URL"), "ssl_ca_certs",
                        getenv("LITHOPS_TEST_AMQP_CA"));
}

static lithops_value *redis_section(void)
{
    return lithops_pack("{s:s,s:i,s:s}", "host", "localhost", "port",
                        atoi(getenv("LITHOPS_TEST_REDIS_PORT")), "password",
                        getenv("LITHOPS_TEST_REDIS_PASSWORD"));
}

static lithops_value *rediss_section(void)
{
    return lithops_pack("{s:s,s:i,s:s,s:b,s:s}", "host", "localhost", "port",
                        atoi(getenv("LITHOPS_TEST_REDIS_TLS_PORT")), "password",
                        getenv("LITHOPS_TEST_REDIS_PASSWORD"), "ssl", 1, "ssl_ca_certs",
                        getenv("LITHOPS_TEST_REDIS_CA"));
}

static const struct kind rabbitmq = {"rabbitmq", amqp_section, "LITHOPS_TEST_RABBITMQ_PID"},
                         rabbitmqs = {"rabbitmq", amqps_section, "LITHOPS_TEST_RABBITMQ_PID"},
                         redis = {"redis", redis_section, "LITHOPS_TEST_REDIS_PID"},
                         rediss = {"redis", rediss_section, "LITHOPS_TEST_REDIS_PID"};

/* ---- tests ----------------------------------------------------------------------------------- */

static void notices_are_enough_rabbitmq(void **state)
{
    (void)state;
    notices_are_enough(&rabbitmq, 1);
}

static void notices_are_enough_rabbitmq_tls(void **state)
{
    (void)state;
    notices_are_enough(&rabbitmqs, 1);
}

static void notices_are_enough_redis(void **state)
{
    (void)state;
    notices_are_enough(&redis, 1);
}

static void notices_are_enough_redis_tls(void **state)
{
    (void)state;
    notices_are_enough(&rediss, 1);
}

static void long_objects_are_fetched_here(void **state)
{
    (void)state;
    long_objects_are_fetched(&rabbitmq);
    long_objects_are_fetched(&redis);
}

static void a_rabbitmq_may_die(void **state)
{
    (void)state;
    a_broker_may_die(&rabbitmq);
}

static void a_redis_may_die(void **state)
{
    (void)state;
    a_broker_may_die(&redis);
}

static void drop(lithops_bytes notice, void *user)
{
    (void)notice;
    atomic_fetch_add((atomic_uint *)user, 1);
}

static void do_nothing(void *user)
{
    (void)user;
}

/* Somebody else reads from the client's queue, too, so that half of the notices do not come. */
static void lost_notices_do_no_harm(void **state)
{
    (void)state;
    struct both both;
    struct lithops__broker *thief;
    atomic_uint stolen = 0;
    char inbox[LITHOPS__CARRIER_KEY];
    const struct lithops__broker_events events = {drop, do_nothing, &stolen};
    use(&rabbitmq, 0.2);
    connect_both(&both);
    snprintf(inbox, sizeof inbox, "%.*s", (int)(strrchr(both.key, '/') - both.key), both.key);
    lithops_value *section = rabbitmq.section();
    assert_int_equal(
        lithops__broker_start(&lithops__broker_rabbitmq, section, inbox, &events, &thief, &err), 0);
    lithops_value_free(section);
    await_said("is there", 3);
    while (atomic_load(&stolen) < 5)
        talk(&both);
    lithops__broker_close(thief); /* deletes the queue: the client makes another one */
    await_said("is there again", 1);
    talk(&both);
    end_both(&both);
}

static lithops_value *wrong_password(void)
{
    char url[200];
    const char *right = getenv("LITHOPS_TEST_AMQP_URL");
    snprintf(url, sizeof url, "amqp://lithops:wrong-password@%s", strchr(right, '@') + 1);
    return lithops_pack("{s:s}", "amqp_url", url);
}

static lithops_value *wrong_vhost(void)
{
    char url[200];
    const char *right = getenv("LITHOPS_TEST_AMQP_URL");
    snprintf(url, sizeof url, "%.*s/nowhere", (int)(strrchr(right, '/') - right), right);
    return lithops_pack("{s:s}", "amqp_url", url);
}

static lithops_value *nobody_there(void)
{
    return lithops_pack("{s:s}", "amqp_url", "amqp://lithops:wrong-password@localhost:9");
}

static lithops_value *untrusted(void)
{
    return lithops_pack("{s:s}", "amqp_url", getenv("LITHOPS_TEST_AMQPS_URL"));
}

static lithops_value *not_tls(void)
{
    const char *url = getenv("LITHOPS_TEST_AMQP_URL");
    char text[200];
    snprintf(text, sizeof text, "amqps%s", url + 4);
    return lithops_pack("{s:s,s:s}", "amqp_url", text, "ssl_ca_certs",
                        getenv("LITHOPS_TEST_AMQP_CA"));
}

static lithops_value *wrong_redis_password(void)
{
    return lithops_pack("{s:s,s:i,s:s}", "host", "localhost", "port",
                        atoi(getenv("LITHOPS_TEST_REDIS_PORT")), "password", "wrong-password");
}

static void a_job_goes_on_where_no_broker_answers(void **state)
{
    (void)state;
    goes_on_without(wrong_password, "rabbitmq", "virtual host '/', as 'lithops': ACCESS_REFUSED");
    goes_on_without(wrong_vhost, "rabbitmq", "virtual host 'nowhere', as 'lithops': NOT_ALLOWED");
    goes_on_without(nobody_there, "rabbitmq", "and that the server runs");
    goes_on_without(untrusted, "rabbitmq", "set 'ssl_ca_certs' in the section 'rabbitmq'");
    goes_on_without(not_tls, "rabbitmq", "the port in 'amqp_url' is the one for TLS");
    goes_on_without(wrong_redis_password, "redis", "check username and password");
}

static lithops_value *no_url(void)
{
    return lithops_pack("{s:s}", "ssl_ca_certs", "/none");
}

static lithops_value *bad_url(void)
{
    return lithops_pack("{s:s}", "amqp_url", "http://lithops:wrong-password@localhost");
}

static lithops_value *no_host(void)
{
    return lithops_pack("{s:i}", "db", 1);
}

static void a_section_that_is_wrong_is_an_error(void **state)
{
    (void)state;
    static const struct {
        struct kind kind;
        const char *message;
    } rows[] = {{{"rabbitmq", no_url, NULL}, "set 'amqp_url' in the section 'rabbitmq'"},
                {{"rabbitmq", bad_url, NULL}, "'amqp_url' in the section 'rabbitmq' is not a URL"},
                {{"redis", no_host, NULL}, "'redis' needs a host; set it in its section"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct lithops__carrier *carrier;
        use(&rows[i].kind, 1);
        struct lithops__config *config = configure();
        assert_int_equal(lithops__carrier_open(config, "abc-0", 1, &carrier, &err),
                         LITHOPS_ECONFIG);
        assert_non_null(strstr(err.message, rows[i].message));
        assert_null(strstr(err.message, "wrong-password"));
        lithops__config_free(config);
    }
}

static void notices_are_read_as_written(void **state)
{
    (void)state;
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    struct lithops__notice notice;
    lithops__notice_write(&out, "3-1", "0123abcd", 7, (lithops_bytes){"a\nb", 3}, 100);
    assert_true(lithops__notice_read((lithops_bytes){out.data, out.len}, &notice));
    assert_int_equal(notice.link_len, 3);
    assert_memory_equal(notice.link, "3-1", 3);
    assert_memory_equal(notice.token, "0123abcd", 8);
    assert_int_equal(notice.number, 7);
    assert_int_equal(notice.object.len, 3);
    assert_memory_equal(notice.object.ptr, "a\nb", 3);
    lithops__buffer_deinit(&out);
    static const char *const none[] = {"",
                                       "\n",
                                       "/\n",
                                       "3-1/0123abcd/7",
                                       "/0123abcd/7\n",
                                       "3-1/0123abc/7\n",
                                       "3-1/0123abcde/7\n",
                                       "3-1/0123abcd/\n",
                                       "3-1/0123abcd/x\n",
                                       "3-1/0123abcd/4294967295\n",
                                       "3-1/0123abcd/00000000001\n",
                                       "3-1/0123abcd/-1\n",
                                       "3-1/0123abcd\n",
                                       "3-1/\n"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_false(lithops__notice_read((lithops_bytes){none[i], strlen(none[i])}, &notice));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notices_are_read_as_written),
        cmocka_unit_test(notices_are_enough_rabbitmq),
        cmocka_unit_test(notices_are_enough_rabbitmq_tls),
        cmocka_unit_test(notices_are_enough_redis),
        cmocka_unit_test(notices_are_enough_redis_tls),
        cmocka_unit_test(long_objects_are_fetched_here),
        cmocka_unit_test(lost_notices_do_no_harm),
        cmocka_unit_test(a_job_goes_on_where_no_broker_answers),
        cmocka_unit_test(a_section_that_is_wrong_is_an_error),
        cmocka_unit_test(a_redis_may_die),
        cmocka_unit_test(a_rabbitmq_may_die),
    };
    lithops_log_to(LITHOPS_LOG_DEBUG, listen_to_log, NULL);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
