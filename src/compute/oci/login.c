/* SPDX-License-Identifier: Apache-2.0 */
/* Who one is at a registry, as docker and podman note it:
 *
 *     {"auths": {"REGISTRY": {"auth": base64 of USER:PASSWORD}},
 *      "credHelpers": {"REGISTRY": HELPER}, "credsStore": HELPER}
 *
 * A helper is a program docker-credential-HELPER, which is asked. */
#include "base/error.h"
#include "base/program_output.h"
#include "compute/oci/oci.h"
#include "net/aws_profile.h"
#include "net/credentials.h"
#include "net/sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, MOST_BYTES = 64 << 10 };

static const char *text_at(const lithops_value *map, const char *key)
{
    const char *text = lithops_value_get_string(lithops_value_get(map, key));
    return text && *text ? text : NULL;
}

/* What is noted under the registry, by any of the names that it has there. */
static const lithops_value *find(const lithops_value *map, const char *registry)
{
    static const char *const formats[] = {"%s", "https://%s", "https://%s/v1/", "https://%s/v2/"};
    const char *names[] = {registry, "index.docker.io"};
    char key[LITHOPS__OCI_NAME + 32];
    for (size_t i = 0; i < (strcmp(registry, "docker.io") == 0 ? 2 : 1); i++)
        for (size_t k = 0; k < sizeof formats / sizeof *formats; k++) {
            snprintf(key, sizeof key, formats[k], names[i]);
            const lithops_value *found = lithops_value_get(map, key);
            if (found)
                return found;
        }
    return NULL;
}

static int encode(const char *user, const char *password, char **ret_basic, lithops_error *err)
{
    char *text = NULL;
    if (asprintf(&text, "%s:%s", user, password) < 0)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    size_t len = strlen(text);
    *ret_basic = malloc(4 * (len / 3) + 5);
    if (*ret_basic)
        lithops__base64((const unsigned char *)text, len, *ret_basic);
    lithops__secret_free(text);
    return *ret_basic ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
}

/* Helpers read the registry from standard input. */
static int ask(const char *helper, const char *registry, char **ret_basic, bool *has_token,
               lithops_error *err)
{
    const char *const words[] = {
        "sh",
        "-c",
        "printf %s \"$1\" | docker-credential-\"$2\" get 2>/dev/null || echo '{}'",
        "sh",
        strcmp(registry, "docker.io") == 0 ? "https://index.docker.io/v1/" : registry,
        helper,
        NULL};
    const struct lithops__bounds bounds = {.deadline_ns = UINT64_MAX};
    size_t len = 0;
    char *text = malloc(MOST_BYTES);
    int rc = text ? lithops__program_output((char *const *)(uintptr_t)words, environ, &bounds, text,
                                            MOST_BYTES, &len, err)
                  : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    lithops_value *answer = rc == 0 ? lithops_value_from_json(text, len, NULL) : NULL;
    const char *user = text_at(answer, "Username"), *password = text_at(answer, "Secret");
    bool is_token = user && strcmp(user, "<token>") == 0;
    *has_token = *has_token || is_token;
    if (rc == 0 && user && password && !is_token)
        rc = encode(user, password, ret_basic, err);
    lithops_value_free(answer);
    if (text)
        explicit_bzero(text, MOST_BYTES);
    free(text);
    return rc;
}

static int read_login(const char *path, const char *registry, char **ret_basic, bool *has_token,
                      lithops_error *err)
{
    char *text = lithops__read_small_file(path);
    if (!text)
        return 0;
    lithops_value *file = lithops_value_from_json(text, strlen(text), NULL);
    lithops__secret_free(text);
    if (lithops_value_type(file) != LITHOPS_MAP) {
        lithops_value_free(file);
        return lithops__fail(err, LITHOPS_ECONFIG, "'%s' is not JSON, as docker writes it", path);
    }
    int rc = 0;
    const lithops_value *noted = find(lithops_value_get(file, "auths"), registry);
    const char *auth = text_at(noted, "auth");
    const char *helper =
        lithops_value_get_string(find(lithops_value_get(file, "credHelpers"), registry));
    if (!helper && !auth && !text_at(noted, "identitytoken"))
        helper = text_at(file, "credsStore");
    if (helper)
        rc = ask(helper, registry, ret_basic, has_token, err);
    else if (text_at(noted, "identitytoken"))
        *has_token = true; /* what is in "auth" has no password */
    else if (auth && !(*ret_basic = strdup(auth)))
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    lithops_value_free(file);
    return rc;
}

int lithops__oci_login(const char *registry, char **ret_basic, lithops_error *err)
{
    const char *docker = getenv("DOCKER_CONFIG"), *home = getenv("HOME"),
               *own = getenv("REGISTRY_AUTH_FILE"), *run = getenv("XDG_RUNTIME_DIR");
    char paths[3][PATH_BYTES] = {"", "", ""};
    *ret_basic = NULL;
    if (own)
        snprintf(paths[0], sizeof paths[0], "%s", own);
    if (docker || home)
        snprintf(paths[1], sizeof paths[1], "%s%s/config.json", docker ? docker : home,
                 docker ? "" : "/.docker");
    if (run)
        snprintf(paths[2], sizeof paths[2], "%s/containers/auth.json", run);
    bool has_token = false;
    int rc = 0;
    for (size_t i = 0; rc == 0 && !*ret_basic && i < 3; i++)
        if (paths[i][0])
            rc = read_login(paths[i], registry, ret_basic, &has_token, err);
    if (rc == 0 && !*ret_basic && has_token)
        rc = lithops__fail(err, LITHOPS_EUNSUPPORTED,
                           "what is noted for %s is an identity token, and a user and a password "
                           "are needed: 'podman login %s' notes them",
                           registry, registry);
    return rc;
}
