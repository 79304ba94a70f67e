/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/batch.h"

#include "base/error.h"
#include "net/aws_profile.h"
#include "net/credentials.h"

#include <lithops/value.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of parts of array jobs: IBM Code Engine, whose name is a common one, and AWS Batch. */
static const struct {
    const char *name, *only_with;
} index_variables[] = {{"AWS_BATCH_JOB_ARRAY_INDEX", NULL}, {"JOB_INDEX", "CE_JOBRUN"}};

/* A job that has one part only may have no number. */
static int read_index(size_t *ret_index, lithops_error *err)
{
    *ret_index = 0;
    for (size_t i = 0; i < sizeof index_variables / sizeof *index_variables; i++) {
        const char *text = getenv(index_variables[i].name), *other = index_variables[i].only_with;
        char *end;
        if (!text || !*text || (other && !getenv(other)))
            continue;
        errno = 0;
        unsigned long number = strtoul(text, &end, 10);
        if (text[0] < '0' || text[0] > '9' || *end || errno)
            return lithops__fail(err, LITHOPS_EUSAGE, "%s in the environment is '%.40s', no number",
                                 index_variables[i].name, text);
        *ret_index = number;
        return 0;
    }
    return 0;
}

/* Item `index` of "a,b,c". */
static int make_key(const lithops_value *job, size_t index, char *ret_key, size_t size,
                    lithops_error *err)
{
    const char *prefix = lithops_value_get_string(lithops_value_get(job, "prefix"));
    const char *link = lithops_value_get_string(lithops_value_get(job, "links"));
    for (size_t i = 0; link && i < index; i++) {
        link = strchr(link, ',');
        link = link ? link + 1 : NULL;
    }
    size_t len = link ? strcspn(link, ",") : 0;
    if (!prefix || !len || strlen(prefix) + len >= size)
        return lithops__fail(err, LITHOPS_EUSAGE, "the job names no worker of the number %zu",
                             index);
    snprintf(ret_key, size, "%s%.*s", prefix, (int)len, link);
    return 0;
}

/* @param ret_text  for lithops__secret_free() */
static int read_job(char **ret_text, lithops_error *err)
{
    const char *text = getenv(LITHOPS__BATCH_VARIABLE),
               *path = getenv(LITHOPS__BATCH_FILE_VARIABLE);
    if (!text && !path)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "lithops worker --batch is what jobs of a batch service run, which "
                             "their clients give " LITHOPS__BATCH_VARIABLE
                             " or " LITHOPS__BATCH_FILE_VARIABLE " in the environment");
    *ret_text = text ? strdup(text) : lithops__read_small_file(path);
    return *ret_text ? 0
                     : lithops__fail(err, LITHOPS_EUSAGE,
                                     "the file '%.200s' of " LITHOPS__BATCH_FILE_VARIABLE
                                     " cannot be read",
                                     path ? path : "");
}

int lithops__batch_take(char *ret_key, size_t size, lithops_error *err)
{
    char *text = NULL, *config = NULL;
    size_t index;
    int rc = read_job(&text, err);
    if (rc == 0)
        rc = read_index(&index, err);
    lithops_value *job = rc == 0 ? lithops_value_from_json(text, strlen(text), err) : NULL;
    if (rc == 0 && !job)
        rc = lithops__fail(err, LITHOPS_EUSAGE, LITHOPS__BATCH_VARIABLE " is not JSON");
    lithops__secret_free(text);
    if (rc == 0)
        rc = make_key(job, index, ret_key, size, err);
    if (rc == 0)
        rc = lithops_value_to_json(lithops_value_get(job, "config"), &config, err);
    if (rc == 0 && setenv("LITHOPS_CONFIG", config, 1) != 0)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    unsetenv(LITHOPS__BATCH_VARIABLE);
    unsetenv(LITHOPS__BATCH_FILE_VARIABLE);
    lithops__secret_free(config);
    lithops_value_free(job);
    return rc;
}
