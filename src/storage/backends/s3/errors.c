/* SPDX-License-Identifier: Apache-2.0 */
/* S3's error codes as ours, with messages. */
#include "base/error.h"
#include "net/xml.h"
#include "storage/backends/s3/s3.h"
#include "storage/web_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct lithops__web_code codes[] = {
    {"NoSuchKey", LITHOPS_ENOTFOUND, false, NULL},
    {"NoSuchBucket", LITHOPS_ENOTFOUND, false, NULL},
    {"NoSuchUpload", LITHOPS_ENOTFOUND, false, NULL},
    {"AccessDenied", LITHOPS_EDENIED, false,
     "; give the access key the permission, or check the names of bucket and key"},
    {"InvalidAccessKeyId", LITHOPS_EDENIED, false, "; check access_key_id"},
    {"SignatureDoesNotMatch", LITHOPS_EDENIED, false, "; check the secret key"},
    {"ExpiredToken", LITHOPS_EDENIED, false, "; get new credentials"},
    {"InvalidToken", LITHOPS_EDENIED, false, "; check session_token"},
    {"RequestTimeTooSkewed", LITHOPS_EDENIED, false, "; set this machine's clock"},
    {"SlowDown", LITHOPS_ETHROTTLED, true, NULL},
    {"Throttling", LITHOPS_ETHROTTLED, true, NULL},
    {"BucketAlreadyOwnedByYou", LITHOPS_EEXIST, false, NULL},
    {"InternalError", LITHOPS_EBACKEND, true, NULL},
    {"RequestTimeout", LITHOPS_EBACKEND, true, NULL},
    {"XAmzContentSHA256Mismatch", LITHOPS_EBACKEND, true,
     "; the file changes while it is sent, or something on the way changes what is sent"},
    {"OperationAborted", LITHOPS_EBACKEND, true, NULL},
    {"ConditionalRequestConflict", LITHOPS_EBACKEND, true, NULL},
    {"BucketAlreadyExists", LITHOPS_EDENIED, false, "; it is somebody else's: choose another name"},
    {"QuotaExceeded", LITHOPS_ENOSPACE, false, "; raise the quota, or delete objects"},
    {"InsufficientStorage", LITHOPS_ENOSPACE, false, NULL},
    {"InvalidBucketName", LITHOPS_EUSAGE, false,
     "; a bucket's name is 3 to 63 small letters, digits, '-' and '.'"},
    {"KeyTooLongError", LITHOPS_EUSAGE, false, NULL},
    {"InvalidObjectName", LITHOPS_EUSAGE, false, "; a key is UTF-8"},
    {.code = NULL},
};

static const char *endpoint_of(const struct lithops__s3 *s3)
{
    return s3->endpoint ? s3->endpoint : s3->dialect->section;
}

int lithops__s3_fail(const struct lithops__s3 *s3, const struct lithops__s3_request *request,
                     long status, const char *code, const char *message,
                     const lithops_storage_op *op)
{
    const struct lithops__web_failure failure = {.method = request->method,
                                                 .bucket = request->bucket,
                                                 .key = request->key,
                                                 .where = endpoint_of(s3),
                                                 .status = status,
                                                 .code = code,
                                                 .message = message,
                                                 .no_bucket = strcmp(code, "NoSuchBucket") == 0};
    return lithops__web_fail(&failure, codes, op);
}

/* ---- error documents ------------------------------------------------------------------------- */

static void take_text(const char *path, const char *text, size_t len, void *user)
{
    struct lithops__s3_error *error = user;
    (void)len;
    if (strcmp(path, "Error/Code") == 0)
        snprintf(error->code, sizeof error->code, "%s", text);
    else if (strcmp(path, "Error/Message") == 0)
        snprintf(error->message, sizeof error->message, "%s", text);
    else if (strcmp(path, "Error/Region") == 0)
        snprintf(error->region, sizeof error->region, "%s", text);
}

bool lithops__s3_read_error(const char *document, size_t len, struct lithops__s3_error *ret_error)
{
    *ret_error = (struct lithops__s3_error){.code = ""};
    char *copy = malloc(len + 1);
    if (!copy)
        return false;
    memcpy(copy, document, len);
    const struct lithops__xml_visitor visitor = {.text = take_text, .user = ret_error};
    lithops__xml_read(copy, len, &visitor); /* an answer without a document has no code */
    free(copy);
    return ret_error->code[0] != '\0';
}
