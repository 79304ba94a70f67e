/* SPDX-License-Identifier: Apache-2.0 */
#include "net/aws_chain.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

enum { ROLES_MAX = 5, REGION_SIZE = 64 }; /* profiles that refer to each other */

struct chain {
    const struct lithops__transfer_api *http;
    const struct lithops__crypto_api *crypto;
    char region[REGION_SIZE];
};

static const char *profile_name(void)
{
    const char *named = lithops__environment("AWS_PROFILE");
    named = named ? named : lithops__environment("AWS_DEFAULT_PROFILE");
    return named ? named : "default";
}

static int fail_memory(lithops_error *err)
{
    return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for credentials");
}

bool lithops__aws_region(char *ret_region, size_t size)
{
    struct lithops__aws_profile profile = {.found = false};
    const char *region = lithops__environment("AWS_REGION");
    region = region ? region : lithops__environment("AWS_DEFAULT_REGION");
    if (!region && lithops__aws_profile_read(profile_name(), &profile))
        region = profile.region;
    bool good = region && strlen(region) < size;
    if (good)
        snprintf(ret_region, size, "%s", region);
    lithops__aws_profile_deinit(&profile);
    return good;
}

/* ---- sources --------------------------------------------------------------------------------- */

static bool has_environment(void)
{
    return lithops__environment("AWS_ACCESS_KEY_ID") &&
           lithops__environment("AWS_SECRET_ACCESS_KEY");
}

static int keep_keys(const char *access_key, const char *secret_key, const char *token,
                     struct lithops__credentials *ret_credentials, lithops_error *err)
{
    const struct lithops__credentials keys = {.access_key = (char *)access_key,
                                              .secret_key = (char *)secret_key,
                                              .session_token = (char *)token};
    return lithops__credentials_copy(&keys, ret_credentials) ? 0 : fail_memory(err);
}

static int from_environment(struct lithops__credentials *ret_credentials, lithops_error *err)
{
    return keep_keys(lithops__environment("AWS_ACCESS_KEY_ID"),
                     lithops__environment("AWS_SECRET_ACCESS_KEY"),
                     lithops__environment("AWS_SESSION_TOKEN"), ret_credentials, err);
}

static bool has_keys(const struct lithops__aws_profile *profile)
{
    return profile->access_key && profile->secret_key;
}

static bool has_sso(const struct lithops__aws_profile *profile)
{
    return profile->sso_session || profile->sso_start_url;
}

static const char *web_identity_file(const struct lithops__aws_profile *profile,
                                     const char **ret_arn)
{
    const char *file = lithops__environment("AWS_WEB_IDENTITY_TOKEN_FILE");
    *ret_arn = lithops__environment("AWS_ROLE_ARN");
    if (file && *ret_arn)
        return file;
    *ret_arn = profile->role_arn;
    return profile->role_arn ? profile->web_identity_token_file : NULL;
}

static int from_profile(const struct lithops__aws_context *context, const char *name,
                        unsigned depth, struct lithops__credentials *ret_credentials,
                        lithops_error *err);

/* The credentials that assume the profile's role. */
static int of_source(const struct lithops__aws_context *context, const char *name,
                     const struct lithops__aws_profile *profile, unsigned depth,
                     struct lithops__credentials *ret_credentials, lithops_error *err)
{
    const char *source = profile->credential_source;
    if (profile->source_profile && strcmp(profile->source_profile, name) == 0 && has_keys(profile))
        return keep_keys(profile->access_key, profile->secret_key, profile->session_token,
                         ret_credentials, err);
    if (profile->source_profile && depth + 1 < ROLES_MAX)
        return from_profile(context, profile->source_profile, depth + 1, ret_credentials, err);
    if (profile->source_profile)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "the profiles from '%s' on refer to each other by source_profile; one "
                             "of them needs keys",
                             name);
    if (strcmp(source, "Environment") == 0 && has_environment())
        return from_environment(ret_credentials, err);
    if (strcmp(source, "EcsContainer") == 0 && lithops__aws_is_container())
        return lithops__aws_container(context, ret_credentials, err);
    if (strcmp(source, "Ec2InstanceMetadata") == 0)
        return lithops__aws_instance(context, ret_credentials, err);
    return lithops__fail(err, LITHOPS_ECONFIG,
                         "credential_source '%s' of the profile '%s' gives no credentials here; it "
                         "is Environment, EcsContainer or Ec2InstanceMetadata",
                         source, name);
}

static int by_role(const struct lithops__aws_context *context, const char *name,
                   const struct lithops__aws_profile *profile, unsigned depth,
                   struct lithops__credentials *ret_credentials, lithops_error *err)
{
    const struct lithops__aws_role role = {.arn = profile->role_arn,
                                           .session_name = profile->role_session_name,
                                           .external_id = profile->external_id,
                                           .duration_seconds = profile->duration_seconds};
    struct lithops__credentials by = {.expires = 0};
    int rc = of_source(context, name, profile, depth, &by, err);
    if (rc == 0)
        rc = lithops__aws_assume_role(context, &role, &by, ret_credentials, err);
    lithops__credentials_deinit(&by);
    return rc;
}

static int by_web_identity(const struct lithops__aws_context *context,
                           const struct lithops__aws_profile *profile, const char *file,
                           const char *arn, struct lithops__credentials *ret_credentials,
                           lithops_error *err)
{
    const char *session = lithops__environment("AWS_ROLE_SESSION_NAME");
    const struct lithops__aws_role role = {
        .arn = arn, .session_name = session ? session : profile->role_session_name};
    return lithops__aws_web_identity(context, &role, file, ret_credentials, err);
}

