/* SPDX-License-Identifier: Apache-2.0 */
/* The object stores that speak S3's protocol, as rows of a table; opening one.
 *
 * Settings are named as in upstream. Secrets are never logged. If the section aws_s3 has no keys,
 * they come from where AWS's tools find them, see net/aws_chain.h. */
#include "base/buffer.h"
#include "base/error.h"
#include "base/module.h"
#include "net/aws_chain.h"
#include "net/oauth.h"
#include "storage/backends/s3/s3.h"
#include "storage/storage.h"

#include <lithops/plugin/config.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct lithops__s3_dialect dialects[] = {
    {.section = "aws_s3",
     .new_header = "if-none-match: *",
     .endpoint = "https://s3.%s.amazonaws.com",
     .endpoint_key = "endpoint",
     .secret_name = "secret_access_key",
     .virtual_host = true,
     .aws_credentials = true,
     .sends_location = true},
    {.section = "minio",
     .new_header = "if-none-match: *",
     .endpoint_key = "endpoint",
     .default_region = "us-east-1",
     .secret_name = "secret_access_key"},
    {.section = "ceph",
     .new_header = "if-none-match: *",
     .endpoint_key = "endpoint",
     .default_region = "us-east-1",
     .secret_name = "secret_access_key"},
    {.section = "ibm_cos",
     .new_header = "if-none-match: *",
     .endpoint = "https://s3.%s.cloud-object-storage.appdomain.cloud",
     .endpoint_key = "endpoint",
     .default_region = "us-standard",
     .secret_name = "secret_access_key",
     .ibm_credentials = true},
    {.section = "gcp_storage",
     .endpoint = "https://storage.googleapis.com",
     .endpoint_key = "endpoint",
     .default_region = "auto",
     .secret_name = "secret_access_key",
     .google_credentials = true},
    {.section = "aliyun_oss",
     .endpoint = "https://s3.oss-%s.aliyuncs.com",
     .endpoint_key = "public_endpoint",
     .secret_name = "access_key_secret",
     .virtual_host = true},
    {.section = "oracle_oss",
     .new_header = "if-none-match: *",
     .endpoint_key = "endpoint",
     .default_region = "us-ashburn-1",
     .secret_name = "secret_access_key"},
};

static const char *setting(const lithops_value *settings, const char *name)
{
    const char *text = lithops_value_get_string(lithops_value_get(settings, name));
    return text && *text ? text : NULL;
}

/* ---- credentials ----------------------------------------------------------------------------- */

static bool keep(char **kept, const char *text)
{
    return !text || (*kept = strdup(text)) != NULL;
}

static int fail_memory(const lithops_storage_op *op)
{
    return lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a storage handle");
}

static int use_keys(struct lithops__s3 *s3, const char *access_key, const char *secret_key,
                    const lithops_value *settings, const lithops_storage_op *op)
{
    if (strpbrk(access_key, "\r\n"))
        return lithops__fail(op->err, LITHOPS_ECONFIG,
                             "the access key of '%s' has a line break in "
                             "it",
                             s3->dialect->section);
    s3->credentials =
        lithops__credential_store_of(access_key, secret_key, setting(settings, "session_token"));
    return s3->credentials ? 0 : fail_memory(op);
}

/* A token of Google: their servers know x-goog headers with it, and want to know the project. */
static int use_google(struct lithops__s3 *s3, const char *path, const lithops_storage_op *op)
{
    char *project = NULL;
    int rc = lithops__google_open(s3->http, s3->crypto, path, LITHOPS__GOOGLE_STORAGE,
                                  &s3->credentials, &project, op->err);
    if (rc)
        return rc;
    struct lithops__buffer header = LITHOPS__BUFFER_INIT;
    lithops__buffer_printf(&header, "x-goog-project-id: %s", project ? project : "");
    if (project && !(s3->new_bucket_header = lithops__buffer_steal(&header)))
        rc = fail_memory(op);
    lithops__buffer_deinit(&header);
    free(project);
    s3->new_object_header = "x-goog-if-generation-match: 0";
    return rc;
}

static int use_ibm(struct lithops__s3 *s3, const char *api_key, const lithops_value *settings,
                   const lithops_storage_op *op)
{
    return lithops__ibm_open(s3->http, api_key, setting(settings, "iam_endpoint"), &s3->credentials,
                             op->err);
}

static int add_instance(struct lithops__s3 *s3, const char *id, const lithops_storage_op *op)
{
    struct lithops__buffer header = LITHOPS__BUFFER_INIT;
    lithops__buffer_printf(&header, "ibm-service-instance-id: %s", id);
    s3->new_bucket_header = lithops__buffer_steal(&header);
    return s3->new_bucket_header ? 0 : fail_memory(op);
}

