/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials in documents of JSON, whose names differ from one service to the next. */
#ifndef LITHOPS_NET_AWS_JSON_H
#define LITHOPS_NET_AWS_JSON_H

#include "net/aws_remote.h"

#include <lithops/value.h>

struct lithops__aws_names {
    const char *access_key, *secret_key, *token, *expires;
};

/* A text, for lithops__secret_free(); NULL: none, or an empty one. */
char *lithops__aws_copied(const lithops_value *document, const char *name);
/* A date, or milliseconds since 1970, as seconds; 0: neither. */
double lithops__aws_time(const lithops_value *value);
/* @param service  for messages. EBACKEND: access key or secret key is missing */
int lithops__aws_read_json(const lithops_value *document, const struct lithops__aws_names *names,
                           const char *service, struct lithops__credentials *ret_credentials,
                           lithops_error *err);
/* GET a document. EDENIED (another status than 200), EBACKEND, ETIMEDOUT, ECANCELED, ENOMEM. */
int lithops__aws_get_json(const struct lithops__aws_context *context, const char *url,
                          const char *const *headers, unsigned attempts, const char *service,
                          lithops_value **ret_document, lithops_error *err);
int lithops__aws_fail_memory(lithops_error *err);

#endif
