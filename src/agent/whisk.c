/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/whisk.h"

#include "base/error.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECRET "LITHOPS_WORKER_SECRET"
#define API_KEY "__OW_API_KEY" /* of the namespace; no function gets it */

static int parse(lithops_bytes body, lithops_value **ret_request, const lithops_value **ret_value,
                 lithops_error *err)
{
    lithops_value *request = lithops_value_from_json(body.ptr, body.len, NULL);
    const lithops_value *value = lithops_value_get(request, "value");
    if (lithops_value_type(value) != LITHOPS_MAP) {
        lithops_value_free(request);
        return lithops__fail(err, LITHOPS_EUSAGE, "the request is no JSON with a map 'value'");
    }
    *ret_request = request;
    *ret_value = value;
    return 0;
}

/* A name that a shell would take, too. */
static bool is_name(const char *name)
{
    if (!*name || isdigit((unsigned char)*name))
        return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && *name != '_')
            return false;
    return true;
}

/* Texts as they are, other values as JSON. */
static int export_one(const char *name, const lithops_value *value, lithops_error *err)
{
    const char *text = lithops_value_get_string(value);
    char *json = NULL;
    int rc = text ? 0 : lithops_value_to_json(value, &json, err);
    if (rc == 0 && setenv(name, text ? text : json, 1) != 0)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    free(json);
    return rc;
}

static int take_environment(const lithops_value *env, char secret[LITHOPS__WHISK_SECRET],
                            lithops_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < lithops_value_size(env); i++) {
        const char *name;
        const lithops_value *value = lithops_value_pair(env, i, &name);
        const char *text = lithops_value_get_string(value);
        if (strcmp(name, SECRET) != 0) {
            if (is_name(name) && strcmp(name, API_KEY) != 0)
                rc = export_one(name, value, err);
        } else if (!text || strlen(text) >= LITHOPS__WHISK_SECRET) {
            rc =
                lithops__fail(err, LITHOPS_EUSAGE, SECRET " is not a text of %d characters at most",
                              LITHOPS__WHISK_SECRET - 1);
        } else {
            memcpy(secret, text, strlen(text) + 1);
        }
    }
    return rc;
}

int lithops__whisk_init(lithops_bytes body, char secret[LITHOPS__WHISK_SECRET], lithops_error *err)
{
    lithops_value *request;
    const lithops_value *value;
    secret[0] = '\0';
    int rc = parse(body, &request, &value, err);
    if (rc != 0)
        return rc;
    rc = take_environment(lithops_value_get(value, "env"), secret, err);
    lithops_value_free(request);
    return rc;
}

/* The deadline is in milliseconds since 1970, as a number or a text of one. */
static int64_t time_left_ms(const lithops_value *deadline)
{
    const char *text = lithops_value_get_string(deadline);
    int64_t at_ms = text ? strtoll(text, NULL, 10) : (int64_t)lithops_value_get_double(deadline);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return at_ms > 0 ? at_ms - (int64_t)now.tv_sec * 1000 - now.tv_nsec / 1000000 : INT64_MAX;
}

static int export_context(const lithops_value *request, lithops_error *err)
{
    static const char *const names[][2] = {{"activation_id", "__OW_ACTIVATION_ID"},
                                           {"deadline", "__OW_DEADLINE"},
                                           {"action_name", "__OW_ACTION_NAME"},
                                           {"action_version", "__OW_ACTION_VERSION"},
                                           {"namespace", "__OW_NAMESPACE"}};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof names / sizeof *names; i++) {
        const lithops_value *value = lithops_value_get(request, names[i][0]);
        rc = value ? export_one(names[i][1], value, err) : 0;
    }
    return rc;
}

int lithops__whisk_run_read(lithops_bytes body, struct lithops__whisk_run *ret_run,
                            lithops_error *err)
{
    lithops_value *request;
    const lithops_value *value;
    int rc = parse(body, &request, &value, err);
    if (rc != 0)
        return rc;
    rc = export_context(request, err);
    if (rc != 0) {
        lithops_value_free(request);
        return rc;
    }
    *ret_run = (struct lithops__whisk_run){
        .value = request,
        .activation = lithops_value_get_string(lithops_value_get(value, "activation")),
        .sealed = lithops_value_get_bytes(lithops_value_get(value, "sealed")),
        .left_ms = time_left_ms(lithops_value_get(request, "deadline")),
    };
    return 0;
}

void lithops__whisk_end_log(void)
{
    static const char mark[] = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX\n";
    fputs(mark, stdout);
    fflush(stdout);
    fputs(mark, stderr);
    fflush(stderr);
}
