/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of this folder: a working directory of their own under /tmp, an environment
 * without any configuration, and files in it. */
#ifndef LITHOPS_CONFIG_TEST_FOLDER_H
#define LITHOPS_CONFIG_TEST_FOLDER_H

#include "config/config.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/lithops-config-XXXXXX";

static inline int enter_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder) || chdir(folder) != 0 || chmod(folder, 0755) != 0)
        return -1;
    setenv("HOME", folder, 1);
    unsetenv("LITHOPS_CONFIG");
    unsetenv("LITHOPS_CONFIG_FILE");
    return 0;
}

static inline int leave_folder(void **state)
{
    (void)state;
    return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1; /* each test removes its files */
}

static inline void write_file(const char *path, const void *content, size_t len)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static inline const char *message_of(const struct lithops__config *config, size_t i)
{
    const lithops_value *finding = lithops_value_at(lithops__config_findings(config), i);
    return lithops_value_get_string(lithops_value_get(finding, "message"));
}

/* Load bytes as the file "conf". */
static inline int load_bytes(const void *content, size_t len, struct lithops__config **ret,
                             lithops_error *err)
{
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    write_file("conf", content, len);
    options.config_file = "conf";
    int rc = lithops__config_load(&options, ret, err);
    unlink("conf");
    return rc;
}

static inline struct lithops__config *load_text(const char *text)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__config *config = NULL;
    if (load_bytes(text, strlen(text), &config, &err) != 0)
        fail_msg("'%s': %s", text, err.message);
    return config;
}

/* The text is a configuration, of which `message` is said; with `strict` it is an error. */
static inline void expect_finding(const char *text, const char *message)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__config *config = NULL;
    if (load_bytes(text, strlen(text), &config, &err) != 0)
        fail_msg("'%s': %s", text, err.message);
    const lithops_value *findings = lithops__config_findings(config);
    assert_int_equal(lithops_value_size(findings), 1);
    assert_string_equal(message_of(config, 0), message);
    lithops__config_free(config);
}

static inline void expect_error(const char *text, const char *message)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__config *config = NULL;
    int rc = load_bytes(text, strlen(text), &config, &err);
    if (rc == 0)
        fail_msg("no error for '%s'", text);
    assert_string_equal(err.message, message);
    assert_int_equal(rc, LITHOPS_ECONFIG);
    assert_int_equal(err.code, LITHOPS_ECONFIG);
    assert_null(config);
}

#endif