static int find_credentials(struct lithops__s3 *s3, const lithops_value *settings,
                            const lithops_storage_op *op)
{
    const struct lithops__s3_dialect *dialect = s3->dialect;
    const char *access_key = setting(settings, "access_key_id"),
               *secret_key = setting(settings, dialect->secret_name),
               *path = dialect->google_credentials ? setting(settings, "credentials_path") : NULL,
               *api_key = dialect->ibm_credentials ? setting(settings, "iam_api_key") : NULL,
               *instance =
                   dialect->ibm_credentials ? setting(settings, "service_instance_id") : NULL;
    if (!path && dialect->google_credentials)
        path = lithops__environment("GOOGLE_APPLICATION_CREDENTIALS");
    if (!api_key && dialect->ibm_credentials)
        api_key = setting(settings, "api_key");
    int rc = instance ? add_instance(s3, instance, op) : 0;
    if (rc)
        return rc;
    if (access_key && secret_key)
        return use_keys(s3, access_key, secret_key, settings, op);
    if (path)
        return use_google(s3, path, op);
    if (api_key)
        return use_ibm(s3, api_key, settings, op);
    if (dialect->aws_credentials && !access_key && !secret_key)
        return lithops__aws_chain_open(s3->http, s3->crypto, s3->region, &s3->credentials, op->err);
    return lithops__fail(op->err, LITHOPS_ECONFIG,
                         "storage backend '%s' needs access_key_id and %s%s; set them in its "
                         "section",
                         dialect->section, dialect->secret_name,
                         dialect->google_credentials ? ", or credentials_path"
                         : dialect->ibm_credentials  ? ", or iam_api_key"
                                                     : "");
}

/* ---- opening --------------------------------------------------------------------------------- */

static int check(const struct lithops__s3 *s3, const lithops_storage_op *op)
{
    const char *section = s3->dialect->section;
    if (!s3->endpoint && !s3->dialect->endpoint)
        return lithops__fail(op->err, LITHOPS_ECONFIG,
                             "storage backend '%s' needs an endpoint; set it in its section, as in "
                             "https://host:9000",
                             section);
    if (!s3->region[0])
        return lithops__fail(op->err, LITHOPS_ECONFIG,
                             "storage backend '%s' needs a region; set it in its section", section);
    if (s3->endpoint && strncmp(s3->endpoint, "http://", 7) != 0 &&
        strncmp(s3->endpoint, "https://", 8) != 0)
        return lithops__fail(op->err, LITHOPS_ECONFIG,
                             "the endpoint of '%s' must begin with http:// or https://", section);
    if (strpbrk(s3->region, "\r\n/"))
        return lithops__fail(op->err, LITHOPS_ECONFIG,
                             "the region of '%s' contains an invalid character", section);
    return 0;
}

/* For some stores, upstream's files give only the host; default ports are not in the header
 * "Host". */
static bool keep_endpoint(struct lithops__s3 *s3, const char *text)
{
    if (!text)
        return true;
    bool bare = !strstr(text, "://");
    struct lithops__buffer endpoint = LITHOPS__BUFFER_INIT;
    size_t len = strlen(text);
    while (len && text[len - 1] == '/')
        len--;
    lithops__buffer_printf(&endpoint, "%s%.*s", bare ? "https://" : "", (int)len, text);
    s3->endpoint = lithops__buffer_steal(&endpoint);
    return s3->endpoint != NULL;
}

