/* SPDX-License-Identifier: Apache-2.0 */
/* Connections over libcurl, which connects (CURLOPT_CONNECT_ONLY) and then only passes bytes.
 *
 * The multi interface connects, so that a slow server can be given up within the caller's bounds.
 * Sending and receiving never block; between attempts poll() waits for the socket. */
#include "net/tcp.h"

#include "base/clock.h"
#include "base/error.h"
#include "net/authorities.h"
#include "net/transfer.h"

#include <curl/curl.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 100

struct lithops__tcp {
    CURLM *multi;
    CURL *easy;
    curl_socket_t fd;
    long stall_timeout_ms;
    char where[300]; /* host:port, for messages */
    char message[CURL_ERROR_SIZE];
};

void lithops__tcp_close(struct lithops__tcp *tcp)
{
    if (!tcp)
        return;
    if (tcp->multi && tcp->easy)
        curl_multi_remove_handle(tcp->multi, tcp->easy);
    curl_easy_cleanup(tcp->easy);
    curl_multi_cleanup(tcp->multi);
    free(tcp);
}

static int fail(const struct lithops__tcp *tcp, const char *doing, CURLcode result,
                lithops_error *err)
{
    const char *reason = tcp->message[0] ? tcp->message : curl_easy_strerror(result);
    bool untrusted = result == CURLE_PEER_FAILED_VERIFICATION ||
                     result == CURLE_SSL_CACERT_BADFILE || result == CURLE_SSL_CERTPROBLEM;
    lithops__fail(err, untrusted ? LITHOPS_EDENIED : LITHOPS_EBACKEND, "cannot %s %s: %s", doing,
                  tcp->where, reason);
    if (err)
        err->retryable = !untrusted && result != CURLE_COULDNT_RESOLVE_HOST;
    return untrusted ? LITHOPS_EDENIED : LITHOPS_EBACKEND;
}

static int fail_memory(lithops_error *err)
{
    return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a connection");
}

/* ---- connecting ------------------------------------------------------------------------------ */

/* Those that are named take the place of the system's. */
static bool set_authorities(CURL *easy, const struct lithops__tcp_target *target)
{
    if (!target->any_certificate && !target->authorities_file && !target->authorities_folder)
        return lithops__authorities_set(easy) && lithops__authorities_share(easy);
    return curl_easy_setopt(easy, CURLOPT_CAINFO, target->authorities_file) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CAPATH, target->authorities_folder) == CURLE_OK;
}

static bool set_tls(CURL *easy, const struct lithops__tcp_target *target)
{
    return set_authorities(easy, target) &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, target->any_certificate ? 0L : 1L) ==
               CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST,
                            target->any_certificate || target->any_host ? 0L : 2L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_ENABLE_ALPN, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSLCERT, target->certificate_file) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSLKEY, target->key_file) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_KEYPASSWD, target->key_password) == CURLE_OK;
}

static bool set_target(struct lithops__tcp *tcp, const struct lithops__tcp_target *target)
{
    CURL *easy = tcp->easy;
    char url[320];
    /* An address of IPv6 stands in brackets. */
    bool bare6 = strchr(target->host, ':') && target->host[0] != '[';
    snprintf(url, sizeof url, "%s://%s%s%s:%u", target->tls ? "https" : "http", bare6 ? "[" : "",
             target->host, bare6 ? "]" : "", target->port);
    return curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK && /* it would be for HTTP */
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, tcp->message) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                            target->connect_timeout_ms ? target->connect_timeout_ms : 10000L) ==
               CURLE_OK &&
           (!target->unix_path ||
            curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, target->unix_path) == CURLE_OK) &&
           (!target->tls || set_tls(easy, target)) &&
           curl_multi_add_handle(tcp->multi, easy) == CURLM_OK;
}

/* How long to wait at once. */
static int look_ms(const struct lithops__bounds *bounds)
{
    uint64_t now = lithops__now_ns(), look = LOOK_MS;
    if (bounds->deadline_ns <= now)
        return 0;
    if ((bounds->deadline_ns - now) / 1000000 < look)
        look = (bounds->deadline_ns - now) / 1000000 + 1;
    return (int)look;
}

