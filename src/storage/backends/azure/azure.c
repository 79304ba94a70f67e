/* SPDX-License-Identifier: Apache-2.0 */
/* The Azure backend: its settings, named as upstream has them, and its driver. */
#include "storage/backends/azure/azure.h"

#include "base/buffer.h"
#include "base/error.h"
#include "base/module.h"
#include "net/oauth.h"
#include "net/sign.h"
#include "storage/storage.h"

#include <lithops/plugin/config.h>

#include <stdlib.h>
#include <string.h>

static const char *text_of(const lithops_value *settings, const char *name)
{
    const char *text = lithops_value_get_string(lithops_value_get(settings, name));
    return text && *text ? text : NULL;
}

static bool keep(char **kept, const char *text)
{
    return !text || (*kept = strdup(text)) != NULL;
}

static bool keep_endpoint(struct lithops__azure *azure, const char *text)
{
    struct lithops__buffer endpoint = LITHOPS__BUFFER_INIT;
    size_t len = text ? strlen(text) : 0;
    while (len && text[len - 1] == '/')
        len--;
    if (text)
        lithops__buffer_append(&endpoint, text, len);
    else
        lithops__buffer_printf(&endpoint, "https://%s.blob.core.windows.net", azure->account);
    azure->endpoint = lithops__buffer_steal(&endpoint);
    return azure->endpoint != NULL;
}

static int check(const struct lithops__azure *azure, const lithops_storage_op *op)
{
    if (!azure->key && !azure->sas && !azure->tokens)
        return lithops__fail(op->err, LITHOPS_ECONFIG,
                             "'%s' needs storage_account_key, sas_token or token; or tenant_id, "
                             "client_id and client_secret; or managed_identity: set one in its "
                             "section",
                             azure->section);
    if (azure->key && azure->key_len == 0)
        return lithops__fail(op->err, LITHOPS_ECONFIG,
                             "storage_account_key of '%s' is not base64; copy it again",
                             azure->section);
    if (strncmp(azure->endpoint, "http://", 7) != 0 && strncmp(azure->endpoint, "https://", 8) != 0)
        return lithops__fail(op->err, LITHOPS_ECONFIG,
                             "the endpoint of '%s' must begin with http:// or https://",
                             azure->section);
    if (strpbrk(azure->account, "\r\n/"))
        return lithops__fail(op->err, LITHOPS_ECONFIG,
                             "account of '%s' contains an invalid character", azure->section);
    return 0;
}

static int azure_open(void *state, const lithops_value *settings, const lithops_storage_op *op)
{
    struct lithops__azure *azure = state;
    azure->section = azure->section ? azure->section : "azure_storage";
    if (lithops__web_init(&azure->web, "azure_storage", lithops__azure_ask, azure, op->err) != 0)
        return LITHOPS_EUNSUPPORTED;
    azure->crypto = lithops__module_symbol("crypto", "lithops__crypto", op->err);
    if (!azure->crypto)
        return LITHOPS_EUNSUPPORTED;
    const char *account = text_of(settings, "storage_account_name"),
               *sas = text_of(settings, "sas_token");
    if (!account)
        return lithops__fail(op->err, LITHOPS_ECONFIG,
                             "'%s' needs storage_account_name; set it in its section",
                             azure->section);
    if (!keep(&azure->account, account) || !keep_endpoint(azure, text_of(settings, "endpoint")) ||
        !keep(&azure->key, text_of(settings, "storage_account_key")) ||
        !keep(&azure->sas, sas && *sas == '?' ? sas + 1 : sas) ||
        !keep(&azure->bucket, text_of(settings, "storage_bucket")))
        return lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a storage handle");
    if (azure->key)
        azure->key_len = lithops__base64_decode(azure->key);
    int rc = azure->key || azure->sas
                 ? 0
                 : lithops__entra_find(azure->web.http, settings, azure->section,
                                       LITHOPS__ENTRA_STORAGE, &azure->tokens, op->err);
    return rc ? rc : check(azure, op);
}

