/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tls_module.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ_AHEAD = 64 << 10 };

/* Far fewer records than AES-GCM may encrypt under one key. */
static const size_t rekey_bytes = (size_t)32 << 30;

struct lithops__tls {
    SSL *ssl;
    char name[LITHOPS__TLS_NAME];
    unsigned char key[LITHOPS__TLS_KEY_BYTES]; /* the client's */
    lithops__tls_find find;
    void *user;
    size_t written; /* since the last change of keys */
    unsigned long failed;
};

static SSL_CTX *context;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* A key as a session to resume; NULL: out of memory */
static SSL_SESSION *make_session(SSL *ssl, const unsigned char key[LITHOPS__TLS_KEY_BYTES])
{
    static const unsigned char aes_128_gcm_sha256[] = {0x13, 0x01};
    SSL_SESSION *session = SSL_SESSION_new();
    const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, aes_128_gcm_sha256);
    if (session && cipher && SSL_SESSION_set1_master_key(session, key, LITHOPS__TLS_KEY_BYTES) &&
        SSL_SESSION_set_cipher(session, cipher) &&
        SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION))
        return session;
    SSL_SESSION_free(session);
    return NULL;
}

static int use_key(SSL *ssl, const EVP_MD *md, const unsigned char **ret_name, size_t *ret_len,
                   SSL_SESSION **ret_session)
{
    const struct lithops__tls *tls = SSL_get_app_data(ssl);
    (void)md; /* NULL, or that of a second hello: SHA-256 */
    *ret_name = (const unsigned char *)tls->name;
    *ret_len = strlen(tls->name);
    *ret_session = make_session(ssl, tls->key);
    return *ret_session != NULL;
}

/* Without a session the handshake goes on, and ends at once for want of a certificate. */
static int find_key(SSL *ssl, const unsigned char *name, size_t len, SSL_SESSION **ret_session)
{
    struct lithops__tls *tls = SSL_get_app_data(ssl);
    unsigned char key[LITHOPS__TLS_KEY_BYTES];
    *ret_session = NULL;
    if (len >= sizeof tls->name || memchr(name, '\0', len))
        return 1;
    memcpy(tls->name, name, len);
    tls->name[len] = '\0';
    if (!tls->find(tls->user, tls->name, key))
        return 1;
    *ret_session = make_session(ssl, key);
    OPENSSL_cleanse(key, sizeof key);
    return *ret_session != NULL;
}

static void make_context(void)
{
    /* Threads may still use it when the program exits. */
    if (!OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL))
        return;
    SSL_CTX *made = SSL_CTX_new(TLS_method());
    if (!made || !SSL_CTX_set_min_proto_version(made, TLS1_3_VERSION) ||
        !SSL_CTX_set_ciphersuites(made, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256")) {
        SSL_CTX_free(made);
        return;
    }
    SSL_CTX_set_num_tickets(made, 0);
    SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(made, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(made, 1);
    SSL_CTX_set_default_read_buffer_len(made, READ_AHEAD);
    SSL_CTX_set_psk_use_session_callback(made, use_key);
    SSL_CTX_set_psk_find_session_callback(made, find_key);
    context = made;
}

static void tls_free(struct lithops__tls *tls)
{
    if (!tls)
        return;
    SSL_free(tls->ssl);
    OPENSSL_cleanse(tls->key, sizeof tls->key);
    free(tls);
}

static struct lithops__tls *tls_new(int fd)
{
    pthread_once(&once, make_context);
    struct lithops__tls *tls = context ? calloc(1, sizeof *tls) : NULL;
    if (tls && (tls->ssl = SSL_new(context)) != NULL && SSL_set_fd(tls->ssl, fd) &&
        SSL_set_app_data(tls->ssl, tls))
        return tls;
    tls_free(tls);
    return NULL;
}

static struct lithops__tls *client(int fd, const char *name,
                                   const unsigned char key[LITHOPS__TLS_KEY_BYTES])
{
    struct lithops__tls *tls = tls_new(fd);
    if (!tls)
        return NULL;
    snprintf(tls->name, sizeof tls->name, "%s", name);
    memcpy(tls->key, key, sizeof tls->key);
    /* One that shows a certificate instead is no server of ours: nobody is trusted. */
    SSL_set_verify(tls->ssl, SSL_VERIFY_PEER, NULL);
    SSL_set_connect_state(tls->ssl);
    return tls;
}

static struct lithops__tls *server(int fd, lithops__tls_find find, void *user)
{
    struct lithops__tls *tls = tls_new(fd);
    if (!tls)
        return NULL;
    tls->find = find;
    tls->user = user;
    SSL_set_accept_state(tls->ssl);
    return tls;
}

static int explain(struct lithops__tls *tls, int rc)
{
    switch (SSL_get_error(tls->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return LITHOPS__TLS_READ;
    case SSL_ERROR_WANT_WRITE:
        return LITHOPS__TLS_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        tls->failed = ERR_peek_error();
        if (ERR_GET_LIB(tls->failed) == ERR_LIB_SSL &&
            ERR_GET_REASON(tls->failed) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
            tls->failed = 0; /* it hung up */
        return LITHOPS__TLS_LOST;
    }
}

static int handshake(struct lithops__tls *tls)
{
    ERR_clear_error();
    int rc = SSL_do_handshake(tls->ssl);
    if (rc != 1) {
        rc = explain(tls, rc);
        return rc ? rc : LITHOPS__TLS_LOST;
    }
    return SSL_session_reused(tls->ssl) ? 0 : LITHOPS__TLS_LOST; /* the key was used */
}

static void reason(const struct lithops__tls *tls, char *buf, size_t size)
{
    const char *text = tls->failed ? ERR_reason_error_string(tls->failed) : NULL;
    snprintf(buf, size, "%s", text ? text : "");
}

static const char *name(const struct lithops__tls *tls)
{
    return tls->name;
}

static ssize_t tls_read(struct lithops__tls *tls, void *buf, size_t size)
{
    size_t len;
    ERR_clear_error();
    int rc = SSL_read_ex(tls->ssl, buf, size, &len);
    return rc == 1 ? (ssize_t)len : explain(tls, rc);
}

static bool has_more(const struct lithops__tls *tls)
{
    return SSL_has_pending(tls->ssl);
}

static ssize_t tls_write(struct lithops__tls *tls, const void *data, size_t len)
{
    size_t done;
    ERR_clear_error();
    if (tls->written >= rekey_bytes && SSL_key_update(tls->ssl, SSL_KEY_UPDATE_NOT_REQUESTED))
        tls->written = 0;
    int rc = SSL_write_ex(tls->ssl, data, len, &done);
    if (rc != 1) {
        rc = explain(tls, rc);
        return rc ? rc : LITHOPS__TLS_LOST;
    }
    tls->written += done;
    return (ssize_t)done;
}

static void end(struct lithops__tls *tls)
{
    ERR_clear_error();
    (void)SSL_shutdown(tls->ssl);
}

LITHOPS_PUBLIC extern const struct lithops__tls_api lithops__tls;
const struct lithops__tls_api lithops__tls = {
    .client = client,
    .server = server,
    .handshake = handshake,
    .reason = reason,
    .name = name,
    .read = tls_read,
    .has_more = has_more,
    .write = tls_write,
    .end = end,
    .free = tls_free,
};
