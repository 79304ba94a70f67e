/* SPDX-License-Identifier: Apache-2.0 */
/* The broker aws_sqs, and a server whose clock is another one. */
#include "base/module.h"
#include "broker/driver.h"
#include "net/date.h"
#include "net/test_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEAD "\r\nConnection: close\r\n"
#define REFUSAL                                                                                    \
    "Content-Length: 53\r\n\r\n{\"__type\": \"com.amazonaws#InvalidSignatureException\"}"
#define MADE "HTTP/1.1 200 OK" HEAD "Content-Length: 32\r\n\r\n{\"QueueUrl\": \"http://x/1/queue\"}"
#define DONE "HTTP/1.1 200 OK" HEAD "Content-Length: 2\r\n\r\n{}"
#define PAST "Fri, 24 May 2013 00:00:00 GMT"

static lithops_error err;

/* Connect to a server that answers so, and leave it. @return the code of connecting */
static int visit(struct script *script, const char *const *answers, size_t count)
{
    const struct lithops__broker_driver *driver = &lithops__broker_aws_sqs;
    const struct lithops__bounds bounds = LITHOPS__UNBOUNDED;
    void *state = calloc(1, driver->state_size);
    char endpoint[64];
    script_start(script, answers, count);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", script->port);
    lithops_value *section = lithops_pack("{s:s,s:s,s:s,s:s}", "region", "us-east-1", "endpoint",
                                          endpoint, "access_key_id", "k", "secret_access_key", "s");
    assert_int_equal(driver->open(state, section, &err), 0);
    int rc = driver->connect(state, "lithops.jobs/one", &bounds, &err);
    if (rc == 0)
        driver->disconnect(state);
    driver->close(state);
    script_stop(script);
    lithops_value_free(section);
    free(state);
    return rc;
}

static void a_wrong_clock_is_corrected(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "HTTP/1.1 403 Forbidden" HEAD "Date: " PAST "\r\n" REFUSAL, MADE, DONE};
    struct script script;
    assert_int_equal(visit(&script, answers, 3), 0);
    assert_int_equal(script.count, 3);
    assert_null(strstr(script.requests[0], "x-amz-date: 20130524T"));
    assert_non_null(strstr(script.requests[1], "x-amz-date: 20130524T0000"));
    assert_non_null(strstr(script.requests[2], "x-amz-date: 20130524T0000")); /* and stays so */
    assert_non_null(strstr(script.requests[2], "AmazonSQS.DeleteQueue"));
}

/* The same code, from a server whose clock is this one. */
static void a_wrong_key_is_no_wrong_clock(void **state)
{
    (void)state;
    char now[LITHOPS__HTTP_DATE], answer[512];
    lithops__http_date_write(time(NULL), now);
    snprintf(answer, sizeof answer, "HTTP/1.1 403 Forbidden" HEAD "Date: %s\r\n" REFUSAL, now);
    const char *const answers[] = {answer, MADE};
    struct script script;
    assert_int_equal(visit(&script, answers, 2), LITHOPS_EDENIED);
    assert_int_equal(script.count, 1);
    assert_non_null(strstr(err.message, "and this machine's clock"));
}

/* One that is still refused after that. */
static void a_clock_is_corrected_once(void **state)
{
    (void)state;
    static const char refused[] = "HTTP/1.1 403 Forbidden" HEAD "Date: " PAST "\r\n" REFUSAL;
    static const char *const answers[] = {refused, refused, MADE};
    struct script script;
    assert_int_equal(visit(&script, answers, 3), LITHOPS_EDENIED);
    assert_int_equal(script.count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_clock_is_corrected),
        cmocka_unit_test(a_wrong_key_is_no_wrong_clock),
        cmocka_unit_test(a_clock_is_corrected_once),
    };
    if (!lithops__module_symbol("http", "lithops__http", NULL) ||
        !lithops__module_symbol("crypto", "lithops__crypto", NULL))
        return 77; /* built without */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
