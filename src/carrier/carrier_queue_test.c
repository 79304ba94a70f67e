/* SPDX-License-Identifier: Apache-2.0 */
/* Links through a storage beside a queue of a cloud, over HTTP: a server of tests/servers, which
 * the environment names. */
#include "broker/queue.h"
#include "carrier/carrier_broker_parts.h"
#include "carrier/notice.h"
#include "config/storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct service {
    const char *variable; /* is there with its server */
    const struct lithops__broker_driver *driver;
    struct kind kind;
    lithops_value *(*other)(void); /* another section that is right */
    const char *secret;            /* a variable: what must not be in logs */
    struct {
        lithops_value *(*section)(void);
        const char *message;
    } away[5], wrong[4];
};

static const struct service *service;

/* ---- azure_queue ----------------------------------------------------------------------------- */

static lithops_value *azure_with(const char *key, const char *value, const char *endpoint)
{
    return lithops_pack("{s:s,s:s,s:s}", "storage_account_name",
                        getenv("LITHOPS_TEST_AZURE_QUEUE_ACCOUNT"), key, value, "endpoint",
                        endpoint ? endpoint : getenv("LITHOPS_TEST_AZURE_QUEUE_ENDPOINT"));
}

static lithops_value *azure_key(void)
{
    return azure_with("storage_account_key", getenv("LITHOPS_TEST_AZURE_QUEUE_KEY"), NULL);
}

static lithops_value *azure_sas(void)
{
    return azure_with("sas_token", getenv("LITHOPS_TEST_AZURE_QUEUE_SAS"), NULL);
}

static lithops_value *azure_sas_read(void)
{
    return azure_with("sas_token", getenv("LITHOPS_TEST_AZURE_QUEUE_SAS_READ"), NULL);
}

static lithops_value *azure_wrong_key(void)
{
    return azure_with("storage_account_key", "d3JvbmctcGFzc3dvcmQ=", NULL);
}

static lithops_value *azure_nobody(void)
{
    return azure_with("storage_account_key", getenv("LITHOPS_TEST_AZURE_QUEUE_KEY"),
                      "http://127.0.0.1:9/devstoreaccount1");
}

static lithops_value *azure_no_account(void)
{
    return lithops_pack("{s:s}", "storage_account_key", "d3JvbmctcGFzc3dvcmQ=");
}

static lithops_value *azure_no_key(void)
{
    return lithops_pack("{s:s}", "storage_account_name", "somebody");
}

static lithops_value *azure_bad_key(void)
{
    return azure_with("storage_account_key", "wrong-password", NULL);
}

/* ---- aws_sqs --------------------------------------------------------------------------------- */

static lithops_value *sqs_with(const char *endpoint, const char *key, const char *secret)
{
    return lithops_pack("{s:s,s:s,s:s,s:s}", "region", "us-east-1", "endpoint", endpoint,
                        "access_key_id", key, "secret_access_key", secret);
}

static lithops_value *sqs_plain(void)
{
    return sqs_with(getenv("LITHOPS_TEST_SQS_ENDPOINT"), "lithops", "test-secret");
}

static lithops_value *sqs_checked(void)
{
    return sqs_with(getenv("LITHOPS_TEST_SQS_CHECKING"), getenv("LITHOPS_TEST_SQS_KEY"),
                    getenv("LITHOPS_TEST_SQS_SECRET"));
}

static lithops_value *sqs_poor(void)
{
    return sqs_with(getenv("LITHOPS_TEST_SQS_CHECKING"), getenv("LITHOPS_TEST_SQS_POOR_KEY"),
                    getenv("LITHOPS_TEST_SQS_POOR_SECRET"));
}

static lithops_value *sqs_wrong_secret(void)
{
    return sqs_with(getenv("LITHOPS_TEST_SQS_CHECKING"), getenv("LITHOPS_TEST_SQS_KEY"),
                    "wrong-password");
}

static lithops_value *sqs_wrong_key(void)
{
    return sqs_with(getenv("LITHOPS_TEST_SQS_CHECKING"), "AKIAXXXXXXXXXXXXXXXX", "wrong-password");
}

static lithops_value *sqs_nobody(void)
{
    return sqs_with("http://127.0.0.1:9", "lithops", "wrong-password");
}

static lithops_value *sqs_no_secret(void)
{
    return lithops_pack("{s:s,s:s}", "region", "us-east-1", "access_key_id", "lithops");
}

static lithops_value *sqs_no_scheme(void)
{
    return sqs_with("127.0.0.1:9", "lithops", "wrong-password");
}

/* ---- gcp_pubsub ------------------------------------------------------------------------------ */

