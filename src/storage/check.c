/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/check.h"

#include "net/sign.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { NO_CRC = -1 };

static const struct {
    const char *header;
    int crc;
    enum lithops__digest_kind digest;
} checksums[] = {
    {"x-amz-checksum-crc64nvme", LITHOPS__CRC64NVME, 0},
    {"x-amz-checksum-crc32c", LITHOPS__CRC32C, 0},
    {"x-amz-checksum-crc32", LITHOPS__CRC32, 0},
    {"x-amz-checksum-sha256", NO_CRC, LITHOPS__DIGEST_SHA256},
    {"x-amz-checksum-sha1", NO_CRC, LITHOPS__DIGEST_SHA1},
};

/* Where the ETag is no MD5 although it looks like one: headers, and what they say of an object
 * whose ETag is. */
static const struct {
    const char *header, *plain;
} reservations[] = {
    {"x-amz-server-side-encryption", "AES256"},
    {"x-amz-server-side-encryption-customer-algorithm", NULL},
    {"x-oss-server-side-encryption", "AES256"},
    {"x-oss-server-side-encryption-customer-algorithm", NULL},
    {"x-oss-object-type", "Normal"},
    {"x-rgw-object-type", "Normal"},
    {"ibm-sse-kp-enabled", "false"},
    {"x-goog-stored-content-encoding", "identity"},
    {"x-goog-encryption-algorithm", NULL},
    {"x-static-large-object", "False"}, /* Swift's: a hash of hashes */
    {"x-object-manifest", NULL},
};

/* The ETag's beginning where it is the MD5, in hexadecimal, of what is stored; else NULL. */
static const char *md5_of(const struct lithops__transfer_api *http,
                          struct lithops__transfer *transfer)
{
    const char *etag = http->answer(transfer)->etag;
    size_t quotes = etag[0] == '"'; /* Swift's have none */
    if (strlen(etag) != 32 + 2 * quotes || strspn(etag + quotes, "0123456789abcdefABCDEF") != 32)
        return NULL;
    for (size_t i = 0; i < sizeof reservations / sizeof *reservations; i++) {
        const char *said = http->header(transfer, reservations[i].header);
        if (said && (!reservations[i].plain || strcasecmp(said, reservations[i].plain) != 0))
            return NULL;
    }
    return etag + quotes;
}

static void begin_digest(struct lithops__check *check, const struct lithops__crypto_api *crypto,
                         enum lithops__digest_kind kind)
{
    check->crypto = crypto;
    check->digest = crypto ? crypto->digest_begin(kind) : NULL;
    check->is_on = check->digest != NULL;
}

void lithops__check_begin(struct lithops__check *check, const struct lithops__crypto_api *crypto,
                          const struct lithops__transfer_api *http,
                          struct lithops__transfer *transfer, uint64_t start, uint64_t end,
                          bool is_whole)
{
    lithops__check_drop(check);
    check->at = start;
    check->end = end;
    check->is_whole = is_whole;
    for (size_t i = 0; i < sizeof checksums / sizeof *checksums; i++) {
        const char *said = http->header(transfer, checksums[i].header);
        if (!said || strchr(said, '-') || strlen(said) >= sizeof check->expected)
            continue;
        memcpy(check->expected, said, strlen(said) + 1);
        check->header = checksums[i].header;
        check->is_on = checksums[i].crc != NO_CRC;
        if (check->is_on)
            check->kind = (enum lithops__crc)checksums[i].crc;
        else
            begin_digest(check, crypto, checksums[i].digest);
        return;
    }
    const char *md5 = is_whole ? md5_of(http, transfer) : NULL;
    if (!md5)
        return;
    memcpy(check->expected, md5, 32);
    check->is_hex = true;
    begin_digest(check, crypto, LITHOPS__DIGEST_MD5);
}

static bool is_expected(struct lithops__check *check)
{
    unsigned char hash[LITHOPS__DIGEST_MAX];
    char text[2 * LITHOPS__DIGEST_MAX + 5];
    size_t len = check->kind == LITHOPS__CRC64NVME ? 8 : 4;
    if (check->digest) {
        bool failed = check->crypto->digest_end(check->digest, hash, &len) != 0;
        check->digest = NULL;
        if (failed)
            return true; /* not known */
    } else {
        const uint64_t crc = htobe64(check->crc);
        memcpy(hash, (const char *)&crc + sizeof crc - len, len);
    }
    if (!check->is_hex)
        lithops__base64(hash, len, text);
    for (size_t i = 0; check->is_hex && i < len; i++)
        snprintf(text + 2 * i, 3, "%02x", hash[i]);
    return check->is_hex ? strcasecmp(text, check->expected) == 0
                         : strcmp(text, check->expected) == 0;
}

bool lithops__check_add(struct lithops__check *check, const void *data, size_t len)
{
    if (!check->is_on)
        return true;
    if (!check->digest)
        check->crc = lithops__crc_add(check->kind, check->crc, data, len);
    else
        check->crypto->digest_add(check->digest, (lithops_bytes){data, len});
    check->at += len;
    bool good = check->at < check->end || is_expected(check);
    if (check->at >= check->end)
        lithops__check_drop(check);
    return good;
}

bool lithops__check_is_of(const struct lithops__check *check,
                          const struct lithops__transfer_api *http,
                          struct lithops__transfer *transfer)
{
    const char *said = check->header ? http->header(transfer, check->header) : NULL;
    return said && strcmp(said, check->expected) == 0;
}

void lithops__check_drop(struct lithops__check *check)
{
    if (check->digest)
        check->crypto->digest_end(check->digest, NULL, NULL);
    *check = (struct lithops__check){.is_on = false};
}
