/* SPDX-License-Identifier: Apache-2.0 */
#include "net/oracle.h"

#include "base/buffer.h"
#include "base/error.h"
#include "net/sign.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void split(const char *url, const char **ret_host, size_t *ret_len, const char **ret_target)
{
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    *ret_host = host;
    *ret_len = strcspn(host, "/?");
    *ret_target = host[*ret_len] ? host + *ret_len : "/";
}

static int hash_body(const struct lithops__crypto_api *crypto, lithops_bytes body, char *ret_text)
{
    unsigned char hash[LITHOPS__SHA256_BYTES];
    int failed = crypto->sha256(body, hash);
    if (!failed)
        lithops__base64(hash, sizeof hash, ret_text);
    return failed;
}

int lithops__oracle_sign(const struct lithops__crypto_api *crypto, const char *key_id,
                         const char *pem, const struct lithops__oracle_request *request,
                         struct lithops__oracle_signed *ret_signed, lithops_error *err)
{
    const bool has_body = strcmp(request->method, "post") == 0;
    unsigned char signature[LITHOPS__RSA_BYTES];
    char coded[4 * (LITHOPS__RSA_BYTES / 3) + 5], hash[48] = "";
    size_t host_len, len = 0;
    const char *host, *target;
    struct lithops__buffer text = LITHOPS__BUFFER_INIT;
    split(request->url, &host, &host_len, &target);
    lithops__buffer_printf(&text, "date: %s\n(request-target): %s %s\nhost: %.*s", request->date,
                           request->method, target, (int)host_len, host);
    int failed = has_body ? hash_body(crypto, request->body, hash) : 0;
    if (has_body)
        lithops__buffer_printf(&text,
                               "\ncontent-length: %zu\ncontent-type: %s\nx-content-sha256: %s",
                               request->body.len, request->type, hash);
    if (!failed && text.failed)
        failed = ENOMEM;
    if (!failed)
        failed = crypto->rs256(pem, (lithops_bytes){text.data, text.len}, signature, &len);
    lithops__buffer_deinit(&text);
    if (failed == EINVAL)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "what is to sign requests is not a private RSA key in PEM, without a "
                             "password");
    if (!failed)
        lithops__base64(signature, len, coded);
    if (failed || asprintf(&ret_signed->authorization,
                           "Authorization: Signature version=\"1\",headers=\"date "
                           "(request-target) host%s\",keyId=\"%s\",algorithm=\"rsa-sha256\","
                           "signature=\"%s\"",
                           has_body ? " content-length content-type x-content-sha256" : "", key_id,
                           coded) < 0)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    snprintf(ret_signed->date, sizeof ret_signed->date, "Date: %s", request->date);
    snprintf(ret_signed->hash, sizeof ret_signed->hash, "x-content-sha256: %s", hash);
    return 0;
}
