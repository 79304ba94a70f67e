/* SPDX-License-Identifier: Apache-2.0 */
/* Registries of images, by the distribution specification of the OCI.
 *
 *     GET|PUT        /v2/REPOSITORY/manifests/TAG|DIGEST
 *     HEAD|GET       /v2/REPOSITORY/blobs/DIGEST
 *     POST           /v2/REPOSITORY/blobs/uploads/?mount=DIGEST&from=OTHER   201: it was there
 *     POST           /v2/REPOSITORY/blobs/uploads/     202, and where to PUT the bytes
 *
 * A registry that answers 401 says what it wants: a password, or a token that another server gives
 * for it. Secrets go over https only, but to this machine. What comes is checked by its digest. */
#include "base/clock.h"
#include "base/error.h"
#include "base/module.h"
#include "compute/oci/oci.h"
#include "net/credentials.h"
#include "net/sign.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    URL = 2048,
    PIECE = 256 << 10,
    MANIFEST_MAX = 4 << 20,
    ATTEMPTS = 5,
    FIRST_DELAY_MS = 200,
    HEADERS = 6,
};

#define OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"

struct lithops__oci_registry {
    struct lithops__oci_name name;
    const struct lithops__transfer_api *http;
    const struct lithops__crypto_api *crypto;
    struct lithops__transfer *transfer;
    char base[LITHOPS__OCI_NAME + 16]; /* "https://registry" */
    struct lithops__oci_login login;
    char *authorization; /* the header; NULL: none is wanted so far */
    char *from;          /* a repository that blobs are taken from, or NULL */
    bool is_here;
};

/* ---- names ----------------------------------------------------------------------------------- */

static bool is_host(const char *text, size_t len)
{
    return memchr(text, '.', len) || memchr(text, ':', len) ||
           (len == 9 && memcmp(text, "localhost", 9) == 0);
}

static bool is_made_of(const char *text, const char *more)
{
    for (; *text; text++)
        if (!isalnum((unsigned char)*text) && !strchr(more, *text))
            return false;
    return true;
}

/* HOST[:PORT] */
static bool is_registry(const char *text)
{
    const char *colon = strchr(text, ':');
    return is_made_of(text, ".:-") &&
           (!colon ||
            (colon > text && colon[1] && strspn(colon + 1, "0123456789") == strlen(colon + 1)));
}

static bool is_repository(const char *text)
{
    size_t len = strlen(text);
    return len && is_made_of(text, "./-_") && text[0] != '/' && text[len - 1] != '/' &&
           !strstr(text, "//") && !strstr(text, "..");
}

static bool is_tag(const char *text, size_t len)
{
    if (len == 0 || len > 128 || strchr(".-", text[0]))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr(".-_", text[i]))
            return false;
    return true;
}

bool lithops__oci_is_digest(const char *text)
{
    return strncmp(text, "sha256:", 7) == 0 && strlen(text) == LITHOPS__OCI_DIGEST - 1 &&
           strspn(text + 7, "0123456789abcdef") == LITHOPS__OCI_DIGEST - 1 - 7;
}

int lithops__oci_name(const char *text, struct lithops__oci_name *ret_name, lithops_error *err)
{
    const char *slash = strchr(text, '/'), *rest = text;
    *ret_name = (struct lithops__oci_name){.registry = "docker.io", .reference = "latest"};
    bool good = strlen(text) < LITHOPS__OCI_NAME - 16;
    if (good && slash && is_host(text, (size_t)(slash - text))) {
        snprintf(ret_name->registry, sizeof ret_name->registry, "%.*s", (int)(slash - text), text);
        rest = slash + 1;
    }
    if (good) {
        size_t len = strcspn(rest, ":@");
        if (strcmp(ret_name->registry, "index.docker.io") == 0)
            snprintf(ret_name->registry, sizeof ret_name->registry, "docker.io");
        bool is_library = strcmp(ret_name->registry, "docker.io") == 0 && !memchr(rest, '/', len);
        snprintf(ret_name->repository, sizeof ret_name->repository, "%s%.*s",
                 is_library ? "library/" : "", (int)len, rest);
        const char *tag = rest + len + 1, *at = strchr(rest, '@');
        good = len > 0 && (rest[len] != ':' || is_tag(tag, strcspn(tag, "@"))) &&
               (!at || lithops__oci_is_digest(at + 1));
        if (rest[len])
            snprintf(ret_name->reference, sizeof ret_name->reference, "%s", at ? at + 1 : tag);
    }
    if (good && is_registry(ret_name->registry) && is_repository(ret_name->repository))
        return 0;
    return lithops__fail(err, LITHOPS_ECONFIG,
                         "'%.200s' is not the name of an image: REGISTRY/REPOSITORY:TAG", text);
}

