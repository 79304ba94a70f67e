/* SPDX-License-Identifier: Apache-2.0 */
/* Drivers of storages: opening and registering them; and walking folder trees. */
#include "storage/drivers.h"
#include "storage/storage.h"
#include "storage/tree.h"

#include <fcntl.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/lithops-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static void drivers_are_checked(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_storage_driver old = lithops__storage_localhost;
    old.abi = LITHOPS_STORAGE_ABI + 1;
    assert_null(lithops__storage_open_driver(&old, NULL, NULL, &err));
    assert_int_equal(err.code, LITHOPS_EUNSUPPORTED);
    lithops_value *settings = lithops_pack("{s:s}", "storage_root", folder);
    assert_null(
        lithops__storage_open_driver(&lithops__storage_localhost, settings, "../bad", &err));
    assert_int_equal(err.code, LITHOPS_EUSAGE);
    lithops_value_free(settings);
    for (size_t i = 0; lithops__storage_driver(i); i++)
        assert_int_equal(lithops__storage_driver_check(lithops__storage_driver(i), &err), 0);
}

static void a_program_registers_drivers(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    static lithops_storage_driver own, other, broken;
    static lithops_storage_ops ops;
    own = lithops__storage_localhost;
    own.name = "own";
    other = own;
    assert_int_equal(lithops_storage_register(&own, &err), 0);
    assert_int_equal(lithops_storage_register(&own, &err), 0); /* the same: nothing to do */
    assert_int_equal(lithops_storage_register(&other, &err), LITHOPS_EEXIST);
    other.name = "other";
    other.abi--;
    assert_int_equal(lithops_storage_register(&other, &err), LITHOPS_EUNSUPPORTED);
    ops = *own.ops;
    ops.head = NULL;
    broken = own;
    broken.name = "broken";
    broken.ops = &ops;
    assert_int_equal(lithops_storage_register(&broken, &err), LITHOPS_EUSAGE);
    assert_int_equal(lithops_storage_register(NULL, &err), LITHOPS_EUSAGE);
    static const lithops_config_key without_help[] = {{.name = "colour"}, {.name = NULL}};
    broken = own;
    broken.name = "broken";
    broken.config_keys = without_help;
    assert_int_equal(lithops_storage_register(&broken, &err), LITHOPS_EUSAGE);
    assert_ptr_equal(lithops__storage_find("own", &err), &own);
    assert_null(lithops__storage_find("broken", &err));
    static const char says[] = "storage backend 'broken' is not built in; available: localhost, ";
    assert_memory_equal(err.message, says, strlen(says));
    assert_string_equal(err.message + strlen(err.message) - strlen(", own"), ", own");
}

/* ---- trees ----------------------------------------------------------------------------------- */

static int append(const char *path, const struct stat *st, void *user)
{
    (void)st;
    char *all = user;
    snprintf(all + strlen(all), 4096 - strlen(all), "%s|", path);
    return 0;
}

static void trees_are_walked_in_key_order(void **state)
{
    (void)state;
    char tree[80];
    snprintf(tree, sizeof tree, "%s/tree", folder);
    int root = -1;
    assert_int_equal(mkdir(tree, 0700), 0);
    root = open(tree, O_PATH | O_DIRECTORY);
    const char *const files[] = {"a/c", "a/b/x", "a-b", "a.b", "a0", "b", ".h/x"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *slash = strrchr(files[i], '/');
        int where =
            lithops__tree_open(root, files[i], slash ? (size_t)(slash - files[i]) : 0, true);
        assert_true(where >= 0);
        close(openat(where, slash ? slash + 1 : files[i], O_WRONLY | O_CREAT, 0600));
        close(where);
    }
    assert_int_equal(symlinkat("b", root, "link"), 0);
    assert_int_equal(symlinkat("a", root, "link-to-folder"), 0);
    assert_int_equal(symlinkat("gone", root, "link-to-nothing"), 0);
    char all[4096] = "";
    struct lithops__tree_options options = {.path_max = SIZE_MAX};
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_int_equal(lithops__tree_walk(root, "", &options, append, all, &err), 0);
    assert_string_equal(all, ".h/x|a-b|a.b|a/b/x|a/c|a0|b|");
    static const struct {
        const char *after, *expected;
    } rests[] = {
        {"a-b", "a.b|a/b/x|a/c|a0|b|"}, {"a/", "a/b/x|a/c|a0|b|"}, {"a/b", "a/b/x|a/c|a0|b|"},
        {"a/b/x", "a/c|a0|b|"},         {"a/zz", "a0|b|"},         {"b", ""}};
    for (size_t i = 0; i < sizeof rests / sizeof *rests; i++) {
        all[0] = '\0';
        options.after = rests[i].after;
        assert_int_equal(lithops__tree_walk(root, "", &options, append, all, &err), 0);
        assert_string_equal(all, rests[i].expected);
    }
    options.after = NULL;
    all[0] = '\0';
    options.follow_links = true;
    assert_int_equal(lithops__tree_walk(root, "l", &options, append, all, &err), 0);
    assert_string_equal(all, "link|");
    all[0] = '\0';
    options.path_max = 3;
    assert_int_equal(lithops__tree_walk(root, "a", &options, append, all, &err), 0);
    assert_string_equal(all, "a-b|a.b|a/c|a0|");
    assert_int_equal(lithops__tree_open(root, "b", 1, false), -20 /* ENOTDIR */);
    assert_int_equal(lithops__tree_open(root, "link-to-folder", 14, false), -20);
    assert_int_equal(lithops__tree_open(root, "none", 4, false), -2 /* ENOENT */);
    close(root);
}