static lithops_value *pubsub_with(const char *endpoint, const char *account)
{
    return lithops_pack("{s:s,s:s,s:s}", "endpoint", endpoint, "project_name",
                        getenv("LITHOPS_TEST_PUBSUB_PROJECT"), "credentials_path", getenv(account));
}

static lithops_value *pubsub_account(void)
{
    return pubsub_with(getenv("LITHOPS_TEST_PUBSUB_ENDPOINT"), "LITHOPS_TEST_PUBSUB_CREDENTIALS");
}

static lithops_value *pubsub_project_of_the_key(void)
{
    return lithops_pack("{s:s,s:s}", "endpoint", getenv("LITHOPS_TEST_PUBSUB_ENDPOINT"),
                        "credentials_path", getenv("LITHOPS_TEST_PUBSUB_CREDENTIALS"));
}

static lithops_value *pubsub_poor(void)
{
    return pubsub_with(getenv("LITHOPS_TEST_PUBSUB_ENDPOINT"), "LITHOPS_TEST_PUBSUB_POOR");
}

static lithops_value *pubsub_stranger(void)
{
    return pubsub_with(getenv("LITHOPS_TEST_PUBSUB_ENDPOINT"), "LITHOPS_TEST_PUBSUB_STRANGER");
}

static lithops_value *pubsub_nobody(void)
{
    return pubsub_with("http://127.0.0.1:9", "LITHOPS_TEST_PUBSUB_CREDENTIALS");
}

static lithops_value *pubsub_no_project(void)
{
    return lithops_pack("{s:s}", "endpoint", "http://127.0.0.1:9");
}

static lithops_value *pubsub_no_file(void)
{
    return lithops_pack("{s:s,s:s}", "project_name", "x", "credentials_path", "/nonexistent");
}

static lithops_value *pubsub_bad_project(void)
{
    return lithops_pack("{s:s}", "project_name", "x/topics");
}

/* ---- all of them ----------------------------------------------------------------------------- */

static const struct service services[] = {
    {"LITHOPS_TEST_AZURE_QUEUE_ENDPOINT",
     &lithops__broker_azure_queue,
     {"azure_queue", azure_key, "LITHOPS_TEST_AZURE_QUEUE_PID"},
     azure_sas,
     "LITHOPS_TEST_AZURE_QUEUE_KEY",
     {{azure_wrong_key, "check the account's name and key"},
      {azure_sas_read, "needs the permission of the role Storage Queue Data Contributor, or 'c'"},
      {azure_nobody, "azure_queue: cannot create 'lithops-jobs-"}},
     {{azure_no_account, "needs storage_account_name: set it in the section 'azure_queue'"},
      {azure_no_key, "'azure_queue' needs storage_account_key, sas_token"},
      {azure_bad_key, "of 'azure_queue' is not base64"}}},
    {"LITHOPS_TEST_SQS_ENDPOINT",
     &lithops__broker_aws_sqs,
     {"aws_sqs", sqs_plain, "LITHOPS_TEST_SQS_PID"},
     sqs_checked,
     "LITHOPS_TEST_SQS_SECRET",
     {{sqs_wrong_secret, "check access_key_id and secret_access_key"},
      {sqs_wrong_key, "check access_key_id and secret_access_key"},
      {sqs_poor, "needs the permission sqs:CreateQueue"},
      {sqs_nobody, "aws_sqs: cannot create 'lithops-jobs-"}},
     {{sqs_no_secret, "'aws_sqs' needs access_key_id and secret_access_key"},
      {sqs_no_scheme, "the endpoint of 'aws_sqs' must begin with http"}}},
    {"LITHOPS_TEST_PUBSUB_ENDPOINT",
     &lithops__broker_gcp_pubsub,
     {"gcp_pubsub", pubsub_account, "LITHOPS_TEST_PUBSUB_PID"},
     pubsub_project_of_the_key,
     "LITHOPS_TEST_PUBSUB_CREDENTIALS",
     {{pubsub_stranger, "gives no token"},
      {pubsub_poor, "needs the permission pubsub.topics.create"},
      {pubsub_nobody, "gcp_pubsub: cannot create 'lithops-jobs-"}},
     {{pubsub_no_project, "needs a project: set project_name"},
      {pubsub_no_file, "'/nonexistent', which credentials_path names, cannot be read"},
      {pubsub_bad_project, "project_name of 'gcp_pubsub' contains an invalid character"}}},
};

static void notices_are_enough_here(void **state)
{
    (void)state;
    notices_are_enough(&service->kind, 10);
}

