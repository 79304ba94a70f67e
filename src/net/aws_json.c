/* SPDX-License-Identifier: Apache-2.0 */
#include "net/aws_json.h"

#include "base/error.h"
#include "net/date.h"

#include <stdlib.h>
#include <string.h>

int lithops__aws_fail_memory(lithops_error *err)
{
    return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for credentials");
}

char *lithops__aws_copied(const lithops_value *document, const char *name)
{
    const char *text = lithops_value_get_string(lithops_value_get(document, name));
    return text && *text ? strdup(text) : NULL;
}

double lithops__aws_time(const lithops_value *value)
{
    const char *text = lithops_value_get_string(value);
    int64_t millis = 0;
    if (text)
        return lithops__iso_date(text);
    return value && lithops_unpack(value, NULL, "I", &millis) == 0 ? (double)millis / 1000 : 0;
}

int lithops__aws_read_json(const lithops_value *document, const struct lithops__aws_names *names,
                           const char *service, struct lithops__credentials *ret_credentials,
                           lithops_error *err)
{
    struct lithops__credentials credentials = {
        .access_key = lithops__aws_copied(document, names->access_key),
        .secret_key = lithops__aws_copied(document, names->secret_key),
        .session_token = lithops__aws_copied(document, names->token),
        .expires = lithops__aws_time(lithops_value_get(document, names->expires))};
    if (credentials.access_key && credentials.secret_key) {
        *ret_credentials = credentials;
        return 0;
    }
    lithops__credentials_deinit(&credentials);
    return lithops__fail(err, LITHOPS_EBACKEND, "the answer of %s has no credentials in it",
                         service);
}

int lithops__aws_get_json(const struct lithops__aws_context *context, const char *url,
                          const char *const *headers, unsigned attempts, const char *service,
                          lithops_value **ret_document, lithops_error *err)
{
    const struct lithops__fetch fetch = {.http = context->http,
                                         .bounds = context->bounds,
                                         .method = "GET",
                                         .url = url,
                                         .headers = headers,
                                         .connect_timeout_ms = 2000,
                                         .attempts = attempts};
    char *text;
    long status;
    int rc = lithops__fetch(&fetch, &status, &text, err);
    if (rc)
        return rc;
    lithops_value *document =
        status == 200 ? lithops_value_from_json(text, strlen(text), NULL) : NULL;
    lithops__document_free(text);
    if (status != 200) {
        rc = lithops__fail(err, LITHOPS_EDENIED, "%s gives no credentials (HTTP %ld)", service,
                           status);
        if (err)
            err->http_status = (int)status;
        return rc;
    }
    if (!document)
        return lithops__fail(err, LITHOPS_EBACKEND, "the answer of %s cannot be read", service);
    *ret_document = document;
    return 0;
}