/* A tree deeper than a path can be is an error, not a listing with holes. */
static void a_tree_that_is_too_deep_is_an_error(void **state)
{
    (void)state;
    char tree[80], all[4096] = "";
    snprintf(tree, sizeof tree, "%s/deep", folder);
    assert_int_equal(mkdir(tree, 0700), 0);
    int root = open(tree, O_PATH | O_DIRECTORY), at = dup(root);
    char name[256];
    memset(name, 'd', 255);
    name[255] = '\0';
    for (int i = 0; i < 20; i++) {
        assert_int_equal(mkdirat(at, name, 0700), 0);
        int next = openat(at, name, O_PATH | O_DIRECTORY);
        close(at);
        at = next;
    }
    close(at);
    struct lithops__tree_options options = {.path_max = SIZE_MAX};
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_int_equal(lithops__tree_walk(root, "", &options, append, all, &err), LITHOPS_EIO);
    assert_non_null(strstr(err.message, "too long"));
    options.path_max = 1024; /* no key can name what lies below */
    assert_int_equal(lithops__tree_walk(root, "", &options, append, all, &err), 0);
    assert_string_equal(all, "");
    close(root);
}

static int tear_down(void **state)
{
    (void)state;
    /* Not nftw(): the deep tree's paths are longer than a system call takes. */
    char rm[] = "rm", options[] = "-rf";
    char *const arguments[] = {rm, options, folder, NULL};
    pid_t child;
    int status = -1;
    if (posix_spawnp(&child, "rm", NULL, NULL, arguments, environ) == 0)
        waitpid(child, &status, 0);
    return status;
}

static void schemes_stand_for_backends(void **state)
{
    (void)state;
    static const struct {
        const char *backend, *schemes; /* all that stand for it, between spaces */
    } rows[] = {{"aws_s3", " aws_s3 s3 "},
                {"minio", " minio s3 "},
                {"ceph", " ceph s3 "},
                {"ibm_cos", " ibm_cos s3 cos "},
                {"gcp_storage", " gcp_storage s3 gs gcs "},
                {"aliyun_oss", " aliyun_oss s3 oss "},
                {"oracle_oss", " oracle_oss s3 "},
                {"azure_storage", " azure_storage az wasb wasbs "},
                {"redis", " redis rediss "},
                {"swift", " swift "},
                {"infinispan", " infinispan "},
                {"localhost", " localhost "}};
    static const char *const schemes[] = {
        "aws_s3",      "minio",      "ceph",       "ibm_cos",
        "gcp_storage", "aliyun_oss", "oracle_oss", "azure_storage",
        "redis",       "swift",      "infinispan", "localhost",
        "s3",          "cos",        "gs",         "gcs",
        "oss",         "az",         "wasb",       "wasbs",
        "rediss",      "http",       "",           "S3"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t k = 0; k < sizeof schemes / sizeof *schemes; k++) {
            char word[32];
            snprintf(word, sizeof word, " %s ", schemes[k]);
            assert_int_equal(
                lithops__storage_has_scheme(rows[i].backend, schemes[k], strlen(schemes[k])),
                strstr(rows[i].schemes, word) != NULL);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drivers_are_checked),
        cmocka_unit_test(a_program_registers_drivers),
        cmocka_unit_test(trees_are_walked_in_key_order),
        cmocka_unit_test(a_tree_that_is_too_deep_is_an_error),
        cmocka_unit_test(schemes_stand_for_backends),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
