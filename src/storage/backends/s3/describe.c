/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in the way of requests, for `lithops storage check`. */
#include "storage/describe.h"

#include "base/error.h"
#include "storage/backends/s3/s3.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void tell_clock(struct lithops__s3 *s3, lithops__say_fn *say, void *user)
{
    char detail[128];
    long long skew_s = atomic_load(&s3->skew.ahead_s);
    if (skew_s)
        snprintf(
            detail, sizeof detail,
            "off by %lld s; requests are signed with the server's time, but set this machine's",
            -skew_s);
    else
        snprintf(detail, sizeof detail, "good enough");
    say("clock", 0, detail, user);
}

static const char *region_of(struct lithops__s3 *s3, char *buf)
{
    pthread_mutex_lock(&s3->lock);
    memcpy(buf, s3->region, LITHOPS__S3_REGION);
    pthread_mutex_unlock(&s3->lock);
    return buf;
}

int lithops__s3_describe(void *state, const char *bucket, lithops__say_fn *say, void *user,
                         const lithops_storage_op *op)
{
    struct lithops__s3 *s3 = state;
    char before[LITHOPS__S3_REGION], after[LITHOPS__S3_REGION], detail[256];
    const struct lithops__s3_request request = {
        .method = "GET", .bucket = bucket, .query = "list-type=2&max-keys=1"};
    int rc = lithops__describe_credentials(s3->credentials, say, user, NULL, op);
    if (rc)
        return rc;
    region_of(s3, before);
    char *document = NULL;
    size_t len;
    rc = lithops__s3_fetch(s3, &request, op, &document, &len);
    free(document);
    bool answered = rc == 0 || op->err->http_status;
    snprintf(detail, sizeof detail, "%s", s3->endpoint ? s3->endpoint : s3->dialect->section);
    say("connection", answered ? 0 : rc, answered ? detail : op->err->message, user);
    if (!answered)
        return rc;
    tell_clock(s3, say, user);
    region_of(s3, after);
    snprintf(detail, sizeof detail, "%s%s%s%s", after,
             strcmp(before, after) ? " (configured: " : "", strcmp(before, after) ? before : "",
             strcmp(before, after) ? ")" : "");
    say("region", 0, detail, user);
    if (rc == LITHOPS_ENOTFOUND && lithops__s3_makes(s3, bucket)) {
        say("bucket", 0, "it is missing: the first put creates it", user);
        return 0;
    }
    say("bucket", rc, rc ? op->err->message : bucket, user);
    return rc == LITHOPS_EDENIED ? 0 : rc; /* a key may be allowed to put, and not to list */
}
