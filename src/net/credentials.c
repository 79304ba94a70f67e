/* SPDX-License-Identifier: Apache-2.0 */
#include "net/credentials.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Seconds. Services renew theirs at least this long before the old ones expire. */
#define EARLY 300.0
/* Not asked again for so long after it was asked: it failed, or gives what soon expires, as it also
 * seems to where this machine's clock is ahead. */
#define PAUSE 30.0

struct lithops__credential_store {
    struct lithops__credential_source source;
    pthread_mutex_t lock; /* held while fetching: one thread fetches, the others want the same */
    /* under lock */
    struct lithops__credentials now;
    bool has, is_stale;
    double asked; /* when the source was asked last */
};

void lithops__secret_free(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

bool lithops__is_safe_url(const char *url)
{
    static const char *const hosts[] = {"localhost", "127.0.0.1", "[::1]"};
    if (strncasecmp(url, "https://", 8) == 0)
        return true;
    if (strncasecmp(url, "http://", 7) != 0)
        return false;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        size_t len = strlen(hosts[i]);
        if (strncasecmp(url + 7, hosts[i], len) != 0)
            continue;
        const char *rest = url + 7 + len;
        rest += *rest == ':' ? 1 + strspn(rest + 1, "0123456789") : 0; /* no user:password@ */
        return strchr("/?#", *rest) != NULL;                           /* the end, too */
    }
    return false;
}

void lithops__credentials_deinit(struct lithops__credentials *credentials)
{
    lithops__secret_free(credentials->access_key);
    lithops__secret_free(credentials->secret_key);
    lithops__secret_free(credentials->session_token);
    lithops__secret_free(credentials->bearer);
    free(credentials->endpoint);
    *credentials = (struct lithops__credentials){.expires = 0};
}

static bool copy_text(const char *from, char **ret_copy)
{
    *ret_copy = from ? strdup(from) : NULL;
    return !from || *ret_copy;
}

bool lithops__credentials_copy(const struct lithops__credentials *from,
                               struct lithops__credentials *ret_copy)
{
    struct lithops__credentials copy = {.expires = from->expires};
    bool good = copy_text(from->access_key, &copy.access_key);
    good = copy_text(from->secret_key, &copy.secret_key) && good;
    good = copy_text(from->session_token, &copy.session_token) && good;
    good = copy_text(from->bearer, &copy.bearer) && good;
    good = copy_text(from->endpoint, &copy.endpoint) && good;
    if (good)
        *ret_copy = copy;
    else
        lithops__credentials_deinit(&copy);
    return good;
}

struct lithops__credential_store *
lithops__credential_store_new(const struct lithops__credential_source *source)
{
    struct lithops__credential_store *store = calloc(1, sizeof *store);
    if (!store) {
        if (source->close)
            source->close(source->user);
        return NULL;
    }
    store->source = *source;
    pthread_mutex_init(&store->lock, NULL);
    return store;
}

static int fetch_known(void *user, const struct lithops__bounds *bounds,
                       struct lithops__credentials *ret_credentials, lithops_error *err)
{
    (void)bounds;
    return lithops__credentials_copy(user, ret_credentials)
               ? 0
               : lithops__fail(err, LITHOPS_ENOMEM, "out of memory for credentials");
}

static void close_known(void *user)
{
    lithops__credentials_deinit(user);
    free(user);
}

static struct lithops__credential_store *store_of(const struct lithops__credentials *known)
{
    struct lithops__credentials *copy = calloc(1, sizeof *copy);
    if (!copy || !lithops__credentials_copy(known, copy)) {
        free(copy);
        return NULL;
    }
    const struct lithops__credential_source source = {
        .fetch = fetch_known, .close = close_known, .user = copy};
    return lithops__credential_store_new(&source);
}

struct lithops__credential_store *
lithops__credential_store_of(const char *access_key, const char *secret_key, const char *token)
{
    const struct lithops__credentials keys = {.access_key = (char *)access_key,
                                              .secret_key = (char *)secret_key,
                                              .session_token = (char *)token};
    return store_of(&keys);
}

struct lithops__credential_store *lithops__credential_store_of_token(const char *token,
                                                                     const char *endpoint)
{
    const struct lithops__credentials known = {.bearer = (char *)token,
                                               .endpoint = (char *)endpoint};
    return store_of(&known);
}

void lithops__credential_store_free(struct lithops__credential_store *store)
{
    if (!store)
        return;
    lithops__credentials_deinit(&store->now);
    if (store->source.close)
        store->source.close(store->source.user);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

static double wall_s(void)
{
    return (double)lithops__wall_ns() / 1e9;
}

static int renew(struct lithops__credential_store *store, const struct lithops__bounds *bounds,
                 lithops_error *err)
{
    struct lithops__credentials fetched = {.expires = 0};
    lithops_error error = LITHOPS_ERROR_INIT;
    store->asked = wall_s();
    int rc = store->source.fetch(store->source.user, bounds, &fetched, &error);
    if (rc == 0) {
        lithops__credentials_deinit(&store->now);
        store->now = fetched;
        store->has = true;
        store->is_stale = false;
        return 0;
    }
    lithops__credentials_deinit(&fetched);
    if (store->has && !store->is_stale && store->now.expires > wall_s()) {
        lithops__log(LITHOPS_LOG_WARNING, "storage",
                     "credentials that expire soon could not be renewed yet: %s", error.message);
        return 0;
    }
    lithops__credentials_deinit(&store->now);
    store->has = false;
    if (err)
        *err = error;
    return rc;
}

int lithops__credential_store_get(struct lithops__credential_store *store,
                                  const struct lithops__bounds *bounds,
                                  struct lithops__credentials *ret_credentials, lithops_error *err)
{
    pthread_mutex_lock(&store->lock);
    double now = wall_s();
    bool is_due = store->has && store->now.expires > 0 && store->now.expires < now + EARLY &&
                  !(now >= store->asked && now < store->asked + PAUSE);
    int rc = !store->has || store->is_stale || is_due ? renew(store, bounds, err) : 0;
    if (rc == 0 && !lithops__credentials_copy(&store->now, ret_credentials))
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory for credentials");
    pthread_mutex_unlock(&store->lock);
    return rc;
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool lithops__credential_store_expire(struct lithops__credential_store *store,
                                      const struct lithops__credentials *used)
{
    pthread_mutex_lock(&store->lock);
    const struct lithops__credentials *now = &store->now;
    bool same = store->has && same_text(now->bearer, used->bearer) &&
                same_text(now->access_key, used->access_key) &&
                same_text(now->session_token, used->session_token);
    bool can_change = now->expires > 0 || !same;
    if (same && can_change)
        store->is_stale = true;
    pthread_mutex_unlock(&store->lock);
    return can_change;
}