int lithops__s3_open(void *state, const struct lithops__s3_dialect *dialect,
                     const lithops_value *settings, const lithops_storage_op *op)
{
    struct lithops__s3 *s3 = state;
    s3->dialect = dialect;
    pthread_mutex_init(&s3->lock, NULL);
    if (lithops__web_init(&s3->web, dialect->section, lithops__s3_ask, s3, op->err) != 0)
        return LITHOPS_EUNSUPPORTED;
    s3->crypto = lithops__module_symbol("crypto", "lithops__crypto", op->err);
    if (!s3->crypto)
        return LITHOPS_EUNSUPPORTED;
    s3->http = s3->web.http;
    const char *region = setting(settings, "region");
    region = region ? region : setting(settings, "region_name");
    if (region && strlen(region) < sizeof s3->region)
        snprintf(s3->region, sizeof s3->region, "%s", region);
    const char *endpoint = setting(settings, dialect->endpoint_key);
    if (!endpoint && dialect->aws_credentials)
        endpoint = lithops__environment("AWS_ENDPOINT_URL_S3");
    if (!endpoint && dialect->aws_credentials)
        endpoint = lithops__environment("AWS_ENDPOINT_URL");
    const char *style = setting(settings, "addressing_style");
    s3->virtual_host = style ? strcmp(style, "virtual") == 0 : dialect->virtual_host && !endpoint;
    if (!keep_endpoint(s3, endpoint) || !keep(&s3->bucket, setting(settings, "storage_bucket")))
        return fail_memory(op);
    if (!s3->region[0] && dialect->aws_credentials)
        lithops__aws_region(s3->region, sizeof s3->region);
    s3->new_object_header = dialect->new_header;
    const char *validation = lithops__environment("AWS_RESPONSE_CHECKSUM_VALIDATION");
    s3->web.checks = !validation || strcasecmp(validation, "when_required") != 0;
    int rc = find_credentials(s3, settings, op);
    if (rc)
        return rc;
    if (!s3->region[0] && (dialect->default_region || s3->endpoint))
        snprintf(s3->region, sizeof s3->region, "%s",
                 dialect->default_region ? dialect->default_region : "us-east-1");
    return check(s3, op);
}

void lithops__s3_close(void *state)
{
    struct lithops__s3 *s3 = state;
    lithops__web_deinit(&s3->web);
    pthread_mutex_destroy(&s3->lock);
    free(s3->endpoint);
    free(s3->bucket);
    free(s3->new_bucket_header);
    lithops__credential_store_free(s3->credentials);
}

/* ---- keys ------------------------------------------------------------------------------------ */

#define TEXT(name_, help_)                                                                         \
    {                                                                                              \
        .name = (name_), .type = LITHOPS_KEY_STRING, .help = (help_)                               \
    }
#define SECRET(name_, help_)                                                                       \
    {                                                                                              \
        .name = (name_), .type = LITHOPS_KEY_STRING, .secret = true, .help = (help_)               \
    }
#define INERT(name_)                                                                               \
    {                                                                                              \
        .name = (name_), .type = LITHOPS_KEY_STRING, .secret = true, .inert = true,                \
        .help =                                                                                    \
            "Of upstream's client; here the store is asked by S3's protocol, with access keys."    \
    }

#define COMMON_KEYS                                                                                \
    TEXT("storage_bucket", "Bucket for Lithops' own data. It is made when it is missing."),        \
        SECRET("session_token", "Token that belongs to temporary access keys."),                   \
    {                                                                                              \
        .name = "addressing_style", .type = LITHOPS_KEY_STRING, .choices = "path|virtual",         \
        .help = "Whether the bucket is a part of the path or of the host's name."                  \
    }
#define ACCESS_KEYS                                                                                \
    SECRET("access_key_id", "Access key."), SECRET("secret_access_key", "Secret key.")
#define ENDPOINT TEXT("endpoint", "URL of the server, as in https://host:9000.")
#define REGION TEXT("region", "Region that requests are signed for. Default: the store's.")

static const lithops_config_key aws_s3_keys[] = {
    COMMON_KEYS,
    SECRET("access_key_id", "Access key. Default: what AWS's tools would use, see storage.md."),
    SECRET("secret_access_key", "Secret key. Default: what AWS's tools would use, see storage.md."),
    TEXT("region", "Region of the buckets. Default: AWS_REGION, AWS_DEFAULT_REGION, or the "
                   "profile's."),
    TEXT("region_name", "The same, as earlier versions of upstream called it."),
    TEXT("endpoint",
         "URL of another server than Amazon's. Default: AWS_ENDPOINT_URL_S3, or AWS_ENDPOINT_URL."),
    {.name = NULL},
};
static const lithops_config_key minio_keys[] = {
    COMMON_KEYS, ACCESS_KEYS, ENDPOINT, REGION, {.name = NULL}};
static const lithops_config_key ceph_keys[] = {
    COMMON_KEYS, ACCESS_KEYS, ENDPOINT, REGION, {.name = NULL}};
