/* SPDX-License-Identifier: Apache-2.0 */
#include "tcp/secret.h"

#include "base/crypto_module.h"
#include "base/module.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

void lithops__tcplink_key_write(const struct lithops__tcplink_key *key,
                                char text[LITHOPS__TCP_SECRET])
{
    _Static_assert((int)LITHOPS__TLS_KEY_BYTES == (int)LITHOPS__SHA256_BYTES, "of one length");
    char hex[LITHOPS__HEX_HASH];
    lithops__hash_to_hex(key->bytes, hex);
    snprintf(text, LITHOPS__TCP_SECRET, "%s:%s", key->name, hex);
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool lithops__tcplink_key_read(const char *text, struct lithops__tcplink_key *ret_key)
{
    const char *colon = strchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    if (len == 0 || len >= sizeof ret_key->name || strlen(colon + 1) != 2 * sizeof ret_key->bytes)
        return false;
    memcpy(ret_key->name, text, len);
    ret_key->name[len] = '\0';
    for (size_t i = 0; i < sizeof ret_key->bytes; i++) {
        int high = digit(colon[1 + 2 * i]), low = digit(colon[2 + 2 * i]);
        if (high < 0 || low < 0)
            return false;
        ret_key->bytes[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

void lithops__tcplink_address(const struct sockaddr *address, size_t size, char *buf,
                              size_t buf_size)
{
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (getnameinfo(address, (socklen_t)size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        snprintf(buf, buf_size, "?");
        return;
    }
    const char *shown = strncmp(host, "::ffff:", 7) == 0 ? host + 7 : host; /* of IPv4 */
    bool is_v6 = strchr(shown, ':') != NULL;
    snprintf(buf, buf_size, "%s%.200s%s:%s", is_v6 ? "[" : "", shown, is_v6 ? "]" : "", port);
}

const struct lithops__tls_api *lithops__tcplink_tls(lithops_error *err)
{
    return lithops__module_symbol("crypto", "lithops__tls", err);
}