/* ---- opening --------------------------------------------------------------------------------- */

static bool is_this_machine(const char *host)
{
    static const char *const hosts[] = {"localhost", "127.0.0.1"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        size_t len = strlen(hosts[i]);
        if (strncmp(host, hosts[i], len) == 0 && (!host[len] || strchr(":/", host[len])))
            return true;
    }
    return false;
}

int lithops__oci_open(const struct lithops__oci_name *name,
                      struct lithops__oci_registry **ret_registry, lithops_error *err)
{
    const struct lithops__http_api *module = lithops__module_symbol("http", "lithops__http", err);
    const struct lithops__crypto_api *crypto =
        module ? lithops__module_symbol("crypto", "lithops__crypto", err) : NULL;
    if (!crypto)
        return err->code;
    struct lithops__oci_registry *registry = calloc(1, sizeof *registry);
    if (!registry)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    registry->name = *name;
    registry->http = &module->transfer;
    registry->crypto = crypto;
    registry->is_here = is_this_machine(name->registry);
    snprintf(registry->base, sizeof registry->base, "http%s://%s", registry->is_here ? "" : "s",
             strcmp(name->registry, "docker.io") == 0 ? "registry-1.docker.io" : name->registry);
    int rc = lithops__oci_login(name->registry, &registry->login, err);
    if (rc == 0)
        rc = registry->http->open(NULL, &registry->transfer, err);
    if (rc != 0) {
        lithops__oci_close(registry);
        return rc;
    }
    *ret_registry = registry;
    return 0;
}

void lithops__oci_close(struct lithops__oci_registry *registry)
{
    if (!registry)
        return;
    if (registry->transfer)
        registry->http->close(registry->transfer);
    lithops__oci_forget_login(&registry->login);
    lithops__secret_free(registry->authorization);
    free(registry->from);
    free(registry);
}

/* ---- who is allowed -------------------------------------------------------------------------- */

/* The value of `name` in: Bearer realm="...",service="...",scope="...". */
static bool read_field(const char *text, const char *name, char *buf, size_t size)
{
    char mark[32];
    snprintf(mark, sizeof mark, "%s=\"", name);
    for (const char *at = text; (at = strcasestr(at, mark)) != NULL; at += strlen(mark)) {
        if (at > text && !strchr(" ,", at[-1]))
            continue;
        at += strlen(mark);
        size_t len = strcspn(at, "\"");
        if (!at[len] || len >= size)
            return false;
        snprintf(buf, size, "%.*s", (int)len, at);
        return true;
    }
    return false;
}

static int set_authorization(struct lithops__oci_registry *registry, const char *kind,
                             const char *secret, lithops_error *err)
{
    lithops__secret_free(registry->authorization);
    if (asprintf(&registry->authorization, "Authorization: %s %s", kind, secret) >= 0)
        return 0;
    registry->authorization = NULL;
    return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
}

/* A short document. */
static int fetch_document(struct lithops__oci_registry *registry,
                          const struct lithops__http_request *request, struct lithops__buffer *out,
                          lithops_error *err)
{
    size_t len = 0;
    char *room = lithops__buffer_reserve(out, PIECE);
    int rc = room ? registry->http->start(registry->transfer, request, err)
                  : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc == 0)
        rc = registry->http->pull(registry->transfer, room, PIECE, &len, err);
    if (rc != 0)
        return rc;
    out->len += len;
    long status = registry->http->answer(registry->transfer)->status;
    if (status == 200)
        return 0;
    bool is_refused = status == 401 || status == 403 || (status == 400 && request->has_body);
    const char *hint = "";
    if (!registry->login.basic && !registry->login.identity)
        hint = ": log in with docker or podman";
    else if (registry->login.identity && is_refused)
        hint = ": the identity token that is noted may have expired, log in again";
    rc = lithops__fail(err, is_refused ? LITHOPS_EDENIED : LITHOPS_EBACKEND,
                       "%s answers with status %ld%s", registry->http->url(registry->transfer),
                       status, hint);
    err->http_status = (int)status;
    err->retryable = status == 429 || status >= 500;
    return rc;
}