static void notices_are_enough_with_other_credentials(void **state)
{
    (void)state;
    const struct kind kind = {service->kind.name, service->other, NULL};
    notices_are_enough(&kind, 10);
}

static void long_objects_are_fetched_here(void **state)
{
    (void)state;
    long_objects_are_fetched(&service->kind);
}

static void a_server_may_die(void **state)
{
    (void)state;
    a_broker_may_die(&service->kind);
}

static void count_notice(lithops_bytes notice, void *user)
{
    (void)notice;
    atomic_fetch_add((atomic_uint *)user, 1);
}

static void do_nothing(void *user)
{
    (void)user;
}

static void inbox_of(const struct both *both, char inbox[LITHOPS__CARRIER_KEY])
{
    snprintf(inbox, LITHOPS__CARRIER_KEY, "%.*s", (int)(strrchr(both->key, '/') - both->key),
             both->key);
}

static struct lithops__broker *start_other(const char *inbox, atomic_uint *count)
{
    struct lithops__broker *other;
    const struct lithops__broker_events events = {count_notice, do_nothing, count};
    lithops_value *section = service->kind.section();
    assert_int_equal(lithops__broker_start(service->driver, section, inbox, &events, &other, &err),
                     0);
    lithops_value_free(section);
    return other;
}

/* Somebody else takes from the client's queue, too, so that some notices do not come. */
static void lost_notices_do_no_harm(void **state)
{
    (void)state;
    struct both both;
    atomic_uint stolen = 0;
    char inbox[LITHOPS__CARRIER_KEY];
    use(&service->kind, 0.2);
    connect_both(&both);
    inbox_of(&both, inbox);
    await_said("is there", 2);
    struct lithops__broker *thief = start_other(inbox, &stolen);
    await_said("is there", 3);
    while (atomic_load(&stolen) < 5)
        talk(&both);
    lithops__broker_close(thief); /* deletes the queue */
    await_said("jobs go on through the storage alone", 1);
    talk(&both);
    end_both(&both);
}

/* Notices of objects that were read already, of objects that are not there, and what is none. */
static void inventions_do_no_harm(void **state)
{
    (void)state;
    struct both both;
    atomic_uint count = 0;
    char inbox[LITHOPS__CARRIER_KEY];
    struct lithops__buffer notice = LITHOPS__BUFFER_INIT;
    use(&service->kind, 0.2);
    connect_both(&both);
    inbox_of(&both, inbox);
    await_said("is there", 2);
    talk(&both);
    struct lithops__broker *other = start_other("lithops.jobs/other", &count);
    for (uint32_t number = 0; number < 3; number++) {
        notice.len = 0;
        lithops__notice_write(&notice, "1-1", "00000000", number, (lithops_bytes){"x", 1}, 100);
        for (int twice = 0; twice < 2; twice++)
            lithops__broker_send(other, inbox, (lithops_bytes){notice.data, notice.len});
        lithops__broker_send(other, inbox, (lithops_bytes){"no notice", 9});
        lithops__broker_send(other, "lithops.jobs/nobody", (lithops_bytes){"no notice", 9});
        lithops__broker_send(other, "lithops.jobs/other", (lithops_bytes){"\0\xff<&>", 5});
        talk(&both);
    }
    for (int i = 0; i < 34; i++) /* more than one answer has */
        lithops__broker_send(other, "lithops.jobs/other", (lithops_bytes){"\0\xff<&>", 5});
    while (atomic_load(&count) < 37)
        talk(&both);
    lithops__broker_close(other);
    lithops__buffer_deinit(&notice);
    end_both(&both);
}

static void a_job_goes_on_where_no_queue_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < 5 && service->away[i].section; i++) {
        goes_on_without(service->away[i].section, service->kind.name, service->away[i].message);
        pthread_mutex_lock(&said.lock);
        assert_null(strstr(said.text, getenv(service->secret)));
        pthread_mutex_unlock(&said.lock);
    }
}

static void a_section_that_is_wrong_is_an_error(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4 && service->wrong[i].section; i++) {
        const struct kind kind = {service->kind.name, service->wrong[i].section, NULL};
        struct lithops__carrier *carrier;
        use(&kind, 1);
        struct lithops__config *config = configure();
        assert_int_equal(lithops__carrier_open(config, "abc-0", 1, &carrier, &err),
                         LITHOPS_ECONFIG);
        if (!strstr(err.message, service->wrong[i].message))
            fail_msg("%s", err.message);
        assert_null(strstr(err.message, "wrong-password"));
        lithops__config_free(config);
    }
}

