/* SPDX-License-Identifier: Apache-2.0 */
/* AWS SSO (IAM Identity Center): `aws sso login` leaves a token in ~/.aws/sso/cache, for which the
 * portal gives credentials of a role.
 *
 * The token lasts for an hour. If the login was one of an [sso-session], the file has what it takes
 * to renew it: this is done a few minutes before it expires, and the file is replaced, for AWS's
 * tools use it as well. Another process may do the same at the same moment, after which our
 * refresh token may be void: so after a failure the file is read again. */
#include "base/buffer.h"
#include "base/error.h"
#include "net/aws_json.h"
#include "net/sign.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { RENEW_S = 300 };

/* The file is named by the SHA-1 of the session's name, or of the start URL of a profile without
 * one. The caller frees it. */
static char *cache_path(const struct lithops__aws_context *context,
                        const struct lithops__aws_profile *profile)
{
    const char *key = profile->sso_session ? profile->sso_session : profile->sso_start_url;
    unsigned char hash[LITHOPS__SHA1_BYTES];
    char name[64] = "sso/cache/";
    if (context->crypto->sha1((lithops_bytes){key, strlen(key)}, hash) != 0)
        return NULL;
    for (size_t i = 0; i < sizeof hash; i++)
        snprintf(name + strlen(name), 3, "%02x", hash[i]);
    strncat(name, ".json", sizeof name - strlen(name) - 1);
    return lithops__aws_home_file(name);
}

static lithops_value *read_cache(const char *path)
{
    char *text = lithops__read_small_file(path);
    lithops_value *cache = text ? lithops_value_from_json(text, strlen(text), NULL) : NULL;
    lithops__secret_free(text);
    return cache;
}

static const char *text_of(const lithops_value *cache, const char *name)
{
    const char *text = lithops_value_get_string(lithops_value_get(cache, name));
    return text && *text ? text : NULL;
}

static double left_s(const lithops_value *cache)
{
    double expires = lithops__aws_time(lithops_value_get(cache, "expiresAt"));
    return expires > 0 ? expires - (double)time(NULL) : RENEW_S + 1;
}

/* ---- renewing -------------------------------------------------------------------------------- */

static bool can_renew(const struct lithops__aws_profile *profile, const lithops_value *cache)
{
    double until = lithops__aws_time(lithops_value_get(cache, "registrationExpiresAt"));
    return profile->sso_session && text_of(cache, "refreshToken") && text_of(cache, "clientId") &&
           text_of(cache, "clientSecret") && (until == 0 || until > (double)time(NULL));
}

/* What is asked for, which lithops__document_free() wipes. */
static char *question(const lithops_value *cache)
{
    char *text = NULL;
    lithops_value *map =
        lithops_pack("{s:s,s:s,s:s,s:s}", "grantType", "refresh_token", "clientId",
                     text_of(cache, "clientId"), "clientSecret", text_of(cache, "clientSecret"),
                     "refreshToken", text_of(cache, "refreshToken"));
    if (map)
        lithops_value_to_json(map, &text, NULL);
    lithops_value_free(map);
    return text;
}

static bool set_text(lithops_value *cache, const char *name, const char *text)
{
    return lithops_value_set(cache, name, lithops_value_string(text)) == 0;
}

/* Put the answer into the cache. */
static bool take_answer(lithops_value *cache, const char *answer)
{
    lithops_value *map = lithops_value_from_json(answer, strlen(answer), NULL);
    const char *token = text_of(map, "accessToken"), *refresh = text_of(map, "refreshToken");
    int64_t lasts_s = lithops_value_get_int(lithops_value_get(map, "expiresIn"));
    time_t until = time(NULL) + (time_t)lasts_s;
    char date[32] = "";
    struct tm parts;
    bool good = token && lasts_s > 0 && gmtime_r(&until, &parts) &&
                strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &parts) > 0 &&
                set_text(cache, "accessToken", token) && set_text(cache, "expiresAt", date) &&
                (!refresh || set_text(cache, "refreshToken", refresh));
    lithops_value_free(map);
    return good;
}

/* Replace the file. If that fails, the token is good all the same, for this process. */
static void write_cache(const char *path, const lithops_value *cache)
{
    char *text = NULL, *part = NULL;
    struct lithops__buffer name = LITHOPS__BUFFER_INIT;
    lithops__buffer_printf(&name, "%s.XXXXXX", path);
    part = lithops__buffer_steal(&name);
    if (part && lithops_value_to_json(cache, &text, NULL) == 0) {
        int fd = mkostemp(part, O_CLOEXEC); /* mode 0600 */
        size_t len = strlen(text);
        bool good = fd >= 0 && write(fd, text, len) == (ssize_t)len;
        good = fd >= 0 && close(fd) == 0 && good && rename(part, path) == 0;
        if (fd >= 0 && !good)
            unlink(part);
    }
    lithops__secret_free(text);
    free(part);
}