static void forget(char *secret, size_t len)
{
    if (secret)
        explicit_bzero(secret, len);
    free(secret);
}

static void azure_close(void *state)
{
    struct lithops__azure *azure = state;
    lithops__web_deinit(&azure->web);
    forget(azure->key, azure->key_len);
    forget(azure->sas, azure->sas ? strlen(azure->sas) : 0);
    lithops__credential_store_free(azure->tokens);
    free(azure->endpoint);
    free(azure->account);
    free(azure->bucket);
}

static int azure_read(void *state, const char *bucket, const char *key,
                      lithops_storage_cursor *cursor, uint64_t offset, void *buf, size_t len,
                      size_t *ret_len, const lithops_storage_op *op)
{
    struct lithops__azure *azure = state;
    return lithops__web_read(&azure->web, bucket, key, cursor, offset, buf, len, ret_len, op);
}

static void azure_end_read(void *state, lithops_storage_cursor *cursor)
{
    lithops__web_end_read(&((struct lithops__azure *)state)->web, cursor);
}

static int azure_head(void *state, const char *bucket, const char *key,
                      lithops_object_info *ret_info, const lithops_storage_op *op)
{
    return lithops__web_head(&((struct lithops__azure *)state)->web, bucket, key, ret_info, op);
}

#define TEXT(name_, help_)                                                                         \
    {                                                                                              \
        .name = (name_), .type = LITHOPS_KEY_STRING, .help = (help_)                               \
    }
#define SECRET(name_, help_)                                                                       \
    {                                                                                              \
        .name = (name_), .type = LITHOPS_KEY_STRING, .secret = true, .help = (help_)               \
    }

static const lithops_config_key azure_keys[] = {
    TEXT("storage_bucket", "Container for Lithops' own data. It is made when it is missing."),
    TEXT("storage_account_name", "Name of the storage account."),
    SECRET("storage_account_key", "One of the account's two keys."),
    SECRET("sas_token", "In place of the key: a shared access signature, as in sv=...&sig=..."),
    SECRET("token", "In place of the key: a token of Microsoft Entra ID for "
                    "https://storage.azure.com/. It is not renewed."),
    TEXT("tenant_id",
         "In place of the key, with client_id and client_secret: where Microsoft Entra "
         "ID gives tokens, which are renewed. Default: AZURE_TENANT_ID."),
    TEXT("client_id", "Of an application, or of a managed identity. Default: AZURE_CLIENT_ID."),
    SECRET("client_secret",
           "The application's. Default: AZURE_CLIENT_SECRET; or, in its place, the "
           "token in the file AZURE_FEDERATED_TOKEN_FILE."),
    {.name = "managed_identity",
     .type = LITHOPS_KEY_BOOL,
     .fallback = "false",
     .help = "In place of the key: tokens of the identity that the machine, container or app has."},
    TEXT("endpoint", "URL of the blob service. Default: "
                     "https://<storage_account_name>.blob.core.windows.net."),
    {.name = NULL},
};

static const lithops_storage_ops azure_ops = {
    .open = azure_open,
    .close = azure_close,
    .put = lithops__azure_put,
    .put_new = lithops__azure_put_new,
    .upload_begin = lithops__azure_upload_begin,
    .upload_part = lithops__azure_upload_part,
    .upload_complete = lithops__azure_upload_complete,
    .upload_abort = lithops__azure_upload_abort,
    .read = azure_read,
    .end_read = azure_end_read,
    .head = azure_head,
    .list = lithops__azure_list,
    .del = lithops__azure_del,
    .del_many = lithops__azure_del_many,
    .make_bucket = lithops__azure_make_bucket,
    .describe = lithops__azure_describe,
    .copy = lithops__azure_copy,
};

const lithops_storage_driver lithops__storage_azure = {
    .abi = LITHOPS_STORAGE_ABI,
    .name = "azure_storage",
    .summary = "Azure Blob Storage.",
    .caps = LITHOPS_STORAGE_PARALLEL_READS,
    .state_size = sizeof(struct lithops__azure),
    .ops = &azure_ops,
    .config_keys = azure_keys,
};
