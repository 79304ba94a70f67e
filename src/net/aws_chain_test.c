/* SPDX-License-Identifier: Apache-2.0 */
/* Each place of the chain, the services played by a scripted server on this machine. */
#include "base/clock.h"
#include "base/module.h"
#include "net/aws_chain.h"
#include "net/http.h"
#include "net/test_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char home[64];
static struct script script;
static lithops_error err;
static struct lithops__credentials got;
static const struct lithops__transfer_api *http;
static const struct lithops__crypto_api *crypto;

#define ANSWER(status, body) "HTTP/1.1 " status "\r\nConnection: close\r\n\r\n" body
#define STS(action)                                                                                \
    ANSWER("200 OK", "<" action "Response><" action "Result><Credentials>"                         \
                     "<AccessKeyId>sts-key</AccessKeyId>"                                          \
                     "<SecretAccessKey>sts-secret</SecretAccessKey>"                               \
                     "<SessionToken>sts-token</SessionToken>"                                      \
                     "<Expiration>2100-01-01T00:00:00Z</Expiration>"                               \
                     "</Credentials></" action "Result></" action "Response>")
#define METADATA                                                                                   \
    ANSWER("200 OK", "{\"Code\": \"Success\", \"AccessKeyId\": \"m-key\", \"SecretAccessKey\": "   \
                     "\"m-secret\", \"Token\": \"m-token\", \"Expiration\": "                      \
                     "\"2100-01-01T00:00:00Z\"}")

static const char *const variables[] = {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ENDPOINT_URL_SSO",
    "AWS_ENDPOINT_URL_SSO_OIDC",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
};

static void in_home(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", home, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void folder_in_home(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", home, name);
    mkdir(path, 0700);
}

static int set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
    snprintf(home, sizeof home, "/tmp/lithops-test-XXXXXX");
    if (!mkdtemp(home))
        return -1;
    folder_in_home(".aws");
    setenv("HOME", home, 1);
    err = (lithops_error)LITHOPS_ERROR_INIT;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    static const char *const files[] = {
        ".aws/config",    ".aws/credentials",
        "token",          ".aws/sso/cache/0ad374308c5a4e22f723adf10145eafad7c4031c.json",
        ".aws/sso/cache", ".aws/sso",
        ".aws",           ""};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/%s", home, files[i]);
        remove(path);
    }
    lithops__credentials_deinit(&got);
    return 0;
}

/* Make the chain and ask it once. */
static int ask(const char *region)
{
    struct lithops__credential_store *store;
    int rc = lithops__aws_chain_open(http, crypto, region, &store, &err);
    if (rc)
        return rc;
    lithops__credentials_deinit(&got);
    const struct lithops__bounds bounds = LITHOPS__UNBOUNDED;
    rc = lithops__credential_store_get(store, &bounds, &got, &err);
    lithops__credential_store_free(store);
    return rc;
}

static void expect(const char *region, const char *access_key, const char *token)
{
    if (ask(region) != 0)
        fail_msg("%s", err.message);
    assert_string_equal(got.access_key, access_key);
    if (token)
        assert_string_equal(got.session_token, token);
    else
        assert_null(got.session_token);
}

static void refused(int code, const char *says)
{
    assert_int_equal(ask("eu-west-1"), code);
    if (!strstr(err.message, says))
        fail_msg("'%s' does not say '%s'", err.message, says);
}

static void serve(const char *variable, const char *path, const char *const *answers, size_t count)
{
    char url[128];
    script_start(&script, answers, count);
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", script.port, path);
    setenv(variable, url, 1);
}

static void expect_request(size_t i, const char *says)
{
    if (!strstr(script.requests[i], says))
        fail_msg("request %zu does not say '%s': %s", i, says, script.requests[i]);
}

/* ---- without requests ------------------------------------------------------------------------ */

