/* SPDX-License-Identifier: Apache-2.0 */
/* credential_process of a profile: a line for the shell that prints credentials. */
#include "base/error.h"
#include "base/program_output.h"
#include "net/aws_json.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

static int read_document(const char *text, struct lithops__credentials *ret_credentials,
                         lithops_error *err)
{
    static const struct lithops__aws_names names = {"AccessKeyId", "SecretAccessKey",
                                                    "SessionToken", "Expiration"};
    lithops_value *document = lithops_value_from_json(text, strlen(text), NULL);
    int rc = 0;
    if (!document || lithops_value_get_int(lithops_value_get(document, "Version")) != 1)
        rc = lithops__fail(err, LITHOPS_ECONFIG,
                           "the credential_process of the profile must print a document in JSON "
                           "with \"Version\": 1");
    else
        rc = lithops__aws_read_json(document, &names, "the profile's credential_process",
                                    ret_credentials, err);
    lithops_value_free(document);
    return rc;
}

int lithops__aws_process(const struct lithops__aws_context *context, const char *command,
                         struct lithops__credentials *ret_credentials, lithops_error *err)
{
    char *const argv[] = {(char *)"/bin/sh", (char *)"-c", (char *)command, NULL};
    char *text = malloc(LITHOPS__DOCUMENT_MAX + 1);
    if (!text)
        return lithops__aws_fail_memory(err);
    size_t len = 0;
    int rc = lithops__program_output(argv, environ, &context->bounds, text, LITHOPS__DOCUMENT_MAX,
                                     &len, err);
    text[len] = '\0';
    if (rc == 0)
        rc = read_document(text, ret_credentials, err);
    else if (rc != LITHOPS_ECANCELED)
        lithops__error_prefix(err, "the credential_process of the profile");
    explicit_bzero(text, LITHOPS__DOCUMENT_MAX);
    free(text);
    return rc;
}
