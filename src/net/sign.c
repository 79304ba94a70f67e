/* SPDX-License-Identifier: Apache-2.0 */
/* AWS Signature Version 4: the canonical request is hashed, that hash goes into the text to sign,
 * and that is authenticated with a key derived from secret, day, region and service. */
#include "net/sign.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALGORITHM "AWS4-HMAC-SHA256"

enum { DAY = 8 }; /* letters of a date that say the day */

void lithops__url_encode(struct lithops__buffer *out, const void *bytes, size_t len,
                         bool keep_slashes)
{
    static const char digits[] = "0123456789ABCDEF";
    const unsigned char *in = bytes;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = in[i];
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.' || c == '_' || c == '~' || (c == '/' && keep_slashes);
        const char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
        lithops__buffer_append(out, plain ? (const char *)&in[i] : escape, plain ? 1 : 3);
    }
}

void lithops__base64(const unsigned char *in, size_t len, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < len; i += 3) {
        unsigned bits = (unsigned)in[i] << 16 | (i + 1 < len ? in[i + 1] << 8 : 0) |
                        (i + 2 < len ? in[i + 2] : 0);
        *out++ = digits[bits >> 18];
        *out++ = digits[bits >> 12 & 63];
        *out++ = '=';
        if (i + 1 < len)
            out[-1] = digits[bits >> 6 & 63];
        *out++ = i + 2 < len ? digits[bits & 63] : '=';
    }
    *out = '\0';
}

size_t lithops__base64_decode(char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t len = strlen(text), out = 0;
    unsigned bits = 0, count = 0;
    while (len && text[len - 1] == '=')
        len--;
    for (size_t i = 0; i < len; i++) {
        const char *digit = strchr(digits, text[i]);
        if (!digit)
            return 0;
        bits = bits << 6 | (unsigned)(digit - digits);
        count += 6;
        if (count >= 8) {
            count -= 8;
            text[out++] = (char)(bits >> count & 255);
        }
    }
    return out;
}

/* Each thread keeps the last one: the C library takes a lock for the time zone. */
void lithops__amz_date(time_t when, char ret_date[LITHOPS__AMZ_DATE])
{
    static _Thread_local struct {
        time_t when;
        char date[LITHOPS__AMZ_DATE];
    } last = {0, "19700101T000000Z"};
    struct tm t;
    if (when != last.when) {
        last.when = when;
        if (!gmtime_r(&when, &t) ||
            strftime(last.date, sizeof last.date, "%Y%m%dT%H%M%SZ", &t) == 0)
            memcpy(last.date, "19700101T000000Z", sizeof last.date);
    }
    memcpy(ret_date, last.date, sizeof last.date);
}

static size_t name_length(const char *header)
{
    return strcspn(header, ":");
}

static int by_name(const void *left, const void *right)
{
    const char *a = *(const char *const *)left, *b = *(const char *const *)right;
    size_t a_len = name_length(a), b_len = name_length(b);
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return order ? order : (a_len > b_len) - (a_len < b_len);
}

/* Strip blanks around a value, and replace several in a row by one. */
static void append_value(struct lithops__buffer *out, const char *header)
{
    const char *value = header + name_length(header) + 1;
    for (bool begun = false;; begun = true) {
        value += strspn(value, " \t");
        size_t len = strcspn(value, " \t");
        if (len == 0)
            return;
        lithops__buffer_append(out, " ", begun);
        lithops__buffer_append(out, value, len);
        value += len;
    }
}

static void append_names(struct lithops__buffer *out, const char *const *headers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        lithops__buffer_append(out, ";", i > 0);
        lithops__buffer_append(out, headers[i], name_length(headers[i]));
    }
}

/* The hash of the request in its canonical form. */
static int hash_request(const struct lithops__crypto_api *crypto,
                        const struct lithops__sign_request *request, const char *const *headers,
                        size_t count, char ret_hex[LITHOPS__HEX_HASH])
{
    struct lithops__buffer text = LITHOPS__BUFFER_INIT;
    LITHOPS__BUFFER_APPEND(&text, request->method, "\n", request->path, "\n", request->query, "\n");
    for (size_t i = 0; i < count; i++) {
        lithops__buffer_append(&text, headers[i], name_length(headers[i]) + 1);
        append_value(&text, headers[i]);
        lithops__buffer_append(&text, "\n", 1);
    }
    lithops__buffer_append(&text, "\n", 1);
    append_names(&text, headers, count);
    LITHOPS__BUFFER_APPEND(&text, "\n", request->payload_hash);
    int failed = text.failed
                     ? ENOMEM
                     : lithops__hex_sha256(crypto, (lithops_bytes){text.data, text.len}, ret_hex);
    lithops__buffer_deinit(&text);
    return failed;
}