/* One that assumes a role of this profile by other credentials. */
static bool has_role(const struct lithops__aws_profile *profile)
{
    return profile->role_arn && (profile->source_profile || profile->credential_source);
}

/* @param depth  how many profiles have referred to this one */
static int use_profile(const struct lithops__aws_context *context, const char *name,
                       struct lithops__aws_profile *profile, unsigned depth,
                       struct lithops__credentials *ret_credentials, lithops_error *err)
{
    const char *arn = profile->role_arn, *file = profile->web_identity_token_file;
    if (has_role(profile))
        return by_role(context, name, profile, depth, ret_credentials, err);
    if (depth == 0)
        file = web_identity_file(profile, &arn);
    if (file && arn)
        return by_web_identity(context, profile, file, arn, ret_credentials, err);
    if (has_sso(profile))
        return lithops__aws_sso(context, profile, ret_credentials, err);
    if (has_keys(profile))
        return keep_keys(profile->access_key, profile->secret_key, profile->session_token,
                         ret_credentials, err);
    if (profile->credential_process)
        return lithops__aws_process(context, profile->credential_process, ret_credentials, err);
    return lithops__fail(err, LITHOPS_ENOTFOUND, "the profile '%s' has no credentials", name);
}

/* A login of SSO may be described in a section of its own. */
static bool add_session(struct lithops__aws_profile *profile)
{
    if (!profile->sso_session)
        return true;
    const char *named = lithops__environment("AWS_CONFIG_FILE");
    char *path = named ? strdup(named) : lithops__aws_home_file("config");
    char *text = path ? lithops__read_small_file(path) : NULL;
    bool good =
        !text || lithops__aws_session_parse(text, strlen(text), profile->sso_session, profile);
    lithops__secret_free(text);
    free(path);
    return good;
}

static int from_profile(const struct lithops__aws_context *context, const char *name,
                        unsigned depth, struct lithops__credentials *ret_credentials,
                        lithops_error *err)
{
    struct lithops__aws_profile profile = {.found = false};
    int rc;
    if (!lithops__aws_profile_read(name, &profile) || !add_session(&profile))
        rc = fail_memory(err);
    else if (!profile.found && (depth > 0 || strcmp(name, "default") != 0))
        rc =
            lithops__fail(err, LITHOPS_ECONFIG,
                          "there is no profile '%s' in ~/.aws/config and ~/.aws/credentials", name);
    else
        rc = use_profile(context, name, &profile, depth, ret_credentials, err);
    lithops__aws_profile_deinit(&profile);
    return rc;
}

/* ---- the chain ------------------------------------------------------------------------------- */

static int fail_none(lithops_error *err)
{
    return lithops__fail(err, LITHOPS_ECONFIG,
                         "no credentials of AWS: set access_key_id and secret_access_key in the "
                         "section, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in "
                         "~/.aws/credentials");
}

static int fetch(void *user, const struct lithops__bounds *bounds,
                 struct lithops__credentials *ret_credentials, lithops_error *err)
{
    const struct chain *chain = user;
    const struct lithops__aws_context context = {
        .http = chain->http, .crypto = chain->crypto, .region = chain->region, .bounds = *bounds};
    if (has_environment())
        return from_environment(ret_credentials, err);
    int rc = from_profile(&context, profile_name(), 0, ret_credentials, err);
    if (rc != LITHOPS_ENOTFOUND)
        return rc;
    if (lithops__aws_is_container())
        return lithops__aws_container(&context, ret_credentials, err);
    if (lithops__aws_may_be_instance())
        rc = lithops__aws_instance(&context, ret_credentials, err);
    return rc == LITHOPS_EBACKEND || rc == LITHOPS_ENOTFOUND ? fail_none(err) : rc;
}

/* Whether a source is there to be asked, as far as that is known without asking. */
static int look(lithops_error *err)
{
    const char *arn;
    struct lithops__aws_profile profile = {.found = false};
    if (has_environment())
        return 0;
    if (!lithops__aws_profile_read(profile_name(), &profile)) {
        lithops__aws_profile_deinit(&profile);
        return fail_memory(err);
    }
    bool named = strcmp(profile_name(), "default") != 0;
    bool some = has_role(&profile) || web_identity_file(&profile, &arn) || has_sso(&profile) ||
                has_keys(&profile) || profile.credential_process || lithops__aws_is_container() ||
                lithops__aws_may_be_instance();
    int rc = 0;
    if (named && !profile.found)
        rc = lithops__fail(err, LITHOPS_ECONFIG,
                           "there is no profile '%s', which AWS_PROFILE names, in ~/.aws/config "
                           "and ~/.aws/credentials",
                           profile_name());
    else if (!some)
        rc = fail_none(err);
    lithops__aws_profile_deinit(&profile);
    return rc;
}

int lithops__aws_chain_open(const struct lithops__transfer_api *http,
                            const struct lithops__crypto_api *crypto, const char *region,
                            struct lithops__credential_store **ret_store, lithops_error *err)
{
    int rc = look(err);
    if (rc)
        return rc;
    struct chain *chain = calloc(1, sizeof *chain);
    if (!chain)
        return fail_memory(err);
    chain->http = http;
    chain->crypto = crypto;
    if (strlen(region) < sizeof chain->region)
        snprintf(chain->region, sizeof chain->region, "%s", region);
    if (!chain->region[0])
        lithops__aws_region(chain->region, sizeof chain->region);
    const struct lithops__credential_source source = {.fetch = fetch, .close = free, .user = chain};
    *ret_store = lithops__credential_store_new(&source);
    return *ret_store ? 0 : fail_memory(err);
}