static int renew(const struct lithops__aws_context *context,
                 const struct lithops__aws_profile *profile, lithops_value *cache,
                 lithops_error *err)
{
    static const char *const headers[] = {"content-type: application/json", NULL};
    const char *named = lithops__environment("AWS_ENDPOINT_URL_SSO_OIDC");
    struct lithops__buffer text = LITHOPS__BUFFER_INIT;
    if (named)
        lithops__buffer_printf(&text, "%s/token", named);
    else
        lithops__buffer_printf(&text, "https://oidc.%s.amazonaws.com/token", profile->sso_region);
    char *url = lithops__buffer_steal(&text), *body = question(cache), *answer = NULL;
    const struct lithops__fetch fetch = {.http = context->http,
                                         .bounds = context->bounds,
                                         .method = "POST",
                                         .url = url,
                                         .headers = headers,
                                         .body = body};
    long status = 0;
    int rc =
        url && body ? lithops__fetch(&fetch, &status, &answer, err) : lithops__aws_fail_memory(err);
    if (rc == 0 && status != 200)
        rc = lithops__fail(err, LITHOPS_EDENIED,
                           "the login of AWS SSO cannot be renewed (HTTP %ld); run `aws sso login`",
                           status);
    else if (rc == 0 && !take_answer(cache, answer))
        rc = lithops__fail(err, LITHOPS_EBACKEND,
                           "the answer of AWS SSO to a renewed login cannot be read");
    lithops__document_free(answer);
    lithops__document_free(body);
    free(url);
    return rc;
}

/* A token that is valid, renewed if need be; the caller frees it. */
static int find_token(const struct lithops__aws_context *context,
                      const struct lithops__aws_profile *profile, char **ret_token,
                      lithops_error *err)
{
    char *path = cache_path(context, profile);
    lithops_value *cache = path ? read_cache(path) : NULL;
    bool is_there = cache && text_of(cache, "accessToken");
    int rc = is_there ? 0
                      : lithops__fail(err, LITHOPS_EDENIED,
                                      "the login of AWS SSO is missing; run `aws sso login`");
    if (is_there && left_s(cache) <= RENEW_S && can_renew(profile, cache)) {
        rc = renew(context, profile, cache, err);
        if (rc == 0) {
            write_cache(path, cache);
        } else {
            lithops_value_free(cache);
            cache = read_cache(path);
        }
    }
    if (is_there && cache && left_s(cache) > 0)
        rc = (*ret_token = lithops__aws_copied(cache, "accessToken"))
                 ? 0
                 : lithops__aws_fail_memory(err);
    else if (rc == 0)
        rc = lithops__fail(err, LITHOPS_EDENIED,
                           "the login of AWS SSO has expired; run `aws sso login`");
    lithops_value_free(cache);
    free(path);
    return rc;
}

/* ---- the portal ------------------------------------------------------------------------------ */

static char *sso_url(const struct lithops__aws_profile *profile)
{
    const char *named = lithops__environment("AWS_ENDPOINT_URL_SSO");
    struct lithops__buffer url = LITHOPS__BUFFER_INIT;
    if (named)
        lithops__buffer_append_string(&url, named);
    else
        lithops__buffer_printf(&url, "https://portal.sso.%s.amazonaws.com", profile->sso_region);
    lithops__buffer_append_string(&url, "/federation/credentials?role_name=");
    lithops__url_encode(&url, profile->sso_role_name, strlen(profile->sso_role_name), false);
    lithops__buffer_append_string(&url, "&account_id=");
    lithops__url_encode(&url, profile->sso_account_id, strlen(profile->sso_account_id), false);
    return lithops__buffer_steal(&url);
}

static int ask_sso(const struct lithops__aws_context *context,
                   const struct lithops__aws_profile *profile, const char *token,
                   struct lithops__credentials *ret_credentials, lithops_error *err)
{
    static const struct lithops__aws_names names = {"accessKeyId", "secretAccessKey",
                                                    "sessionToken", "expiration"};
    struct lithops__buffer header = LITHOPS__BUFFER_INIT;
    lithops__buffer_printf(&header, "x-amz-sso_bearer_token: %s", token);
    char *text = lithops__buffer_steal(&header), *url = sso_url(profile);
    const char *headers[] = {text, NULL};
    lithops_value *document;
    int rc = text && url
                 ? lithops__aws_get_json(context, url, headers, 3, "AWS SSO", &document, err)
                 : lithops__aws_fail_memory(err);
    if (rc == 0) {
        rc = lithops__aws_read_json(lithops_value_get(document, "roleCredentials"), &names,
                                    "AWS SSO", ret_credentials, err);
        lithops_value_free(document);
    } else if (rc == LITHOPS_EDENIED) {
        lithops__fail(err, rc,
                      "AWS SSO gives no credentials of the role '%s' in account %s; run `aws sso "
                      "login`, or check both",
                      profile->sso_role_name, profile->sso_account_id);
    }
    lithops__secret_free(text);
    free(url);
    return rc;
}

int lithops__aws_sso(const struct lithops__aws_context *context,
                     const struct lithops__aws_profile *profile,
                     struct lithops__credentials *ret_credentials, lithops_error *err)
{
    if (!profile->sso_region || !profile->sso_account_id || !profile->sso_role_name ||
        !(profile->sso_session || profile->sso_start_url))
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "the profile lacks one of sso_start_url, sso_region, sso_account_id "
                             "and sso_role_name; run `aws configure sso`");
    char *token = NULL;
    int rc = find_token(context, profile, &token, err);
    if (rc == 0)
        rc = ask_sso(context, profile, token, ret_credentials, err);
    lithops__secret_free(token);
    return rc;
}