static void the_environment_comes_first(void **state)
{
    (void)state;
    in_home(".aws/credentials",
            "[default]\naws_access_key_id=file\naws_secret_access_key=x\n[work]\n"
            "aws_access_key_id=work\naws_secret_access_key=x\naws_session_token=t\n");
    in_home(".aws/config", "[profile work]\nregion = eu-west-3\n");
    expect("", "file", NULL);
    setenv("AWS_PROFILE", "work", 1);
    expect("", "work", "t");
    char region[64] = "";
    assert_true(lithops__aws_region(region, sizeof region));
    assert_string_equal(region, "eu-west-3");
    setenv("AWS_ACCESS_KEY_ID", "env", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "x", 1);
    expect("", "env", NULL);
}

static void nothing_is_told(void **state)
{
    (void)state;
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    refused(LITHOPS_ECONFIG, "set access_key_id and secret_access_key");
    setenv("AWS_PROFILE", "missing", 1);
    refused(LITHOPS_ECONFIG, "no profile 'missing'");
}

/* ---- STS ------------------------------------------------------------------------------------- */

static void a_web_identity_gets_a_role(void **state)
{
    (void)state;
    static const char *const answers[] = {
        STS("AssumeRoleWithWebIdentity"),
        ANSWER("403 Forbidden",
               "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not you</Message></Error>"
               "</ErrorResponse>"),
        ANSWER("200 OK", "no document")};
    char path[128];
    in_home("token", "a-secret/token\n");
    snprintf(path, sizeof path, "%s/token", home);
    setenv("AWS_WEB_IDENTITY_TOKEN_FILE", path, 1);
    setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/r", 1);
    serve("AWS_ENDPOINT_URL_STS", "", answers, 3);
    expect("eu-west-1", "sts-key", "sts-token");
    assert_true(got.expires == 4102444800.0);
    refused(LITHOPS_EDENIED, "AccessDenied: not you");
    assert_null(strstr(err.message, "a-secret"));
    refused(LITHOPS_EBACKEND, "cannot be read");
    script_stop(&script);
    expect_request(0, "POST / HTTP/1.1");
    expect_request(0,
                   "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam"
                   "%3A%3A1%3Arole%2Fr&RoleSessionName=lithops&WebIdentityToken=a-secret%2Ftoken");
    setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent", 1);
    refused(LITHOPS_ECONFIG, "'/nonexistent' cannot be read");
}

static void a_profile_assumes_a_role(void **state)
{
    (void)state;
    static const char *const answers[] = {STS("AssumeRole")};
    in_home(".aws/credentials", "[base]\naws_access_key_id=base-key\naws_secret_access_key=x\n");
    in_home(".aws/config", "[default]\nrole_arn = arn:r\nsource_profile = base\n"
                           "external_id = a b\nrole_session_name = me\n");
    serve("AWS_ENDPOINT_URL_STS", "/", answers, 1);
    expect("eu-west-1", "sts-key", "sts-token");
    script_stop(&script);
    expect_request(0, "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Ar&RoleSessionName=me&"
                      "ExternalId=a%20b");
    expect_request(0, "Credential=base-key/");
    expect_request(0, "/eu-west-1/sts/aws4_request");
}

static void roles_in_a_circle_are_told(void **state)
{
    (void)state;
    in_home(".aws/config",
            "[default]\nrole_arn=r\nsource_profile=b\n[profile b]\nrole_arn=r\n"
            "source_profile=default\n[profile c]\nrole_arn=r\nsource_profile=missing\n[profile d]\n"
            "role_arn=r\ncredential_source=Moon\n");
    refused(LITHOPS_ECONFIG, "refer to each other");
    setenv("AWS_PROFILE", "c", 1);
    refused(LITHOPS_ECONFIG, "no profile 'missing'");
    setenv("AWS_PROFILE", "d", 1);
    refused(LITHOPS_ECONFIG, "credential_source 'Moon'");
}

/* ---- SSO ------------------------------------------------------------------------------------- */

#define CACHED(until)                                                                              \
    "{\"accessToken\": \"sso-secret\", \"expiresAt\": \"" until "\", \"region\": \"eu-west-1\"}"
