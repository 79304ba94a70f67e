/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in the way of requests, for `lithops storage check`. */
#include "storage/describe.h"

#include "storage/backends/azure/azure.h"

#include <stdio.h>
#include <string.h>

static int tell_credentials(struct lithops__azure *azure, lithops__say_fn *say, void *user,
                            const lithops_storage_op *op)
{
    char detail[256];
    if (azure->tokens)
        return lithops__describe_credentials(azure->tokens, say, user, NULL, op);
    snprintf(detail, sizeof detail, "%s of the account %s",
             azure->key ? "the key" : "a shared access signature", azure->account);
    say("credentials", 0, detail, user);
    return 0;
}

/* An account has no regions, and what a wrong clock does is in the service's message. */
int lithops__azure_describe(void *state, const char *bucket, lithops__say_fn *say, void *user,
                            const lithops_storage_op *op)
{
    struct lithops__azure *azure = state;
    const struct lithops__azure_request request = {
        .method = "GET",
        .bucket = bucket,
        .query = {{"comp", "list"}, {"maxresults", "1"}, {"restype", "container"}}};
    int rc = tell_credentials(azure, say, user, op);
    if (rc)
        return rc;
    bool makes = azure->bucket && strcmp(bucket, azure->bucket) == 0;
    return lithops__describe_answer(lithops__azure_do(azure, &request, op), azure->endpoint, bucket,
                                    makes, say, user, op);
}