struct derived {
    unsigned char of[LITHOPS__SHA256_BYTES]; /* the hash of what it is derived from */
    unsigned char key[LITHOPS__SHA256_BYTES];
};

/* A chain of HMACs: from the secret over day, region and service. */
static int derive(const struct lithops__crypto_api *crypto, const struct lithops__sign_key *key,
                  const char *day, lithops_bytes secret, unsigned char *mac)
{
    const char *const steps[] = {day, key->region, key->service, "aws4_request"};
    int failed = 0;
    for (size_t i = 0; !failed && i < sizeof steps / sizeof *steps; i++) {
        failed = crypto->hmac_sha256(secret, (lithops_bytes){steps[i], strlen(steps[i])}, mac);
        secret = (lithops_bytes){mac, LITHOPS__SHA256_BYTES};
    }
    return failed;
}

/* The key of a day is the same for all of its requests: each thread keeps the last one. */
static int authenticate(const struct lithops__crypto_api *crypto,
                        const struct lithops__sign_key *key, const char *date, lithops_bytes text,
                        char ret_hex[LITHOPS__HEX_HASH])
{
    static _Thread_local struct derived last;
    struct lithops__buffer from = LITHOPS__BUFFER_INIT;
    char day[DAY + 1];
    memcpy(day, date, DAY);
    day[DAY] = '\0';
    LITHOPS__BUFFER_APPEND(&from, "AWS4", key->secret_key);
    const size_t secret_len = from.len;
    LITHOPS__BUFFER_APPEND(&from, "\n", day, "\n", key->region, "\n", key->service);
    unsigned char of[LITHOPS__SHA256_BYTES], mac[LITHOPS__SHA256_BYTES];
    int failed = from.failed ? ENOMEM : crypto->sha256((lithops_bytes){from.data, from.len}, of);
    if (!failed && memcmp(of, last.of, sizeof of) != 0) {
        memset(last.of, 0, sizeof last.of);
        failed = derive(crypto, key, day, (lithops_bytes){from.data, secret_len}, last.key);
        if (!failed)
            memcpy(last.of, of, sizeof of);
    }
    if (!failed)
        failed = crypto->hmac_sha256((lithops_bytes){last.key, sizeof last.key}, text, mac);
    if (!failed)
        lithops__hash_to_hex(mac, ret_hex);
    if (from.data)
        explicit_bzero(from.data, from.len);
    lithops__buffer_deinit(&from);
    return failed;
}

int lithops__sign(const struct lithops__crypto_api *crypto, const struct lithops__sign_key *key,
                  const struct lithops__sign_request *request, const char *date,
                  struct lithops__buffer *out)
{
    size_t count = 0;
    while (request->headers[count])
        count++;
    const char **headers = malloc((count + 1) * sizeof *headers);
    if (!headers)
        return ENOMEM;
    memcpy(headers, request->headers, count * sizeof *headers);
    qsort(headers, count, sizeof *headers, by_name);
    char hash[LITHOPS__HEX_HASH], signature[LITHOPS__HEX_HASH];
    struct lithops__buffer scope = LITHOPS__BUFFER_INIT, text = LITHOPS__BUFFER_INIT;
    int failed = hash_request(crypto, request, headers, count, hash);
    lithops__buffer_append(&scope, date, DAY);
    LITHOPS__BUFFER_APPEND(&scope, "/", key->region, "/", key->service, "/aws4_request");
    lithops__buffer_append(&scope, "", 1);
    if (!failed && scope.failed)
        failed = ENOMEM;
    if (!failed) {
        LITHOPS__BUFFER_APPEND(&text, ALGORITHM "\n", date, "\n", (char *)scope.data, "\n", hash);
        failed = text.failed ? ENOMEM
                             : authenticate(crypto, key, date, (lithops_bytes){text.data, text.len},
                                            signature);
    }
    if (!failed) {
        LITHOPS__BUFFER_APPEND(out, ALGORITHM " Credential=", key->access_key, "/",
                               (char *)scope.data, ", SignedHeaders=");
        append_names(out, headers, count);
        LITHOPS__BUFFER_APPEND(out, ", Signature=", signature);
        failed = out->failed ? ENOMEM : 0;
    }
    lithops__buffer_deinit(&text);
    lithops__buffer_deinit(&scope);
    free(headers);
    return failed;
}