/* The queue of somebody who has been killed. */
static void *leave_queue(const char *inbox)
{
    const struct lithops__bounds bounds = LITHOPS__UNBOUNDED;
    void *dead = calloc(1, service->driver->state_size);
    lithops_value *section = service->kind.section();
    assert_int_equal(service->driver->open(dead, section, &err), 0);
    assert_int_equal(service->driver->connect(dead, inbox, &bounds, &err), 0);
    lithops_value_free(section);
    return dead;
}

/* It is not there any more, which is no failure. */
static void end_left(void *dead)
{
    service->driver->disconnect(dead);
    service->driver->close(dead);
    assert_null(strstr(said.text, "is left"));
    free(dead);
}

static uint64_t clean(bool is_dry)
{
    uint64_t removed = 0;
    struct lithops__config *config = configure();
    assert_int_equal(lithops__broker_clean(config, is_dry, &removed, &err), 0);
    lithops__config_free(config);
    return removed;
}

/* What a client has left that was killed. */
static void what_is_left_is_cleaned(void **state)
{
    (void)state;
    use(&service->kind, 1);
    void *dead = leave_queue("lithops.jobs/dead");
    assert_int_equal(clean(true), 1);
    assert_int_equal(clean(false), 1);
    assert_int_equal(clean(false), 0);
    end_left(dead);
}

/* What a worker has left that was killed: its client deletes it. */
static void what_a_lost_worker_has_left_is_deleted(void **state)
{
    (void)state;
    atomic_uint count = 0;
    use(&service->kind, 1);
    void *dead = leave_queue("lithops.jobs/dead");
    struct lithops__broker *other = start_other("lithops.jobs/other", &count);
    lithops__broker_drop(other, "lithops.jobs/dead");
    lithops__broker_drop(other, "lithops.jobs/nobody");
    await_said("is there", 1);
    lithops__broker_close(other);
    assert_int_equal(clean(true), 0);
    end_left(dead);
}

/* One that had said hello, whose link another worker has: it is known by that object alone. */
static void what_a_worker_without_a_link_has_left_is_deleted(void **state)
{
    (void)state;
    struct both both;
    char folder[LITHOPS__CARRIER_KEY], key[2 * LITHOPS__CARRIER_KEY];
    use(&service->kind, 0.2);
    connect_both(&both);
    inbox_of(&both, folder);
    snprintf(key, sizeof key, "%s/to/1-1/0badcafe/", folder);
    void *dead = leave_queue(key);
    lithops_storage *storage = lithops__storage_open(both.config, NULL, &err);
    snprintf(key, sizeof key, "%s/from/1-1/0badcafe/0000000000", folder);
    assert_int_equal(lithops_storage_put(storage, lithops_storage_bucket(storage), key,
                                         (lithops_bytes){"hello", 5}, &err),
                     0);
    lithops_storage_close(storage);
    await_said("is there", 2);
    end_both(&both);
    assert_int_equal(clean(true), 0);
    end_left(dead);
}

/* What was asked for, and no answer came: nothing is known of it but its name. */
static void a_queue_of_no_answer_is_deleted(void **state)
{
    (void)state;
    struct lithops__queue *asked = calloc(1, sizeof *asked);
    use(&service->kind, 1);
    struct lithops__queue *made = leave_queue("lithops.jobs/unanswered");
    lithops_value *section = service->kind.section();
    assert_int_equal(service->driver->open(asked, section, &err), 0);
    memcpy(asked->name, made->name, sizeof made->name);
    asked->may_be_there = true;
    service->driver->close(asked);
    free(asked);
    assert_int_equal(clean(true), 0);
    end_left(made);
    lithops_value_free(section);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_left_is_cleaned),
        cmocka_unit_test(what_a_lost_worker_has_left_is_deleted),
        cmocka_unit_test(what_a_worker_without_a_link_has_left_is_deleted),
        cmocka_unit_test(a_queue_of_no_answer_is_deleted),
        cmocka_unit_test(notices_are_enough_here),
        cmocka_unit_test(notices_are_enough_with_other_credentials),
        cmocka_unit_test(long_objects_are_fetched_here),
        cmocka_unit_test(lost_notices_do_no_harm),
        cmocka_unit_test(inventions_do_no_harm),
        cmocka_unit_test(a_job_goes_on_where_no_queue_answers),
        cmocka_unit_test(a_section_that_is_wrong_is_an_error),
        cmocka_unit_test(a_server_may_die),
    };
    for (size_t i = 0; i < sizeof services / sizeof *services; i++)
        if (getenv(services[i].variable))
            service = &services[i];
    if (!service)
        return 77;
    lithops_log_to(LITHOPS_LOG_DEBUG, listen_to_log, NULL);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
