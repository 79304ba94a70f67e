/* SPDX-License-Identifier: Apache-2.0 */
/* One store of certificates, which each connection gets a reference to.
 *
 * It has to come from the OpenSSL that libcurl itself uses, whichever that is; so its functions are
 * looked up among the libraries that libcurl was linked with. */
#include "net/authorities.h"

#include "net/certificates.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What libcurl sets for a store of its own: an authority that was named is enough, whoever has
 * signed it (X509_V_FLAG_TRUSTED_FIRST, X509_V_FLAG_PARTIAL_CHAIN). */
#define FLAGS (0x8000UL | 0x80000UL)

static struct {
    pthread_mutex_t lock;
    bool looked; /* for these: */
    void *(*store_new)(void);
    void (*store_free)(void *store);
    int (*load_file)(void *store, const char *file);
    int (*load_path)(void *store, const char *folder);
    int (*set_flags)(void *store, unsigned long flags);
    void (*set_store)(void *context, void *store); /* with a reference of its own */
    void *store;                                   /* NULL: none */
    char *file;                                    /* that it was read from, as it was: */
    struct stat seen;
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* A child of fork() makes requests, too, though another thread may have had the lock. */
static void lock(void)
{
    pthread_mutex_lock(&shared.lock);
}

static void unlock(void)
{
    pthread_mutex_unlock(&shared.lock);
}

static void heed_forks(void)
{
    (void)pthread_atfork(lock, unlock, unlock);
}

static const char *file_of_system(const char *own)
{
    const char *file = lithops__certificate_file(own);
    return file ? file : own;
}

bool lithops__authorities_set(CURL *easy)
{
    const char *file = lithops__certificate_file(curl_version_info(CURLVERSION_NOW)->cainfo);
    return !file || curl_easy_setopt(easy, CURLOPT_CAINFO, file) == CURLE_OK;
}

/* ---- under lock ------------------------------------------------------------------------------ */

static void look_up(const curl_version_info_data *curl)
{
    Dl_info found;
    shared.looked = true;
    if (!curl->ssl_version || strncmp(curl->ssl_version, "OpenSSL/", 8) != 0 ||
        !dladdr(__extension__(void *) curl_version_info, &found))
        return;
    void *library = dlopen(found.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    if (!library)
        return;
    *(void **)&shared.store_new = dlsym(library, "X509_STORE_new");
    *(void **)&shared.store_free = dlsym(library, "X509_STORE_free");
    *(void **)&shared.load_file = dlsym(library, "X509_STORE_load_file");
    *(void **)&shared.load_path = dlsym(library, "X509_STORE_load_path");
    *(void **)&shared.set_flags = dlsym(library, "X509_STORE_set_flags");
    *(void **)&shared.set_store = dlsym(library, "SSL_CTX_set1_cert_store");
    dlclose(library); /* this module keeps it */
}

static bool can_share(void)
{
    return shared.store_new && shared.store_free && shared.load_file && shared.load_path &&
           shared.set_flags && shared.set_store;
}

static bool is_same(const char *file, const struct stat *now)
{
    const struct stat *then = &shared.seen;
    return shared.store && strcmp(file, shared.file) == 0 && now->st_dev == then->st_dev &&
           now->st_ino == then->st_ino && now->st_size == then->st_size &&
           now->st_mtim.tv_sec == then->st_mtim.tv_sec &&
           now->st_mtim.tv_nsec == then->st_mtim.tv_nsec;
}

/* Read the file, unless it is the one that was read. */
static void refresh(void)
{
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
    const char *file = file_of_system(curl->cainfo);
    struct stat now;
    if (!shared.looked)
        look_up(curl);
    bool there = can_share() && file && stat(file, &now) == 0;
    if (there && is_same(file, &now))
        return;
    if (shared.store)
        shared.store_free(shared.store); /* connections have their references */
    free(shared.file);
    shared.store = NULL;
    shared.file = there ? strdup(file) : NULL;
    void *store = shared.file ? shared.store_new() : NULL;
    if (!store)
        return;
    shared.seen = now;
    bool good = shared.set_flags(store, FLAGS) && shared.load_file(store, file) &&
                (!curl->capath || shared.load_path(store, curl->capath));
    if (good)
        shared.store = store;
    else
        shared.store_free(store);
}

/* ---- handles --------------------------------------------------------------------------------- */

/* When a connection begins. */
static CURLcode on_context(CURL *easy, void *context, void *user)
{
    (void)easy, (void)user;
    lock();
    refresh();
    bool there = shared.store != NULL;
    if (there)
        shared.set_store(context, shared.store);
    unlock();
    return there ? CURLE_OK : CURLE_SSL_CACERT_BADFILE;
}

bool lithops__authorities_share(CURL *easy)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, heed_forks);
    lock();
    refresh();
    bool there = shared.store != NULL;
    unlock();
    if (!there || curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_context) != CURLE_OK)
        return true;
    return curl_easy_setopt(easy, CURLOPT_CAINFO, NULL) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK;
}