/* A password goes there: by https, or within this machine. What is before an '@' would look like
 * the host, and is not. */
static bool is_safe_realm(const struct lithops__oci_registry *registry, const char *realm)
{
    const char *host = strstr(realm, "://");
    if (!host || memchr(host, '@', strcspn(host + 3, "/?#") + 3))
        return false;
    return strncasecmp(realm, "https://", 8) == 0 ||
           (registry->is_here && strncasecmp(realm, "http://", 7) == 0 &&
            is_this_machine(realm + 7));
}

static void add_field(struct lithops__buffer *out, const char *name, const char *value)
{
    lithops__buffer_printf(out, "%s%s=", out->len ? "&" : "", name);
    lithops__url_encode(out, value, strlen(value), false);
}

/* What a token shall be good for, as a query or a form, which part several scopes differently. */
static void add_wish(const struct lithops__oci_registry *registry, const char *challenge,
                     bool is_form, struct lithops__buffer *out)
{
    char service[512], scope[1024];
    if (read_field(challenge, "service", service, sizeof service))
        add_field(out, "service", service);
    bool has_scope = read_field(challenge, "scope", scope, sizeof scope);
    if (has_scope)
        add_field(out, "scope", scope);
    if (registry->from) {
        lithops__buffer_append_string(out, has_scope && is_form ? "%20" : "&scope=");
        lithops__buffer_append_string(out, "repository%3A");
        lithops__url_encode(out, registry->from, strlen(registry->from), false);
        lithops__buffer_append_string(out, "%3Apull");
    }
}

/* With a password, or with nothing: GET, after
 * https://distribution.github.io/distribution/spec/auth/token/ */
static int ask_for_token(struct lithops__oci_registry *registry, const char *realm,
                         const char *challenge, struct lithops__buffer *out, lithops_error *err)
{
    struct lithops__buffer wish = LITHOPS__BUFFER_INIT;
    char *url = NULL, *basic = NULL;
    add_wish(registry, challenge, false, &wish);
    char *query = lithops__buffer_steal(&wish);
    bool good =
        query && asprintf(&url, "%s%c%s", realm, strchr(realm, '?') ? '&' : '?', query) >= 0;
    good = good && (!registry->login.basic ||
                    asprintf(&basic, "Authorization: Basic %s", registry->login.basic) >= 0);
    struct lithops__http_request request = LITHOPS__HTTP_REQUEST("GET", url);
    request.headers = (const char *const[]){basic, NULL};
    int rc = good ? fetch_document(registry, &request, out, err)
                  : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    lithops__secret_free(basic);
    free(query);
    free(url);
    return rc;
}

/* With an identity token: POST, after
 * https://distribution.github.io/distribution/spec/auth/oauth/ */
static int trade_for_token(struct lithops__oci_registry *registry, const char *realm,
                           const char *challenge, struct lithops__buffer *out, lithops_error *err)
{
    struct lithops__buffer form = LITHOPS__BUFFER_INIT;
    add_field(&form, "grant_type", "refresh_token");
    add_field(&form, "client_id", "lithops");
    add_wish(registry, challenge, true, &form);
    add_field(&form, "refresh_token", registry->login.identity);
    struct lithops__http_request request = LITHOPS__HTTP_REQUEST("POST", realm);
    request.headers =
        (const char *const[]){"Content-Type: application/x-www-form-urlencoded", NULL};
    request.has_body = true;
    request.body = (lithops_bytes){form.data, form.len};
    int rc = form.failed ? lithops__fail(err, LITHOPS_ENOMEM, "out of memory")
                         : fetch_document(registry, &request, out, err);
    if (form.data)
        explicit_bzero(form.data, form.len);
    lithops__buffer_deinit(&form);
    return rc;
}

