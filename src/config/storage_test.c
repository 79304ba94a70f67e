/* SPDX-License-Identifier: Apache-2.0 */
/* Storages by configuration: opening the one that is named, and the keys that drivers bring. */
#include "config/storage.h"

#include "config/test_folder.h"
#include "storage/storage.h"

#include <spawn.h>
#include <sys/wait.h>

#include <lithops/plugin/runtime.h>

static char root[64];

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/lithops-test-XXXXXX");
    return mkdtemp(root) ? enter_folder(state) : -1;
}

static void configured_storage_is_opened(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_value *config =
        lithops_pack("{s:{s:s,s:s}}", "localhost", "storage_root", root, "storage_bucket", "mine");
    options.config = config;
    struct lithops__config *checked;
    if (lithops__config_load(&options, &checked, &err) != 0)
        fail_msg("%s", err.message);
    lithops_storage *storage = lithops__storage_open(checked, NULL, &err);
    if (!storage)
        fail_msg("%s", err.message);
    assert_string_equal(lithops_storage_backend(storage), "localhost");
    assert_string_equal(lithops_storage_bucket(storage), "mine");
    lithops_value *object =
        lithops_cloudobject_put(storage, (lithops_bytes){"x", 1}, NULL, "k", &err);
    assert_non_null(object);
    char path[128];
    snprintf(path, sizeof path, "%s/mine/k", root);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(lithops_cloudobject_delete(storage, object, &err), 0);
    lithops_value_free(object);

    assert_ptr_equal(lithops__storage_ref(storage), storage);
    lithops_storage_close(storage);
    assert_string_equal(lithops_storage_backend(storage), "localhost"); /* one is left */
    lithops_storage_close(storage);

    assert_null(lithops__storage_open(checked, "floppy", &err));
    assert_int_equal(err.code, LITHOPS_EUNSUPPORTED);
    assert_string_equal(
        err.message,
        "storage backend 'floppy' is not built in; available: localhost, aws_s3, minio, ceph, "
        "ibm_cos, gcp_storage, aliyun_oss, oracle_oss, redis, azure_storage, swift, "
        "infinispan");
    lithops__config_free(checked);
    lithops_value_free(config);
}

static void a_storage_opens_by_name(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    setenv("TMPDIR", root, 1);
    setenv("HOME", root, 1);
    setenv("LITHOPS_CONFIG", "lithops: {backend: localhost}", 1);
    lithops_storage *storage = lithops_storage_open("localhost", NULL, &err);
    if (!storage)
        fail_msg("%s", err.message);
    assert_string_equal(lithops_storage_bucket(storage), "storage");
    lithops_storage_close(storage);
    storage = lithops_storage_open(NULL, NULL, &err);
    assert_non_null(storage);
    assert_string_equal(lithops_storage_backend(storage), "localhost");
    lithops_storage_close(storage);
    assert_null(lithops_storage_open("floppy", NULL, &err));
    assert_int_equal(err.code, LITHOPS_EUNSUPPORTED);
    assert_null(lithops_storage_open(NULL, "/no/such/config", &err));
    assert_int_equal(err.code, LITHOPS_ENOTFOUND);
    unsetenv("TMPDIR");
    unsetenv("LITHOPS_CONFIG");
}

/* ---- keys of drivers ------------------------------------------------------------------------- */

static const lithops_config_key own_keys[] = {
    {.name = "storage_bucket", .type = LITHOPS_KEY_STRING, .fallback = "own-bucket", .help = "B."},
    {.name = "colour", .type = LITHOPS_KEY_STRING, .choices = "red|green", .help = "C."},
    {.name = "token", .type = LITHOPS_KEY_STRING, .secret = true, .help = "T."},
    {.name = "storage_root", .type = LITHOPS_KEY_STRING, .help = "R."},
    {.name = NULL},
};
static char opened_with[256]; /* the settings that the driver has seen last, as JSON */

static int own_open(void *state, const lithops_value *settings, const lithops_storage_op *op)
{
    char *json = NULL;
    assert_int_equal(lithops_value_to_json(settings, &json, NULL), 0);
    snprintf(opened_with, sizeof opened_with, "%s", json);
    free(json);
    return lithops__storage_localhost.ops->open(state, settings, op);
}

static lithops_storage_driver own;
static lithops_storage_ops own_ops;

static lithops_value *json(const char *text)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_value *value = lithops_value_from_json(text, strlen(text), &err);
    if (!value)
        fail_msg("%s", err.message);
    return value;
}

static struct lithops__config *load_json(const char *text, lithops_error *err)
{
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    struct lithops__config *config = NULL;
    lithops_value *value = json(text);
    options.config = value;
    if (lithops__config_load(&options, &config, err) != 0)
        config = NULL;
    lithops_value_free(value);
    return config;
}

