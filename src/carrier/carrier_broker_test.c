/* SPDX-License-Identifier: Apache-2.0 */
/* Links through a storage beside a real broker, which tests/servers/with-rabbitmq and with-redis
 * start: what comes by notices, and what becomes of a job when they do not come. */
#include "broker/driver.h"
#include "carrier/carrier_parts.h"
#include "carrier/end.h"
#include "carrier/notice.h"

#include <lithops/log.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the brokers ----------------------------------------------------------------------------- */

struct kind {
    const char *name;
    lithops_value *(*section)(void);
    const char *pid_file; /* variable of the environment */
};

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

/* What the log has said since it was cleared. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t news;
    char text[16 << 10];
} said = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, ""};

static void listen_to_log(lithops_log_level level, const char *where, const char *text, void *user)
{
    (void)level, (void)user;
    if (strcmp(where, "broker") != 0 && strcmp(where, "carrier") != 0)
        return;
    pthread_mutex_lock(&said.lock);
    size_t len = strlen(said.text);
    snprintf(said.text + len, sizeof said.text - len, "%s\n", text);
    pthread_cond_broadcast(&said.news);
    pthread_mutex_unlock(&said.lock);
}

static void use(const struct kind *kind, double interval)
{
    monitoring = kind->name;
    broker_section = kind->section;
    monitoring_interval = interval;
    pthread_mutex_lock(&said.lock);
    said.text[0] = '\0';
    pthread_mutex_unlock(&said.lock);
}

/* [lock] */
static unsigned count_said(const char *text)
{
    unsigned count = 0;
    for (const char *at = said.text; (at = strstr(at, text)) != NULL; at++)
        count++;
    return count;
}

/* Until it has been said so often. The test's time limit ends it. */
static void await_said(const char *text, unsigned times)
{
    pthread_mutex_lock(&said.lock);
    while (count_said(text) < times)
        pthread_cond_wait(&said.news, &said.lock);
    pthread_mutex_unlock(&said.lock);
}

static void kill_server(const struct kind *kind)
{
    int pid = 0;
    FILE *file = fopen(getenv(kind->pid_file), "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%d", &pid), 1);
    fclose(file);
    assert_int_equal(kill(pid, SIGKILL), 0);
}

/* ---- tests ----------------------------------------------------------------------------------- */

/* A look every hour: but for what notices say, nothing would be known. */
static void notices_are_enough(const struct kind *kind)
{
    struct both both;
    use(kind, 3600);
    connect_both(&both);
    await_said("is there", 2);
    talk(&both); /* from here on both sides have had notices */
    unsigned lists = atomic_load(&server.lists), reads = atomic_load(&server.reads);
    for (int i = 0; i < 5; i++)
        talk(&both);
    assert_in_range(atomic_load(&server.lists) - lists, 0, 1); /* one may have begun before */
    assert_in_range(atomic_load(&server.reads) - reads, 0, 2);
    end_both(&both);
}

static void notices_are_enough_rabbitmq(void **state)
{
    (void)state;
    notices_are_enough(&rabbitmq);
}

static void notices_are_enough_rabbitmq_tls(void **state)
{
    (void)state;
    notices_are_enough(&rabbitmqs);
}

static void notices_are_enough_redis(void **state)
{
    (void)state;
    notices_are_enough(&redis);
}

static void notices_are_enough_redis_tls(void **state)
{
    (void)state;
    notices_are_enough(&rediss);
}

/* Objects that do not go along with their notices, and many at once. */
static void long_objects_are_fetched(void **state)
{
    (void)state;
    static const struct kind *const kinds[] = {&rabbitmq, &redis};
    for (size_t k = 0; k < 2; k++) {
        struct both both;
        use(kinds[k], 3600);
        connect_both(&both);
        await_said("is there", 2);
        talk(&both);
        for (uint32_t i = 0; i < 4; i++) {
            const size_t len = i % 2 ? 100 : 2 * LITHOPS__NOTICE_OBJECT;
            say(both.worker, LITHOPS__MESSAGE_OUTCOMES, LITHOPS__FRAME_SOON, i, len);
            hear(both.client, LITHOPS__MESSAGE_OUTCOMES, i, len);
            say(both.client, LITHOPS__MESSAGE_RUN, 0, i, len);
            hear(both.worker, LITHOPS__MESSAGE_RUN, i, len);
        }
        end_both(&both);
    }
}

/* Both sides go on through the storage, and with the broker when it is back. */
static void a_broker_may_die(const struct kind *kind)
{
    struct both both;
    use(kind, 0.2);
    connect_both(&both);
    await_said("is there", 2);
    talk(&both);
    kill_server(kind);
    await_said("jobs go on through the storage alone", 2);
    talk(&both);
    await_said("is there again", 2);
    talk(&both);
    end_both(&both);
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

/* The job goes on, and one warning says why it is slower. */
static void goes_on_without(lithops_value *(*section)(void), const char *name, const char *message)
{
    const struct kind kind = {name, section, NULL};
    struct both both;
    use(&kind, 0.2);
    connect_both(&both);
    talk(&both);
    await_said(message, 1);
    pthread_mutex_lock(&said.lock);
    if (strstr(said.text, "wrong-password"))
        fail_msg("a password is in the log: %s", said.text);
    assert_in_range(count_said("jobs go on through the storage alone"), 1, 2); /* each side */
    pthread_mutex_unlock(&said.lock);
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
    lithops__notice_write(&out, "3-1", "0123abcd", 7, (lithops_bytes){"a\nb", 3});
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
        cmocka_unit_test(long_objects_are_fetched),
        cmocka_unit_test(lost_notices_do_no_harm),
        cmocka_unit_test(a_job_goes_on_where_no_broker_answers),
        cmocka_unit_test(a_section_that_is_wrong_is_an_error),
        cmocka_unit_test(a_redis_may_die),
        cmocka_unit_test(a_rabbitmq_may_die),
    };
    lithops_log_to(LITHOPS_LOG_DEBUG, listen_to_log, NULL);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