/* A token that another server gives, for what the registry names. */
static int fetch_token(struct lithops__oci_registry *registry, const char *challenge,
                       lithops_error *err)
{
    char realm[URL / 2];
    if (!read_field(challenge, "realm", realm, sizeof realm))
        return lithops__fail(err, LITHOPS_EBACKEND, "%s does not say who gives tokens for it",
                             registry->base);
    if (!is_safe_realm(registry, realm))
        return lithops__fail(err, LITHOPS_EDENIED,
                             "%s wants a token of %s, which is not https and a plain host",
                             registry->base, realm);
    struct lithops__buffer document = LITHOPS__BUFFER_INIT;
    int rc = registry->login.identity ? trade_for_token(registry, realm, challenge, &document, err)
                                      : ask_for_token(registry, realm, challenge, &document, err);
    lithops_value *answer =
        rc == 0 ? lithops_value_from_json((const char *)document.data, document.len, NULL) : NULL;
    const char *token = lithops_value_get_string(lithops_value_get(answer, "token"));
    if (!token)
        token = lithops_value_get_string(lithops_value_get(answer, "access_token"));
    if (rc == 0)
        rc = token ? set_authorization(registry, "Bearer", token, err)
                   : lithops__fail(err, LITHOPS_EBACKEND, "%s gives no token", realm);
    lithops_value_free(answer);
    if (document.data)
        explicit_bzero(document.data, document.len);
    lithops__buffer_deinit(&document);
    return rc;
}

/* As the answer 401 wants it. */
static int authorize(struct lithops__oci_registry *registry, const char *challenge,
                     lithops_error *err)
{
    if (strncasecmp(challenge, "Bearer", 6) == 0)
        return fetch_token(registry, challenge, err);
    if (strncasecmp(challenge, "Basic", 5) == 0 && registry->login.basic)
        return set_authorization(registry, "Basic", registry->login.basic, err);
    return lithops__fail(err, LITHOPS_EDENIED,
                         "%s wants to know who you are: 'docker login %s', or 'podman login'",
                         registry->base, registry->name.registry);
}

/* ---- requests -------------------------------------------------------------------------------- */

struct asked {
    const char *method, *url;
    const char *accept, *type; /* headers; NULL: none */
    bool is_foreign;           /* another server than the registry: it learns no secret */
    bool is_once;              /* it is not the same when it is asked for again */
    bool has_body;
    lithops_bytes body;
    int fd; /* the body is in it, from its beginning on; -1: it is not */
    uint64_t fd_size;
    struct lithops__buffer *out;                     /* what comes; NULL: `out_fd` */
    int out_fd;                                      /* -1: it does not matter */
    uint64_t most;                                   /* bytes that may come */
    char location[URL], digest[LITHOPS__OCI_DIGEST]; /* of the answer */
    long status;
};

static struct asked asked_of(const char *method, const char *url)
{
    return (struct asked){
        .method = method, .url = url, .fd = -1, .out_fd = -1, .most = MANIFEST_MAX};
}

static int take(struct lithops__oci_registry *registry, struct asked *asked, lithops_error *err)
{
    uint64_t got = 0;
    size_t len = PIECE;
    char *piece = malloc(PIECE);
    int rc = piece ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (asked->out)
        asked->out->len = 0;
    if (rc == 0 && asked->out_fd >= 0 &&
        (ftruncate(asked->out_fd, 0) != 0 || lseek(asked->out_fd, 0, SEEK_SET) != 0))
        rc = lithops__fail_errno(err, errno, "cannot keep what %s sends", registry->base);
    while (rc == 0 && len == PIECE) {
        rc = registry->http->pull(registry->transfer, piece, PIECE, &len, err);
        got += len;
        if (rc == 0 && got > asked->most)
            rc = lithops__fail(err, LITHOPS_EBACKEND, "%s sends too much", registry->base);
        if (rc == 0 && asked->out)
            lithops__buffer_append(asked->out, piece, len);
        for (size_t done = 0; rc == 0 && asked->out_fd >= 0 && done < len;) {
            ssize_t n = write(asked->out_fd, piece + done, len - done);
            if (n < 0 && errno != EINTR)
                rc = lithops__fail_errno(err, errno, "cannot keep what %s sends", registry->base);
            done += n > 0 ? (size_t)n : 0;
        }
    }
    free(piece);
    if (rc == 0 && asked->out && asked->out->failed)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    return rc;
}

static void note(char *buf, size_t size, const char *text)
{
    buf[0] = '\0';
    if (text && strlen(text) < size)
        snprintf(buf, size, "%s", text);
}