/* The SHA-1 of "my-sso". */
#define CACHE ".aws/sso/cache/0ad374308c5a4e22f723adf10145eafad7c4031c.json"

static void a_login_of_sso_is_used(void **state)
{
    (void)state;
    static const char *const answers[] = {
        ANSWER("200 OK", "{\"roleCredentials\": {\"accessKeyId\": \"sso-key\", "
                         "\"secretAccessKey\": \"x\", \"sessionToken\": \"sso-token\", "
                         "\"expiration\": 4102444800000}}"),
        ANSWER("401 Unauthorized", "{}")};
    folder_in_home(".aws/sso");
    folder_in_home(".aws/sso/cache");
    in_home(".aws/config", "[default]\nsso_session = my-sso\nsso_account_id = 123\n"
                           "sso_role_name = a role\n[sso-session my-sso]\nsso_region = eu-west-1\n"
                           "sso_start_url = https://x.awsapps.com/start\n");
    refused(LITHOPS_EDENIED, "is missing; run `aws sso login`");
    in_home(CACHE, CACHED("2001-01-01T00:00:00Z"));
    refused(LITHOPS_EDENIED, "has expired; run `aws sso login`");
    in_home(CACHE, CACHED("2100-01-01T00:00:00Z"));
    serve("AWS_ENDPOINT_URL_SSO", "", answers, 2);
    expect("eu-west-1", "sso-key", "sso-token");
    assert_true(got.expires == 4102444800.0);
    refused(LITHOPS_EDENIED, "the role 'a role' in account 123");
    script_stop(&script);
    expect_request(0, "GET /federation/credentials?role_name=a%20role&account_id=123 HTTP/1.1");
    expect_request(0, "x-amz-sso_bearer_token: sso-secret\r\n");
}

#define RENEWABLE(until)                                                                           \
    "{\"accessToken\": \"old-secret\", \"expiresAt\": \"" until                                    \
    "\", \"clientId\": \"id\", \"clientSecret\": \"client-secret\", \"refreshToken\": "            \
    "\"refresh-secret\", \"registrationExpiresAt\": \"2100-01-01T00:00:00Z\", \"kept\": 7}"
#define OF_A_ROLE                                                                                  \
    ANSWER("200 OK", "{\"roleCredentials\": {\"accessKeyId\": \"sso-key\", \"secretAccessKey\": "  \
                     "\"x\", \"sessionToken\": \"sso-token\", \"expiration\": 4102444800000}}")
#define REFUSED ANSWER("400 Bad Request", "{\"error\": \"invalid_grant\"}")

static void in_config_of_sso(void)
{
    folder_in_home(".aws/sso");
    folder_in_home(".aws/sso/cache");
    in_home(".aws/config", "[default]\nsso_session = my-sso\nsso_account_id = 123\n"
                           "sso_role_name = r\n[sso-session my-sso]\nsso_region = eu-west-1\n"
                           "sso_start_url = https://x.awsapps.com/start\n");
}

/* A date a minute from now. */
static void in_cache_for_a_minute(void)
{
    char date[32], text[512];
    time_t until = time(NULL) + 60;
    struct tm parts;
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&until, &parts));
    snprintf(text, sizeof text, RENEWABLE("%s"), date);
    in_home(CACHE, text);
}

