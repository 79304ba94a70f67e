/* SPDX-License-Identifier: Apache-2.0 */
/* Answers to a server's challenge: digest access authentication (RFC 7616), with MD5 or SHA-256,
 * of one request, not of its body. */
#include "base/buffer.h"
#include "storage/backends/infinispan/infinispan.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

/* ---- the challenge --------------------------------------------------------------------------- */

/* One `name=value` or `name="value"`; *text goes behind it. False: there is none, or one that has
 * no room. */
static bool next_field(const char **text, char name[32], char value[256])
{
    const char *at = *text + strspn(*text, " \t,");
    size_t len = strcspn(at, "= \t,"), out = 0;
    if (len == 0 || len >= 32 || at[len] != '=')
        return false;
    snprintf(name, 32, "%.*s", (int)len, at);
    at += len + 1;
    bool quoted = *at == '"';
    at += quoted;
    while (*at && (quoted ? *at != '"' : !strchr(" \t,", *at))) {
        at += quoted && *at == '\\' && at[1];
        if (out == 255)
            return false;
        value[out++] = *at++;
    }
    value[out] = '\0';
    if (quoted && *at++ != '"')
        return false;
    *text = at;
    return true;
}

bool lithops__digest_read(const char *header, struct lithops__digest_challenge *ret_challenge)
{
    struct lithops__digest_challenge found = {.count = 0};
    char name[32], value[256];
    bool good = strncasecmp(header, "Digest ", 7) == 0;
    const char *text = header + (good ? 7 : 0);
    while (good && next_field(&text, name, value)) {
        if (strcasecmp(name, "realm") == 0)
            good =
                (size_t)snprintf(found.realm, sizeof found.realm, "%s", value) < sizeof found.realm;
        else if (strcasecmp(name, "nonce") == 0)
            snprintf(found.nonce, sizeof found.nonce, "%s", value);
        else if (strcasecmp(name, "opaque") == 0)
            good = (size_t)snprintf(found.opaque, sizeof found.opaque, "%s", value) <
                   sizeof found.opaque;
        else if (strcasecmp(name, "qop") == 0)
            found.has_qop = strstr(value, "auth") != NULL;
        else if (strcasecmp(name, "algorithm") == 0) {
            found.has_algorithm = true;
            found.is_sha256 = strcasecmp(value, "SHA-256") == 0;
            good = found.is_sha256 || strcasecmp(value, "MD5") == 0;
        }
    }
    if (good && *found.nonce)
        *ret_challenge = found;
    return good && *found.nonce;
}

/* ---- the answer ------------------------------------------------------------------------------ */

static bool hash(const struct lithops__crypto_api *crypto, bool is_sha256,
                 struct lithops__buffer *text, char ret_hex[LITHOPS__HEX_HASH])
{
    unsigned char raw[LITHOPS__DIGEST_MAX];
    size_t len = is_sha256 ? LITHOPS__SHA256_BYTES : LITHOPS__MD5_BYTES;
    const lithops_bytes bytes = {text->data, text->len};
    bool good =
        !text->failed && (is_sha256 ? crypto->sha256(bytes, raw) : crypto->md5(bytes, raw)) == 0;
    for (size_t i = 0; good && i < len; i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", raw[i]);
    if (text->data)
        explicit_bzero(text->data, text->len);
    lithops__buffer_deinit(text);
    return good;
}

static void append_quoted(struct lithops__buffer *out, const char *name, const char *value)
{
    lithops__buffer_printf(out, "%s=\"", name);
    for (; *value; value++)
        lithops__buffer_printf(out, *value == '"' || *value == '\\' ? "\\%c" : "%c", *value);
    lithops__buffer_append_string(out, "\"");
}

char *lithops__digest_answer(const struct lithops__crypto_api *crypto,
                             struct lithops__digest_challenge *challenge, const char *user,
                             const char *password, const char *method, const char *path,
                             const char *client)
{
    struct lithops__buffer text = LITHOPS__BUFFER_INIT, out = LITHOPS__BUFFER_INIT;
    char secret[LITHOPS__HEX_HASH], request[LITHOPS__HEX_HASH], answer[LITHOPS__HEX_HASH],
        drawn[17] = "";
    const bool sha256 = challenge->is_sha256;
    unsigned char random[8];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return NULL;
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(drawn + 2 * i, 3, "%02x", random[i]);
    client = client ? client : drawn;
    challenge->count++;
    lithops__buffer_printf(&text, "%s:%s:%s", user, challenge->realm, password);
    if (!hash(crypto, sha256, &text, secret))
        return NULL;
    lithops__buffer_printf(&text, "%s:%s", method, path);
    if (!hash(crypto, sha256, &text, request))
        return NULL;
    lithops__buffer_printf(&text, "%s:%s:", secret, challenge->nonce);
    if (challenge->has_qop)
        lithops__buffer_printf(&text, "%08x:%s:auth:", challenge->count, client);
    lithops__buffer_append_string(&text, request);
    explicit_bzero(secret, sizeof secret);
    if (!hash(crypto, sha256, &text, answer))
        return NULL;
    append_quoted(&out, "Digest username", user);
    append_quoted(&out, ", realm", challenge->realm);
    append_quoted(&out, ", nonce", challenge->nonce);
    append_quoted(&out, ", uri", path);
    append_quoted(&out, ", response", answer);
    if (*challenge->opaque)
        append_quoted(&out, ", opaque", challenge->opaque);
    if (challenge->has_algorithm)
        lithops__buffer_printf(&out, ", algorithm=%s", sha256 ? "SHA-256" : "MD5");
    if (challenge->has_qop)
        lithops__buffer_printf(&out, ", qop=auth, nc=%08x, cnonce=\"%s\"", challenge->count,
                               client);
    return lithops__buffer_steal(&out);
}