static int ask_once(struct lithops__oci_registry *registry, struct asked *asked, lithops_error *err)
{
    struct lithops__http_request request = LITHOPS__HTTP_REQUEST(asked->method, asked->url);
    char accept[256], type[256];
    const char *headers[HEADERS] = {"Expect:"};
    size_t count = 1;
    snprintf(accept, sizeof accept, "Accept: %s", asked->accept ? asked->accept : "*/*");
    headers[count++] = accept;
    snprintf(type, sizeof type, "Content-Type: %s", asked->type ? asked->type : "");
    if (asked->type)
        headers[count++] = type;
    if (registry->authorization && !asked->is_foreign)
        headers[count++] = registry->authorization;
    request.headers = headers;
    request.follow_redirects = strcmp(asked->method, "GET") == 0;
    request.has_body = asked->has_body;
    request.body = asked->body;
    if (asked->fd >= 0) {
        request.body_fd = asked->fd;
        request.body_fd_len = asked->fd_size;
    }
    int rc = registry->http->start(registry->transfer, &request, err);
    if (rc == 0)
        rc = take(registry, asked, err);
    if (rc != 0)
        return rc;
    const struct lithops__answer *answer = registry->http->answer(registry->transfer);
    asked->status = answer->status;
    note(asked->location, sizeof asked->location,
         registry->http->header(registry->transfer, "location"));
    note(asked->digest, sizeof asked->digest,
         registry->http->header(registry->transfer, "docker-content-digest"));
    if (answer->status < 400 || answer->status == 401 || answer->status == 404)
        return 0;
    rc =
        lithops__fail(err, answer->status == 403 ? LITHOPS_EDENIED : LITHOPS_EBACKEND,
                      "%s answers with status %ld: %.300s", registry->http->url(registry->transfer),
                      answer->status, answer->error_text ? answer->error_text : "");
    err->http_status = (int)answer->status;
    err->retryable = answer->status == 429 || answer->status >= 500;
    return rc;
}

/* What may pass is asked for again. @return 0 with any status below 400, and 404 */
static int ask(struct lithops__oci_registry *registry, struct asked *asked, lithops_error *err)
{
    struct lithops__retry retry = {.attempts = asked->is_once ? 1 : ATTEMPTS,
                                   .first_delay_ms = FIRST_DELAY_MS,
                                   .bounds = {.deadline_ns = UINT64_MAX}};
    lithops_error error;
    bool has_authorized = false;
    int rc;
    do {
        error = (lithops_error)LITHOPS_ERROR_INIT;
        rc = ask_once(registry, asked, &error);
        if (rc == 0 && asked->status == 401 && !has_authorized && !asked->is_foreign) {
            const char *wanted = registry->http->header(registry->transfer, "www-authenticate");
            char challenge[URL];
            note(challenge, sizeof challenge, wanted);
            rc = authorize(registry, challenge, &error);
            has_authorized = rc == 0;
            if (rc == 0)
                rc = ask_once(registry, asked, &error);
        }
    } while (rc != 0 && lithops__retry_again(&retry, &error, 0));
    if (rc == 0 && asked->status == 401 && !asked->is_foreign) {
        rc = lithops__fail(&error, LITHOPS_EDENIED,
                           "%s does not let you into %s: 'docker login %s', or 'podman login'",
                           registry->base, registry->name.repository, registry->name.registry);
    }
    if (rc != 0)
        *err = error;
    return rc;
}

static int fail_status(const struct lithops__oci_registry *registry, const struct asked *asked,
                       const char *what, lithops_error *err)
{
    int code = asked->status == 404 ? LITHOPS_ENOTFOUND : LITHOPS_EBACKEND;
    return lithops__fail(err, code, "%s/%s: %s: status %ld", registry->name.registry,
                         registry->name.repository, what, asked->status);
}

static void make_url(const struct lithops__oci_registry *registry, char url[URL], const char *kind,
                     const char *which)
{
    snprintf(url, URL, "%s/v2/%s/%s/%s", registry->base, registry->name.repository, kind, which);
}

/* ---- manifests ------------------------------------------------------------------------------- */

static void digest_of(const struct lithops__crypto_api *crypto, lithops_bytes bytes,
                      char ret_digest[LITHOPS__OCI_DIGEST])
{
    memcpy(ret_digest, "sha256:", 7);
    if (lithops__hex_sha256(crypto, bytes, ret_digest + 7) != 0)
        ret_digest[7] = '\0';
}

