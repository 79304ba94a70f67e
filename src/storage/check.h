/* SPDX-License-Identifier: Apache-2.0 */
/* The checksum of an answer over HTTP, computed while its bytes come.
 *
 * What is checked, the first that is there: x-amz-checksum-crc64nvme, -crc32c, -crc32, -sha256,
 * -sha1, which S3 sends for what the answer has in it, a whole object or one of its parts; the
 * ETag, where the answer is a whole object and its ETag is an MD5. "hash-3" is a checksum of
 * checksums, which bytes cannot be compared with. Some servers send that of the whole object with a
 * range of it: whoever finds a range wrong asks lithops__check_is_of(). One thread at a time. */
#ifndef LITHOPS_STORAGE_CHECK_H
#define LITHOPS_STORAGE_CHECK_H

#include "base/crc.h"
#include "base/crypto_module.h"
#include "net/transfer.h"

#include <stdint.h>

struct lithops__check {
    bool is_on;
    const struct lithops__crypto_api *crypto; /* NULL: a CRC */
    struct lithops__digest *digest;
    const char *header; /* that it comes from; NULL: the ETag */
    enum lithops__crc kind;
    uint64_t crc;
    bool is_hex;   /* else base64 */
    bool is_whole; /* the bytes are the object */
    char expected[96];
    uint64_t at, end; /* the next byte of the object that is added, and the end */
};

/* Begin with the bytes [start, end) of an answer. Nothing is checked if the answer has no checksum,
 * or memory is short.
 * @param crypto    NULL: none
 * @param is_whole  they are the object */
void lithops__check_begin(struct lithops__check *check, const struct lithops__crypto_api *crypto,
                          const struct lithops__transfer_api *http,
                          struct lithops__transfer *transfer, uint64_t start, uint64_t end,
                          bool is_whole);
/* The next bytes. False: they were the last, and are not what was stored. */
bool lithops__check_add(struct lithops__check *check, const void *data, size_t len);
/* Whether the checksum is that of this answer, too: of one to HEAD, say. */
bool lithops__check_is_of(const struct lithops__check *check,
                          const struct lithops__transfer_api *http,
                          struct lithops__transfer *transfer);
void lithops__check_drop(struct lithops__check *check);

#endif
