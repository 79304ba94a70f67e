/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of the client, for worker processes elsewhere: its localhost storage and its files.
 *
 * A worker (src/agent) passes its worker processes' questions on to the client, whose relay
 * answers: docs/remote.md. They find the worker by an environment variable, which programs started
 * by functions inherit. */
#ifndef LITHOPS_STORAGE_CLIENT_H
#define LITHOPS_STORAGE_CLIENT_H

#include <lithops/plugin/storage.h>

/* In the worker's processes: the name of its socket, in the abstract namespace. */
#define LITHOPS__CLIENT_SOCKET "__LITHOPS_CLIENT"
/* Folders that this host shares with the client, separated by ':'. */
#define LITHOPS__CLIENT_SHARED "__LITHOPS_SHARED_FILESYSTEM"

/* The localhost storage of the client, which replaces this host's in a worker's processes. */
extern const lithops_storage_driver lithops__storage_client;
bool lithops__client_is_elsewhere(void);

/* Whether to ask the client for this path, as opposed to reading a file of this host. */
bool lithops__client_has_file(const char *path);
/* As lithops__storage_read(), of a file of the client. */
int lithops__client_read_file(const char *path, lithops_storage_cursor *cursor, uint64_t offset,
                              void *buf, size_t len, size_t *ret_len, lithops_error *err);
void lithops__client_end_read(lithops_storage_cursor *cursor);
/* Resolve a name at the client: the partition of the whole object, encoded as a value that the
 * caller owns. NULL on failure. */
lithops_value *lithops__client_find(const lithops_value *name, lithops_error *err);

#endif
