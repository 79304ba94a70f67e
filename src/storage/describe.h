/* SPDX-License-Identifier: Apache-2.0 */
/* What the slots `describe` of backends have in common. */
#ifndef LITHOPS_STORAGE_DESCRIBE_H
#define LITHOPS_STORAGE_DESCRIBE_H

#include "net/credentials.h"

#include <lithops/plugin/storage.h>

typedef void lithops__say_fn(const char *what, int code, const char *detail, void *user);

/* Get credentials, and tell which; without a secret.
 * @param ret_where  where they are good, if the service says so; the caller's; may be NULL */
int lithops__describe_credentials(struct lithops__credential_store *store, lithops__say_fn *say,
                                  void *user, char **ret_where, const lithops_storage_op *op);
/* What the answer to a first request, which asks for one object of the bucket, says of connection
 * and bucket; `rc` and op->err are the request's.
 * @param makes  a bucket that is missing is made by the first put
 * @return 0, or the failure that any request will have */
int lithops__describe_answer(int rc, const char *where, const char *bucket, bool makes,
                             lithops__say_fn *say, void *user, const lithops_storage_op *op);

#endif