static void a_registered_driver_brings_its_keys(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    const char *text = "{\"lithops\": {\"storage\": \"own\"}, \"own\": {\"colour\": \"RED\", "
                       "\"token\": \"secret-7\", \"paint\": 1}}";
    struct lithops__config *before = load_json(text, &err);
    assert_non_null(before);
    assert_string_equal(message_of(before, 0),
                        "options: unknown section 'own'; see lithops-config(5)");

    own = lithops__storage_localhost;
    own_ops = *own.ops;
    own_ops.open = own_open;
    own.name = "own";
    own.ops = &own_ops;
    own.config_keys = own_keys;
    assert_int_equal(lithops_storage_register(&own, &err), 0);

    struct lithops__config *config = load_json(text, &err);
    assert_non_null(config);
    assert_int_equal(lithops_value_size(lithops__config_findings(config)), 1);
    assert_string_equal(message_of(config, 0),
                        "options: unknown key 'paint' in section 'own'; see lithops-config(5)");
    assert_string_equal(lithops__config_string(config, "own", "colour"), "red");
    assert_string_equal(lithops__config_string(config, "own", "storage_bucket"), "own-bucket");
    lithops_value *shown = lithops__config_value(config, false);
    assert_string_equal(
        lithops_value_get_string(lithops_value_get(lithops_value_get(shown, "own"), "token")),
        "******");
    lithops_value_free(shown);
    lithops__config_free(config);

    /* A configuration that was made before does not have them, and stays as it was. */
    shown = lithops__config_value(before, true);
    assert_int_equal(lithops_value_size(lithops_value_get(shown, "own")), 3);
    lithops_value_free(shown);
    lithops__config_free(before);

    assert_null(load_json("{\"own\": {\"colour\": \"blue\"}}", &err));
    assert_string_equal(err.message, "options: key 'colour' in section 'own' must be one of red, "
                                     "green, but is the string 'blue'");
    assert_null(
        load_json("{\"lithops\": {\"strict\": true}, \"own\": {\"color\": \"red\"}}", &err));
    assert_non_null(strstr(err.message, "did you mean 'colour'?"));
}

static void a_driver_cannot_take_a_section_of_the_engine(void **state)
{
    (void)state;
    static const char *const names[] = {"lithops",    "localhost",  "process",
                                        "standalone", "serverless", "rabbitmq"};
    static lithops_storage_driver thief;
    thief = lithops__storage_localhost;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        lithops_error err = LITHOPS_ERROR_INIT;
        char message[200];
        thief.name = names[i];
        assert_int_equal(lithops_storage_register(&thief, &err), LITHOPS_EEXIST);
        snprintf(message, sizeof message,
                 "a storage driver cannot be named '%s', which is a section of the engine's own: "
                 "give it another name",
                 names[i]);
        assert_string_equal(err.message, message);
    }
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_int_equal(lithops_storage_register(&lithops__storage_localhost, &err), 0);
    struct lithops__config *config = load_json("{\"lithops\": {\"strict\": true}}", &err);
    assert_non_null(config);
    assert_string_equal(lithops__config_string(config, "lithops", "storage"), "localhost");
    lithops__config_free(config);
}

static void a_driver_opens_with_its_checked_section(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    char text[256];
    snprintf(text, sizeof text,
             "{\"lithops\": {\"storage\": \"own\"}, \"own\": {\"colour\": \"Green\", "
             "\"storage_root\": \"%s\"}}",
             root);
    lithops_value *config = json(text);
    lithops_storage *storage = lithops_storage_open_config(NULL, config, &err);
    if (!storage)
        fail_msg("%s", err.message);
    assert_string_equal(lithops_storage_backend(storage), "own");
    assert_string_equal(lithops_storage_bucket(storage), "own-bucket");
    snprintf(
        text, sizeof text,
        "{\"storage_bucket\": \"own-bucket\", \"colour\": \"green\", \"storage_root\": \"%s\"}",
        root);
    assert_string_equal(opened_with, text);
    lithops_storage_close(storage);
    lithops_value_free(config);
}

static int tear_down(void **state)
{
    char rm[] = "rm", options[] = "-rf";
    char *const arguments[] = {rm, options, root, NULL};
    pid_t child;
    int status = -1;
    if (posix_spawnp(&child, "rm", NULL, NULL, arguments, environ) == 0)
        waitpid(child, &status, 0);
    return leave_folder(state) || status;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configured_storage_is_opened),
        cmocka_unit_test(a_storage_opens_by_name),
        cmocka_unit_test(a_registered_driver_brings_its_keys),
        cmocka_unit_test(a_driver_cannot_take_a_section_of_the_engine),
        cmocka_unit_test(a_driver_opens_with_its_checked_section),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