static int connect_it(struct lithops__tcp *tcp, const struct lithops__bounds *bounds,
                      lithops_error *err)
{
    for (;;) {
        int running, left;
        CURLMcode failed = curl_multi_perform(tcp->multi, &running);
        CURLMsg *message = curl_multi_info_read(tcp->multi, &left);
        if (failed)
            return lithops__fail(err, LITHOPS_EBACKEND, "cannot connect to %s: %s", tcp->where,
                                 curl_multi_strerror(failed));
        if (message && message->data.result != CURLE_OK)
            return fail(tcp, "connect to", message->data.result, err);
        if (message)
            return curl_easy_getinfo(tcp->easy, CURLINFO_ACTIVESOCKET, &tcp->fd) == CURLE_OK
                       ? 0
                       : fail_memory(err);
        int rc = lithops__bounds_check(bounds, err);
        if (rc)
            return rc;
        curl_multi_poll(tcp->multi, NULL, 0, look_ms(bounds), NULL);
    }
}

int lithops__tcp_open(const struct lithops__tcp_target *target,
                      const struct lithops__bounds *bounds, struct lithops__tcp **ret_tcp,
                      lithops_error *err)
{
    if (strlen(target->host) > 255 || strpbrk(target->host, "/@?# \t\r\n"))
        return lithops__fail(err, LITHOPS_EUSAGE, "'%.100s' is not the name of a host",
                             target->host);
    lithops__curl_init();
    struct lithops__tcp *tcp = calloc(1, sizeof *tcp);
    if (!tcp)
        return fail_memory(err);
    tcp->fd = CURL_SOCKET_BAD;
    tcp->stall_timeout_ms = target->stall_timeout_ms ? target->stall_timeout_ms : 60000;
    if (target->unix_path)
        snprintf(tcp->where, sizeof tcp->where, "%s", target->unix_path);
    else
        snprintf(tcp->where, sizeof tcp->where, "%s:%u", target->host, target->port);
    tcp->multi = curl_multi_init();
    tcp->easy = curl_easy_init();
    int rc = tcp->multi && tcp->easy && set_target(tcp, target) ? connect_it(tcp, bounds, err)
                                                                : fail_memory(err);
    if (rc)
        lithops__tcp_close(tcp);
    else
        *ret_tcp = tcp;
    return rc;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

/* Wait until the socket is ready, or a look at the bounds is due. `since_ns`: when bytes passed
 * last. */
static int wait_for(struct lithops__tcp *tcp, short events, uint64_t since_ns,
                    const struct lithops__bounds *bounds, lithops_error *err)
{
    int rc = lithops__bounds_check(bounds, err);
    if (rc)
        return rc;
    struct pollfd ready = {.fd = tcp->fd, .events = events};
    if (poll(&ready, 1, look_ms(bounds)) > 0)
        return 0;
    if (lithops__now_ns() - since_ns < (uint64_t)tcp->stall_timeout_ms * 1000000)
        return 0;
    snprintf(tcp->message, sizeof tcp->message, "nothing came for %ld ms", tcp->stall_timeout_ms);
    return fail(tcp, "hear from", CURLE_OPERATION_TIMEDOUT, err);
}

int lithops__tcp_send(struct lithops__tcp *tcp, lithops_bytes bytes,
                      const struct lithops__bounds *bounds, lithops_error *err)
{
    const char *next = bytes.ptr;
    size_t left = bytes.len;
    uint64_t since_ns = lithops__now_ns();
    while (left) {
        size_t sent = 0;
        CURLcode result = curl_easy_send(tcp->easy, next, left, &sent);
        if (result == CURLE_OK && sent) {
            next += sent;
            left -= sent;
            since_ns = lithops__now_ns();
            continue;
        }
        if (result != CURLE_OK && result != CURLE_AGAIN)
            return fail(tcp, "send to", result, err);
        int rc = wait_for(tcp, POLLOUT, since_ns, bounds, err);
        if (rc)
            return rc;
    }
    return 0;
}

int lithops__tcp_receive(struct lithops__tcp *tcp, void *buf, size_t size, size_t *ret_len,
                         const struct lithops__bounds *bounds, lithops_error *err)
{
    uint64_t since_ns = lithops__now_ns();
    for (;;) {
        size_t got = 0;
        CURLcode result = curl_easy_recv(tcp->easy, buf, size, &got);
        if (result == CURLE_OK && got) {
            *ret_len = got;
            return 0;
        }
        if (result == CURLE_OK) {
            snprintf(tcp->message, sizeof tcp->message, "the connection was closed");
            return fail(tcp, "hear from", CURLE_RECV_ERROR, err);
        }
        if (result != CURLE_AGAIN)
            return fail(tcp, "hear from", result, err);
        int rc = wait_for(tcp, POLLIN, since_ns, bounds, err);
        if (rc)
            return rc;
    }
}

int lithops__tcp_fd(const struct lithops__tcp *tcp)
{
    return tcp->fd;
}