static int check_digest(const struct lithops__oci_registry *registry, const char *wanted,
                        const char *got, lithops_error *err)
{
    return strcmp(wanted, got) == 0
               ? 0
               : lithops__fail(err, LITHOPS_EBACKEND, "%s: what came as %s is not that",
                               registry->base, wanted);
}

int lithops__oci_manifest(struct lithops__oci_registry *registry, const char *reference,
                          lithops_value **ret_manifest, char ret_digest[LITHOPS__OCI_DIGEST],
                          lithops_error *err)
{
    char url[URL], digest[LITHOPS__OCI_DIGEST];
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    make_url(registry, url, "manifests", reference);
    struct asked asked = asked_of("GET", url);
    asked.accept = OCI_MANIFEST ", application/vnd.oci.image.index.v1+json, "
                                "application/vnd.docker.distribution.manifest.v2+json, "
                                "application/vnd.docker.distribution.manifest.list.v2+json";
    asked.out = &out;
    int rc = ask(registry, &asked, err);
    if (rc == 0 && asked.status == 404)
        rc = lithops__fail(err, LITHOPS_ENOTFOUND, "there is no image %s/%s:%s",
                           registry->name.registry, registry->name.repository, reference);
    else if (rc == 0 && asked.status != 200)
        rc = fail_status(registry, &asked, reference, err);
    if (rc == 0) {
        digest_of(registry->crypto, (lithops_bytes){out.data, out.len}, digest);
        if (strncmp(reference, "sha256:", 7) == 0)
            rc = check_digest(registry, reference, digest, err);
    }
    if (rc == 0) {
        *ret_manifest = lithops_value_from_json((const char *)out.data, out.len, err);
        rc = *ret_manifest ? 0 : err->code;
        if (ret_digest)
            memcpy(ret_digest, digest, sizeof digest);
    }
    lithops__buffer_deinit(&out);
    return rc;
}

int lithops__oci_put_manifest(struct lithops__oci_registry *registry, const char *reference,
                              const char *json, lithops_error *err)
{
    char url[URL];
    make_url(registry, url, "manifests", reference);
    struct asked asked = asked_of("PUT", url);
    asked.type = OCI_MANIFEST;
    asked.has_body = true;
    asked.body = (lithops_bytes){json, strlen(json)};
    int rc = ask(registry, &asked, err);
    return rc == 0 && asked.status != 201
               ? fail_status(registry, &asked, "the manifest was not taken", err)
               : rc;
}

/* ---- blobs ----------------------------------------------------------------------------------- */

int lithops__oci_blob(struct lithops__oci_registry *registry, const char *digest, uint64_t most,
                      struct lithops__buffer *out, lithops_error *err)
{
    char url[URL], got[LITHOPS__OCI_DIGEST];
    make_url(registry, url, "blobs", digest);
    struct asked asked = asked_of("GET", url);
    asked.out = out;
    asked.most = most;
    int rc = ask(registry, &asked, err);
    if (rc == 0 && asked.status != 200)
        return fail_status(registry, &asked, digest, err);
    digest_of(registry->crypto, (lithops_bytes){out->data, out->len}, got);
    return rc == 0 ? check_digest(registry, digest, got, err) : rc;
}

int lithops__oci_blob_to(struct lithops__oci_registry *registry, const char *digest, int fd,
                         lithops_error *err)
{
    char url[URL], got[LITHOPS__OCI_DIGEST] = "sha256:";
    unsigned char hash[LITHOPS__SHA256_BYTES];
    make_url(registry, url, "blobs", digest);
    struct asked asked = asked_of("GET", url);
    asked.out_fd = fd;
    asked.most = UINT64_MAX;
    int rc = ask(registry, &asked, err);
    if (rc == 0 && asked.status != 200)
        return fail_status(registry, &asked, digest, err);
    if (rc != 0)
        return rc;
    if (lseek(fd, 0, SEEK_SET) != 0 || registry->crypto->sha256_fd(fd, hash) != 0)
        return lithops__fail(err, LITHOPS_EIO, "cannot read what has come of %s", digest);
    lithops__hash_to_hex(hash, got + 7);
    return check_digest(registry, digest, got, err);
}

