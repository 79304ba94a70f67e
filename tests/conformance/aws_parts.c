/* SPDX-License-Identifier: Apache-2.0 */
#include "aws_parts.h"

#include "compute_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

char aws_command[PATH_MAX + 32];

lithops_value *aws_storage_settings(void)
{
    return lithops_pack("{s:s,s:s,s:s,s:s}", "endpoint", getenv("LITHOPS_TEST_S3_ENDPOINT"),
                        "access_key_id", getenv("LITHOPS_TEST_S3_ACCESS_KEY"), "secret_access_key",
                        getenv("LITHOPS_TEST_S3_SECRET_KEY"), "storage_bucket", "jobs");
}

lithops_value *aws_pool(lithops_value *section, int workers, int processes)
{
    lithops_value_set(section, "max_workers", lithops_value_int(workers));
    lithops_value_set(section, "worker_processes", lithops_value_int(processes));
    return section;
}

int aws_run(const char *arguments, char *buf, size_t size)
{
    char line[PATH_MAX + 1024];
    snprintf(line, sizeof line, "'%s' %s 2>&1", aws_command, arguments);
    FILE *pipe = popen(line, "re"); /* NOLINT(cert-env33-c) */
    size_t len = pipe ? fread(buf, 1, size - 1, pipe) : 0;
    buf[len] = '\0';
    return pipe ? WEXITSTATUS(pclose(pipe)) : -1;
}

void aws_check_says(const char *arguments, int status, const char *part, int line)
{
    char text[4096];
    int got = aws_run(arguments, text, sizeof text);
    if (got != status || !strstr(text, part)) {
        print_error("line %d: lithops %s: status %d: %s", line, arguments, got, text);
        fail();
    }
}

bool aws_deploy(const char *backend, lithops_value *section, const char *storage)
{
    char text[4096], own[PATH_MAX] = "", *json = NULL;
    assert_true(readlink("/proc/self/exe", own, sizeof own - 1) > 0);
    *strrchr(own, '/') = '\0';
    snprintf(aws_command, sizeof aws_command, "%s/../bin/lithops", own);
    lithops_value *config =
        lithops_pack("{s:{s:s,s:s},s:o,s:o}", "lithops", "backend", backend, "storage", storage,
                     backend, section, storage, aws_storage_settings());
    assert_int_equal(lithops_value_to_json(config, &json, &err), 0);
    setenv("LITHOPS_CONFIG", json, 1);
    free(json);
    lithops_value_free(config);
    if (aws_run("runtime deploy", text, sizeof text) == 0)
        return true;
    print_error("%s", text);
    return false;
}

size_t aws_read_proc(const char *pid, const char *name, char *buf, size_t size)
{
    char path[300];
    snprintf(path, sizeof path, "/proc/%s/%s", pid, name);
    FILE *file = fopen(path, "re");
    size_t len = file ? fread(buf, 1, size - 1, file) : 0;
    if (file)
        fclose(file);
    buf[len] = '\0';
    return len;
}