static const lithops_config_key ibm_cos_keys[] = {
    COMMON_KEYS,
    ACCESS_KEYS,
    REGION,
    TEXT("endpoint", "URL of the service. Default: the public one of the region."),
    SECRET("iam_api_key", "API key of the cloud, in place of the access keys."),
    SECRET("api_key", "The same."),
    TEXT("iam_endpoint", "URL of the service that gives tokens for it. Default: "
                         "https://iam.cloud.ibm.com."),
    TEXT("service_instance_id", "Of the object storage: a bucket that is created belongs to it."),
    INERT("private_endpoint"),
    INERT("token"),
    {.name = "token_expiry_time",
     .type = LITHOPS_KEY_ANY,
     .inert = true,
     .help = "Of upstream's client, when its token expires."},
    {.name = NULL},
};
static const lithops_config_key gcp_storage_keys[] = {
    COMMON_KEYS,
    SECRET("access_key_id", "Access key of an HMAC key."),
    SECRET("secret_access_key", "Secret of an HMAC key."),
    TEXT("endpoint", "URL of the service. Default: https://storage.googleapis.com."),
    REGION,
    TEXT("credentials_path", "File with the key of a service account, in place of an HMAC key. "
                             "Default: GOOGLE_APPLICATION_CREDENTIALS."),
    {.name = NULL},
};
static const lithops_config_key aliyun_oss_keys[] = {
    COMMON_KEYS,
    SECRET("access_key_id", "Access key."),
    SECRET("access_key_secret", "Secret key."),
    TEXT("region", "Region of the buckets, as in eu-central-1."),
    TEXT("public_endpoint", "Host or URL of the service. Default: that of the region."),
    INERT("internal_endpoint"),
    {.name = NULL},
};
static const lithops_config_key oracle_oss_keys[] = {
    COMMON_KEYS,
    SECRET("access_key_id", "Access key of a customer secret key."),
    SECRET("secret_access_key", "Secret of a customer secret key."),
    TEXT("endpoint",
         "URL, as in https://<namespace>.compat.objectstorage.<region>.oraclecloud.com."),
    REGION,
    INERT("user"),
    INERT("key_file"),
    INERT("fingerprint"),
    INERT("tenancy"),
    INERT("compartment_id"),
    INERT("namespace_name"),
    {.name = NULL},
};

/* ---- drivers --------------------------------------------------------------------------------- */

/* `deletes_many`: lithops__s3_del_many, or NULL where the server has no such request. */
#define S3_DRIVER(name_, row, summary_, deletes_many)                                              \
    static int open_##name_(void *state, const lithops_value *settings,                            \
                            const lithops_storage_op *op)                                          \
    {                                                                                              \
        return lithops__s3_open(state, &dialects[row], settings, op);                              \
    }                                                                                              \
    static const lithops_storage_ops ops_##name_ = {                                               \
        .open = open_##name_,                                                                      \
        .close = lithops__s3_close,                                                                \
        .put = lithops__s3_put,                                                                    \
        .put_new = lithops__s3_put_new,                                                            \
        .upload_begin = lithops__s3_upload_begin,                                                  \
        .upload_part = lithops__s3_upload_part,                                                    \
        .upload_part_fd = lithops__s3_upload_part_fd,                                              \
        .upload_complete = lithops__s3_upload_complete,                                            \
        .upload_abort = lithops__s3_upload_abort,                                                  \
        .make_bucket = lithops__s3_make_bucket,                                                    \
        .describe = lithops__s3_describe,                                                          \
        .copy = lithops__s3_copy,                                                                  \
        .read = lithops__s3_read,                                                                  \
        .end_read = lithops__s3_end_read,                                                          \
        .head = lithops__s3_head,                                                                  \
        .list = lithops__s3_list,                                                                  \
        .del = lithops__s3_del,                                                                    \
        .del_many = (deletes_many),                                                                \
    };                                                                                             \
    const lithops_storage_driver lithops__storage_##name_ = {                                      \
        .abi = LITHOPS_STORAGE_ABI,                                                                \
        .name = #name_,                                                                            \
        .summary = (summary_),                                                                     \
        .caps = LITHOPS_STORAGE_PARALLEL_READS,                                                    \
        .state_size = sizeof(struct lithops__s3),                                                  \
        .ops = &ops_##name_,                                                                       \
        .config_keys = name_##_keys,                                                               \
    };

S3_DRIVER(aws_s3, 0, "Amazon S3.", lithops__s3_del_many)
S3_DRIVER(minio, 1, "MinIO, and other servers that speak S3's protocol.", lithops__s3_del_many)
S3_DRIVER(ceph, 2, "Ceph's object gateway.", lithops__s3_del_many)
S3_DRIVER(ibm_cos, 3, "IBM Cloud Object Storage.", lithops__s3_del_many)
S3_DRIVER(gcp_storage, 4, "Google Cloud Storage.", NULL)
S3_DRIVER(aliyun_oss, 5, "Aliyun Object Storage Service.", lithops__s3_del_many)
S3_DRIVER(oracle_oss, 6, "Oracle Object Storage, with customer secret keys.", lithops__s3_del_many)