int lithops__oci_has_blob(struct lithops__oci_registry *registry, const char *digest,
                          const char *from, bool *ret_has, lithops_error *err)
{
    char url[URL];
    make_url(registry, url, "blobs", digest);
    struct asked asked = asked_of("HEAD", url);
    int rc = ask(registry, &asked, err);
    /* A registry whose blobs are kept elsewhere names the place of those that it has. */
    *ret_has = rc == 0 && (asked.status == 200 || asked.status / 100 == 3);
    if (rc != 0 || *ret_has || !from || strcmp(from, registry->name.repository) == 0)
        return rc;
    if (!registry->from && !(registry->from = strdup(from)))
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    snprintf(url, sizeof url, "%s/v2/%s/blobs/uploads/?mount=%s&from=%s", registry->base,
             registry->name.repository, digest, from);
    asked = asked_of("POST", url);
    asked.has_body = true;
    rc = ask(registry, &asked, err);
    *ret_has = rc == 0 && asked.status == 201;
    return rc; /* 202: it has begun an upload, which it will forget */
}

/* Where the bytes are to be put: at the registry, or by https at another server. */
static int begin_upload(struct lithops__oci_registry *registry, const char *digest,
                        char ret_url[2 * URL], bool *ret_foreign, lithops_error *err)
{
    char url[URL];
    make_url(registry, url, "blobs", "uploads/");
    struct asked asked = asked_of("POST", url);
    asked.has_body = true;
    asked.is_once = true;
    int rc = ask(registry, &asked, err);
    if (rc != 0)
        return rc;
    if (asked.status != 202 || !asked.location[0])
        return fail_status(registry, &asked, "it takes no uploads", err);
    size_t len = strlen(registry->base);
    bool is_path = asked.location[0] == '/' && asked.location[1] != '/';
    bool is_own = is_path ||
                  (strncmp(asked.location, registry->base, len) == 0 && asked.location[len] == '/');
    if (!is_own && strncasecmp(asked.location, "https://", 8) != 0)
        return lithops__fail(err, LITHOPS_EDENIED,
                             "%s wants uploads at %.300s, which is another server, and not https",
                             registry->base, asked.location);
    *ret_foreign = !is_own;
    snprintf(ret_url, 2 * (size_t)URL, "%s%s%cdigest=%s", is_path ? registry->base : "",
             asked.location, strchr(asked.location, '?') ? '&' : '?', digest);
    return 0;
}

static int upload_once(struct lithops__oci_registry *registry, const char *digest,
                       struct asked asked, lithops_error *err)
{
    char url[2 * URL];
    int rc = begin_upload(registry, digest, url, &asked.is_foreign, err);
    if (rc != 0)
        return rc;
    asked.url = url;
    asked.method = "PUT";
    asked.type = "application/octet-stream";
    asked.has_body = true;
    asked.out_fd = -1;
    asked.most = MANIFEST_MAX;
    asked.is_once = true;
    rc = ask(registry, &asked, err);
    return rc == 0 && asked.status != 201 ? fail_status(registry, &asked, digest, err) : rc;
}

/* An upload that has failed is over: another one is begun, unless its bytes have come. */
static int upload(struct lithops__oci_registry *registry, const char *digest, struct asked asked,
                  lithops_error *err)
{
    struct lithops__retry retry = {.attempts = ATTEMPTS,
                                   .first_delay_ms = FIRST_DELAY_MS,
                                   .bounds = {.deadline_ns = UINT64_MAX}};
    lithops_error error = LITHOPS_ERROR_INIT;
    bool has = false;
    int rc = upload_once(registry, digest, asked, &error);
    while (rc != 0 && !has && lithops__retry_again(&retry, &error, 0)) {
        error = (lithops_error)LITHOPS_ERROR_INIT;
        rc = lithops__oci_has_blob(registry, digest, NULL, &has, &error);
        if (rc == 0 && !has)
            rc = upload_once(registry, digest, asked, &error);
    }
    if (rc != 0)
        *err = error;
    return rc;
}

int lithops__oci_put_blob(struct lithops__oci_registry *registry, const char *digest,
                          lithops_bytes bytes, lithops_error *err)
{
    return upload(registry, digest, (struct asked){.body = bytes, .fd = -1}, err);
}

int lithops__oci_put_blob_of(struct lithops__oci_registry *registry, const char *digest, int fd,
                             uint64_t size, lithops_error *err)
{
    return upload(registry, digest, (struct asked){.fd = fd, .fd_size = size}, err);
}
