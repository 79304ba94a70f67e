/* SPDX-License-Identifier: Apache-2.0 */
/* The Swift backend: its settings, named as upstream has them, and its driver. */
#include "storage/backends/swift/swift.h"

#include "base/error.h"
#include "base/module.h"
#include "net/openstack.h"
#include "storage/storage.h"

#include <lithops/plugin/config.h>

#include <stdlib.h>
#include <string.h>

static const char *text_of(const lithops_value *settings, const char *name)
{
    const char *text = lithops_value_get_string(lithops_value_get(settings, name));
    return text && *text ? text : NULL;
}

static int need(const char *name, const char *text, const lithops_storage_op *op)
{
    if (!text)
        return lithops__fail(op->err, LITHOPS_ECONFIG,
                             "storage backend 'swift' needs %s; set it in its section", name);
    return strpbrk(text, "\r\n") ? lithops__fail(op->err, LITHOPS_ECONFIG,
                                                 "%s of 'swift' has a line break in it", name)
                                 : 0;
}

static int need_url(const char *name, const char *url, const lithops_storage_op *op)
{
    int rc = need(name, url, op);
    if (rc == 0 && strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        rc = lithops__fail(op->err, LITHOPS_ECONFIG,
                           "%s of 'swift' must begin with http:// or https://", name);
    return rc;
}

/* A token that somebody else has got; it is not renewed. */
static int use_token(struct lithops__swift *swift, const char *token, const lithops_value *settings,
                     const lithops_storage_op *op)
{
    const char *endpoint = text_of(settings, "endpoint");
    int rc = need_url("endpoint, beside token,", endpoint, op);
    rc = rc ? rc : need("token", token, op);
    if (rc)
        return rc;
    swift->credentials = lithops__credential_store_of_token(token, endpoint);
    swift->where = strdup(endpoint);
    return swift->credentials && swift->where
               ? 0
               : lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a storage handle");
}

static int use_login(struct lithops__swift *swift, const lithops_value *settings,
                     const lithops_storage_op *op)
{
    const struct lithops__openstack_login login = {
        .auth_url = text_of(settings, "auth_url"),
        .user = text_of(settings, "user_id"),
        .password = text_of(settings, "password"),
        .user_domain = text_of(settings, "user_domain_name"),
        .project = text_of(settings, "project_id"),
        .application_id = text_of(settings, "application_credential_id"),
        .application_secret = text_of(settings, "application_credential_secret"),
        .region = text_of(settings, "region"),
        .interface = text_of(settings, "interface")};
    int rc = need_url("auth_url", login.auth_url, op);
    if (rc == 0 && login.application_id)
        rc = need("application_credential_secret", login.application_secret, op);
    else if (rc == 0) {
        rc = need("user_id", login.user, op);
        rc = rc ? rc : need("password", login.password, op);
    }
    if (rc)
        return rc;
    swift->where = strdup(login.auth_url);
    return swift->where
               ? lithops__openstack_open(swift->web.http, &login, &swift->credentials, op->err)
               : lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a storage handle");
}

static int swift_open(void *state, const lithops_value *settings, const lithops_storage_op *op)
{
    struct lithops__swift *swift = state;
    pthread_mutex_init(&swift->lock, NULL);
    swift->page = LITHOPS__SWIFT_PAGE;
    swift->manifest = LITHOPS__SWIFT_MANIFEST;
    if (lithops__web_init(&swift->web, "swift", lithops__swift_ask, swift, op->err) != 0)
        return LITHOPS_EUNSUPPORTED;
    swift->web.checks = true;
    swift->crypto = lithops__module_symbol("crypto", "lithops__crypto", op->err);
    if (!swift->crypto)
        return LITHOPS_EUNSUPPORTED;
    const char *token = text_of(settings, "token"), *bucket = text_of(settings, "storage_bucket");
    if (bucket && !(swift->bucket = strdup(bucket)))
        return lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a storage handle");
    return token ? use_token(swift, token, settings, op) : use_login(swift, settings, op);
}

static void swift_close(void *state)
{
    struct lithops__swift *swift = state;
    lithops__web_deinit(&swift->web);
    lithops__credential_store_free(swift->credentials);
    free(swift->where);
    free(swift->bucket);
    pthread_mutex_destroy(&swift->lock);
}

static int swift_read(void *state, const char *bucket, const char *key,
                      lithops_storage_cursor *cursor, uint64_t offset, void *buf, size_t len,
                      size_t *ret_len, const lithops_storage_op *op)
{
    struct lithops__swift *swift = state;
    return lithops__web_read(&swift->web, bucket, key, cursor, offset, buf, len, ret_len, op);
}

static void swift_end_read(void *state, lithops_storage_cursor *cursor)
{
    lithops__web_end_read(&((struct lithops__swift *)state)->web, cursor);
}

static int swift_head(void *state, const char *bucket, const char *key,
                      lithops_object_info *ret_info, const lithops_storage_op *op)
{
    return lithops__web_head(&((struct lithops__swift *)state)->web, bucket, key, ret_info, op);
}

#define TEXT(name_, help_)                                                                         \
    {                                                                                              \
        .name = (name_), .type = LITHOPS_KEY_STRING, .help = (help_)                               \
    }
#define SECRET(name_, help_)                                                                       \
    {                                                                                              \
        .name = (name_), .type = LITHOPS_KEY_STRING, .secret = true, .help = (help_)               \
    }

static const lithops_config_key swift_keys[] = {
    TEXT("storage_bucket", "Container for Lithops' own data. It is made when it is missing."),
    TEXT("auth_url", "URL of Keystone, as in https://keystone:5000/v3; or, ending with /auth/v1.0, "
                     "of the object store's own login."),
    TEXT("user_id", "Name of the user."),
    SECRET("password", "The user's."),
    TEXT("user_domain_name", "Name of the user's domain. Default: the domain whose id is default."),
    TEXT("project_id", "Id of the project."),
    TEXT("region", "Region of the object store. Default: the first in Keystone's catalog."),
    {.name = "interface",
     .type = LITHOPS_KEY_STRING,
     .fallback = "public",
     .choices = "public|internal|admin",
     .help = "Which of the object store's URLs in Keystone's catalog is used."},
    TEXT("application_credential_id", "In place of user_id and password: an application's."),
    SECRET("application_credential_secret", "Its secret."),
    SECRET("token", "In place of a login: a token. It is not renewed."),
    TEXT("endpoint", "URL of the account, beside token, as in https://swift/v1/AUTH_<project>."),
    {.name = "project_domain_name",
     .type = LITHOPS_KEY_STRING,
     .inert = true,
     .help = "Not needed, as project_id is unique."},
    {.name = NULL},
};

static const lithops_storage_ops swift_ops = {
    .open = swift_open,
    .close = swift_close,
    .put = lithops__swift_put,
    .put_new = lithops__swift_put_new,
    .upload_begin = lithops__swift_upload_begin,
    .upload_part = lithops__swift_upload_part,
    .upload_complete = lithops__swift_upload_complete,
    .upload_abort = lithops__swift_upload_abort,
    .read = swift_read,
    .end_read = swift_end_read,
    .head = swift_head,
    .list = lithops__swift_list,
    .del = lithops__swift_del,
    .del_many = lithops__swift_del_many,
    .make_bucket = lithops__swift_make_bucket,
    .describe = lithops__swift_describe,
    .copy = lithops__swift_copy,
};

const lithops_storage_driver lithops__storage_swift = {
    .abi = LITHOPS_STORAGE_ABI,
    .name = "swift",
    .summary = "OpenStack Swift.",
    .caps = LITHOPS_STORAGE_PARALLEL_READS,
    .state_size = sizeof(struct lithops__swift),
    .ops = &swift_ops,
    .config_keys = swift_keys,
};