static void a_login_of_sso_is_renewed(void **state)
{
    (void)state;
    static const char *const answers[] = {
        ANSWER("200 OK", "{\"accessToken\": \"new-secret\", \"expiresIn\": 3600, "
                         "\"refreshToken\": \"next-secret\", \"tokenType\": \"Bearer\"}"),
        OF_A_ROLE, OF_A_ROLE};
    char path[128];
    in_config_of_sso();
    in_home(CACHE, RENEWABLE("2001-01-01T00:00:00Z"));
    serve("AWS_ENDPOINT_URL_SSO", "", answers, 3);
    setenv("AWS_ENDPOINT_URL_SSO_OIDC", getenv("AWS_ENDPOINT_URL_SSO"), 1);
    expect("eu-west-1", "sso-key", "sso-token");
    expect("eu-west-1", "sso-key", "sso-token"); /* from the file, without another renewal */
    script_stop(&script);
    expect_request(0, "POST /token HTTP/1.1");
    expect_request(0, "\"grantType\": \"refresh_token\", \"clientId\": \"id\", \"clientSecret\": "
                      "\"client-secret\", \"refreshToken\": \"refresh-secret\"}");
    expect_request(1, "x-amz-sso_bearer_token: new-secret\r\n");
    expect_request(2, "x-amz-sso_bearer_token: new-secret\r\n");
    snprintf(path, sizeof path, "%s/%s", home, CACHE);
    char *cache = lithops__read_small_file(path);
    assert_non_null(strstr(cache, "\"refreshToken\": \"next-secret\""));
    assert_non_null(strstr(cache, "\"kept\": 7"));
    lithops__secret_free(cache);
    struct stat file;
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
}

static void a_login_that_cannot_be_renewed_is_used_to_its_end(void **state)
{
    (void)state;
    static const char *const answers[] = {REFUSED, OF_A_ROLE, REFUSED};
    in_config_of_sso();
    in_cache_for_a_minute();
    serve("AWS_ENDPOINT_URL_SSO", "", answers, 3);
    setenv("AWS_ENDPOINT_URL_SSO_OIDC", getenv("AWS_ENDPOINT_URL_SSO"), 1);
    expect("eu-west-1", "sso-key", "sso-token");
    in_home(CACHE, RENEWABLE("2001-01-01T00:00:00Z"));
    refused(LITHOPS_EDENIED, "cannot be renewed (HTTP 400); run `aws sso login`");
    script_stop(&script);
    expect_request(1, "x-amz-sso_bearer_token: old-secret\r\n");
    assert_null(strstr(err.message, "secret"));
}

/* ---- a program ------------------------------------------------------------------------------- */

#define PRINTS(version)                                                                            \
    "[default]\ncredential_process = printf '%s' '{\"Version\": " version ", \"AccessKeyId\": "    \
    "\"p-key\", \"SecretAccessKey\": \"p-secret\", \"SessionToken\": \"p-token\", "                \
    "\"Expiration\": \"2100-01-01T00:00:00Z\"}'"

static void a_program_prints_credentials(void **state)
{
    (void)state;
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    in_home(".aws/config", PRINTS("1") "\n");
    expect("", "p-key", "p-token");
    assert_true(got.expires == 4102444800.0);
    in_home(".aws/config", PRINTS("2") "\n");
    refused(LITHOPS_ECONFIG, "with \"Version\": 1");
    assert_null(strstr(err.message, "p-secret"));
    in_home(".aws/config", PRINTS("1") "; exit 3\n");
    refused(LITHOPS_EDENIED, "credential_process of the profile: it ended with exit status 3");
    in_home(".aws/config", "[default]\ncredential_process = kill -9 $$\n");
    refused(LITHOPS_EDENIED, "it ended with signal 9");
    in_home(".aws/config", "[default]\ncredential_process = echo '{\"Version\": 1}'\n");
    refused(LITHOPS_EBACKEND, "credential_process has no credentials in it");
}

static bool on_second_look(void *user)
{
    return ++*(int *)user >= 2;
}

/* It is killed with what it has started, also where that alone is left. */
static void a_program_does_not_outlast_its_time(void **state)
{
    (void)state;
    static const char *const lines[] = {"sleep 1000 & sleep 1000", "sleep 1000 &"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        int looks = 0, ends[2];
        char config[128];
        assert_int_equal(pipe(ends), 0); /* whose end is seen when the last of them has died */
        snprintf(config, sizeof config, "[default]\ncredential_process = %s\n", lines[i]);
        in_home(".aws/config", config);
        struct lithops__credential_store *store;
        assert_int_equal(lithops__aws_chain_open(http, crypto, "", &store, &err), 0);
        struct lithops__bounds bounds = {UINT64_MAX, on_second_look, &looks};
        assert_int_equal(lithops__credential_store_get(store, &bounds, &got, &err),
                         LITHOPS_ECANCELED);
        bounds = (struct lithops__bounds){.deadline_ns = lithops__now_ns() + 1000000};
        assert_int_equal(lithops__credential_store_get(store, &bounds, &got, &err),
                         LITHOPS_ETIMEDOUT);
        lithops__credential_store_free(store);
        close(ends[1]);
        char byte;
        assert_int_equal(read(ends[0], &byte, 1), 0);
        close(ends[0]);
    }
}

