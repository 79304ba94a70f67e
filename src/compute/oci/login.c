/* SPDX-License-Identifier: Apache-2.0 */
/* Who one is at a registry, as docker and podman note it:
 *
 *     {"auths": {"REGISTRY": {"auth": base64 of USER:PASSWORD, "identitytoken": TOKEN}},
 *      "credHelpers": {"REGISTRY": HELPER}, "credsStore": HELPER}
 *
 * A helper is a program docker-credential-HELPER, which is asked; that the user is "<token>" says
 * that the secret is such a TOKEN, as `az acr login` leaves it. */
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

static int keep(const char *text, char **ret_copy, lithops_error *err)
{
    *ret_copy = strdup(text);
    return *ret_copy ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
}

/* Helpers read the registry from standard input. */
static int ask(const char *helper, const char *registry, struct lithops__oci_login *login,
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
    if (rc == 0 && user && password)
        rc = strcmp(user, "<token>") == 0 ? keep(password, &login->identity, err)
                                          : encode(user, password, &login->basic, err);
    lithops_value_free(answer);
    if (text)
        explicit_bzero(text, MOST_BYTES);
    free(text);
    return rc;
}

static int read_login(const char *path, const char *registry, struct lithops__oci_login *login,
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
    const char *auth = text_at(noted, "auth"), *identity = text_at(noted, "identitytoken");
    const char *helper =
        lithops_value_get_string(find(lithops_value_get(file, "credHelpers"), registry));
    if (!helper && !auth && !identity)
        helper = text_at(file, "credsStore");
    if (helper)
        rc = ask(helper, registry, login, err);
    else if (identity) /* what is in "auth" has no password */
        rc = keep(identity, &login->identity, err);
    else if (auth)
        rc = keep(auth, &login->basic, err);
    lithops_value_free(file);
    return rc;
}

int lithops__oci_login(const char *registry, struct lithops__oci_login *ret_login,
                       lithops_error *err)
{
    const char *docker = getenv("DOCKER_CONFIG"), *home = getenv("HOME"),
               *own = getenv("REGISTRY_AUTH_FILE"), *run = getenv("XDG_RUNTIME_DIR");
    char paths[3][PATH_BYTES] = {"", "", ""};
    *ret_login = (struct lithops__oci_login){NULL, NULL};
    if (own)
        snprintf(paths[0], sizeof paths[0], "%s", own);
    if (docker || home)
        snprintf(paths[1], sizeof paths[1], "%s%s/config.json", docker ? docker : home,
                 docker ? "" : "/.docker");
    if (run)
        snprintf(paths[2], sizeof paths[2], "%s/containers/auth.json", run);
    int rc = 0;
    for (size_t i = 0; rc == 0 && !ret_login->basic && !ret_login->identity && i < 3; i++)
        if (paths[i][0])
            rc = read_login(paths[i], registry, ret_login, err);
    return rc;
}

void lithops__oci_forget_login(struct lithops__oci_login *login)
{
    lithops__secret_free(login->basic);
    lithops__secret_free(login->identity);
}
