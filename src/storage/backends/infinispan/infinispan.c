/* SPDX-License-Identifier: Apache-2.0 */
/* The Infinispan backend: its settings, named as upstream has them, and its driver. */
#include "storage/backends/infinispan/infinispan.h"

#include "base/error.h"
#include "base/module.h"
#include "net/credentials.h"
#include "storage/storage.h"

#include <lithops/plugin/config.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *text_of(const lithops_value *settings, const char *name)
{
    const char *text = lithops_value_get_string(lithops_value_get(settings, name));
    return text && *text ? text : NULL;
}

static bool keep(char **kept, const char *text)
{
    return !text || (*kept = strdup(text)) != NULL;
}

static enum lithops__infinispan_auth auth_of(const lithops_value *settings)
{
    const char *mechanism = text_of(settings, "auth_mech");
    if (!text_of(settings, "username"))
        return LITHOPS__INFINISPAN_NONE;
    return mechanism && strcasecmp(mechanism, "BASIC") == 0 ? LITHOPS__INFINISPAN_BASIC
                                                            : LITHOPS__INFINISPAN_DIGEST;
}

static int check(const struct lithops__infinispan *infinispan, const lithops_storage_op *op)
{
    const char *endpoint = infinispan->endpoint;
    if (!endpoint)
        return lithops__fail(op->err, LITHOPS_ECONFIG,
                             "storage backend 'infinispan' needs endpoint, as in "
                             "http://<host>:11222; set it in its section");
    if (strncmp(endpoint, "http://", 7) != 0 && strncmp(endpoint, "https://", 8) != 0)
        return lithops__fail(op->err, LITHOPS_ECONFIG,
                             "the endpoint of 'infinispan' must begin with http:// or https://");
    if (infinispan->auth != LITHOPS__INFINISPAN_NONE && !infinispan->password)
        return lithops__fail(op->err, LITHOPS_ECONFIG,
                             "storage backend 'infinispan' needs password beside username; set it "
                             "in its section");
    if (infinispan->user && strpbrk(infinispan->user, "\r\n"))
        return lithops__fail(op->err, LITHOPS_ECONFIG,
                             "username of 'infinispan' contains an invalid character");
    return 0;
}

static int infinispan_open(void *state, const lithops_value *settings, const lithops_storage_op *op)
{
    struct lithops__infinispan *infinispan = state;
    pthread_mutex_init(&infinispan->lock, NULL);
    if (lithops__web_init(&infinispan->web, "infinispan", lithops__infinispan_ask, infinispan,
                          op->err) != 0)
        return LITHOPS_EUNSUPPORTED;
    infinispan->web.no_ranges = true;
    infinispan->auth = auth_of(settings);
    if (infinispan->auth == LITHOPS__INFINISPAN_DIGEST) {
        infinispan->crypto = lithops__module_symbol("crypto", "lithops__crypto", op->err);
        if (!infinispan->crypto)
            return LITHOPS_EUNSUPPORTED;
    }
    const lithops_value *names = lithops_value_get(settings, "cache_names");
    if (names && !(infinispan->cache_names = lithops_value_copy(names)))
        return lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a storage handle");
    if (!keep(&infinispan->endpoint, text_of(settings, "endpoint")) ||
        !keep(&infinispan->user, text_of(settings, "username")) ||
        !keep(&infinispan->password, text_of(settings, "password")) ||
        !keep(&infinispan->template, text_of(settings, "cache_type")) ||
        !keep(&infinispan->bucket, text_of(settings, "storage_bucket")))
        return lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a storage handle");
    size_t len = infinispan->endpoint ? strlen(infinispan->endpoint) : 0;
    while (len && infinispan->endpoint[len - 1] == '/')
        infinispan->endpoint[--len] = '\0';
    return check(infinispan, op);
}

static void infinispan_close(void *state)
{
    struct lithops__infinispan *infinispan = state;
    lithops__web_deinit(&infinispan->web);
    lithops_value_free(infinispan->cache_names);
    lithops__secret_free(infinispan->password);
    free(infinispan->endpoint);
    free(infinispan->user);
    free(infinispan->template);
    free(infinispan->bucket);
    pthread_mutex_destroy(&infinispan->lock);
}

static int infinispan_read(void *state, const char *bucket, const char *key,
                           lithops_storage_cursor *cursor, uint64_t offset, void *buf, size_t len,
                           size_t *ret_len, const lithops_storage_op *op)
{
    struct lithops__infinispan *infinispan = state;
    return lithops__web_read(&infinispan->web, bucket, key, cursor, offset, buf, len, ret_len, op);
}

static void infinispan_end_read(void *state, lithops_storage_cursor *cursor)
{
    lithops__web_end_read(&((struct lithops__infinispan *)state)->web, cursor);
}

static int infinispan_head(void *state, const char *bucket, const char *key,
                           lithops_object_info *ret_info, const lithops_storage_op *op)
{
    return lithops__web_head(&((struct lithops__infinispan *)state)->web, bucket, key, ret_info,
                             op);
}

#define TEXT(name_, help_)                                                                         \
    {                                                                                              \
        .name = (name_), .type = LITHOPS_KEY_STRING, .help = (help_)                               \
    }

static const lithops_config_key infinispan_keys[] = {
    {.name = "storage_bucket",
     .type = LITHOPS_KEY_STRING,
     .fallback = "storage",
     .help = "Cache for Lithops' own data. It is made when it is missing."},
    TEXT("endpoint", "URL of the server, as in http://host:11222."),
    TEXT("username", "Name of the user. Without it, requests are nobody's."),
    {.name = "password", .type = LITHOPS_KEY_STRING, .secret = true, .help = "The user's."},
    {.name = "auth_mech",
     .type = LITHOPS_KEY_STRING,
     .fallback = "DIGEST",
     .choices = "DIGEST|BASIC",
     .help = "How the user logs in: the password itself is sent with BASIC."},
    {.name = "cache_names",
     .type = LITHOPS_KEY_LIST,
     .help = "More caches that are made when they are missing."},
    TEXT("cache_type", "Template on the server that caches are made by, as in "
                       "org.infinispan.DIST_SYNC. Default: distributed, or local on a server that "
                       "is alone."),
    {.name = NULL},
};

static const lithops_storage_ops infinispan_ops = {
    .open = infinispan_open,
    .close = infinispan_close,
    .put = lithops__infinispan_put,
    .put_new = lithops__infinispan_put_new,
    .read = infinispan_read,
    .end_read = infinispan_end_read,
    .head = infinispan_head,
    .list = lithops__infinispan_list,
    .del = lithops__infinispan_del,
    .make_bucket = lithops__infinispan_make_bucket,
    .describe = lithops__infinispan_describe,
};

const lithops_storage_driver lithops__storage_infinispan = {
    .abi = LITHOPS_STORAGE_ABI,
    .name = "infinispan",
    .summary = "Infinispan.",
    .state_size = sizeof(struct lithops__infinispan),
    .ops = &infinispan_ops,
    .config_keys = infinispan_keys,
};