/* ---- metadata -------------------------------------------------------------------------------- */

static void a_container_has_credentials(void **state)
{
    (void)state;
    static const char *const answers[] = {METADATA, ANSWER("200 OK", "{\"AccessKeyId\": \"k\"}"),
                                          METADATA};
    char path[128];
    in_home("token", "of-a-file\n");
    snprintf(path, sizeof path, "%s/token", home);
    serve("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/v2?x=1", answers, 3);
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "of-the-environment", 1);
    expect("", "m-key", "m-token");
    refused(LITHOPS_EBACKEND, "has no credentials in it");
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path, 1);
    expect("", "m-key", "m-token");
    script_stop(&script);
    expect_request(0, "GET /v2?x=1 HTTP/1.1");
    expect_request(0, "Authorization: of-the-environment\r\n");
    expect_request(2, "Authorization: of-a-file\r\n");
    static const char *const strangers[] = {"http://example.com/", "http://127.0.0.1.example.com/",
                                            "ftp://127.0.0.1/", "file:///etc/passwd"};
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", strangers[i], 1);
        refused(LITHOPS_ECONFIG, "must be https, or of this machine");
    }
}

static void a_machine_has_credentials(void **state)
{
    (void)state;
    static const char *const answers[] = {ANSWER("200 OK", "session"), ANSWER("200 OK", "a-role\n"),
                                          METADATA, ANSWER("200 OK", "session"),
                                          ANSWER("404 Not Found", "")};
    serve("AWS_EC2_METADATA_SERVICE_ENDPOINT", "/", answers, 5);
    expect("", "m-key", "m-token");
    refused(LITHOPS_EDENIED, "this machine has no role");
    script_stop(&script);
    expect_request(0, "PUT /latest/api/token HTTP/1.1");
    expect_request(0, "X-aws-ec2-metadata-token-ttl-seconds: 21600\r\n");
    expect_request(1, "GET /latest/meta-data/iam/security-credentials/ HTTP/1.1");
    expect_request(2, "GET /latest/meta-data/iam/security-credentials/a-role HTTP/1.1");
    expect_request(2, "X-aws-ec2-metadata-token: session\r\n");
    refused(LITHOPS_ECONFIG, "no credentials of AWS"); /* nobody listens */
    setenv("AWS_EC2_METADATA_DISABLED", "TRUE", 1);
    refused(LITHOPS_ECONFIG, "no credentials of AWS");
}

int main(void)
{
    setenv("no_proxy", "*", 1);
    const struct lithops__http_api *module = lithops__module_symbol("http", "lithops__http", &err);
    crypto = lithops__module_symbol("crypto", "lithops__crypto", &err);
    if (!module || !crypto) {
        print_message("skipped: %s\n", err.message);
        return 77;
    }
    http = &module->transfer;
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_environment_comes_first),  TEST(nothing_is_told),
        TEST(a_web_identity_gets_a_role),   TEST(a_profile_assumes_a_role),
        TEST(roles_in_a_circle_are_told),   TEST(a_login_of_sso_is_used),
        TEST(a_login_of_sso_is_renewed),    TEST(a_login_that_cannot_be_renewed_is_used_to_its_end),
        TEST(a_program_prints_credentials), TEST(a_program_does_not_outlast_its_time),
        TEST(a_container_has_credentials),  TEST(a_machine_has_credentials),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
