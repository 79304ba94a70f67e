/* SPDX-License-Identifier: Apache-2.0 */
/* Exec credential plugins (client.authentication.k8s.io): programs, such as those of clouds, that
 * print credentials. */
#include "base/error.h"
#include "base/program_output.h"
#include "compute/backends/k8s/k8s.h"
#include "net/credentials.h"
#include "net/date.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_BYTES = 256 << 10 };

extern char **environ;

static int out_of_memory(lithops_error *err)
{
    return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
}

/* ---- what it is given ------------------------------------------------------------------------ */

/* The document in KUBERNETES_EXEC_INFO. */
static char *make_info(const struct lithops__k8s_access *access)
{
    bool wants = lithops_value_get_bool(lithops_value_get(access->exec, "wants_cluster"));
    const char *version = lithops_value_get_string(lithops_value_get(access->exec, "version"));
    lithops_value *spec = lithops_pack("{s:b}", "interactive", 0);
    char *text = NULL;
    bool good = spec != NULL;
    if (good && wants)
        good =
            lithops_value_set(spec, "cluster",
                              lithops_pack("{s:s,s:b,s:s?,s:s?}", "server", access->server,
                                           "insecure-skip-tls-verify", (int)access->any_certificate,
                                           "tls-server-name", access->server_name, "proxy-url",
                                           access->proxy)) == 0;
    lithops_value *info = good ? lithops_pack("{s:s,s:s,s:o}", "apiVersion", version, "kind",
                                              "ExecCredential", "spec", spec)
                               : (lithops_value_free(spec), NULL);
    char *variable = NULL;
    if (info && lithops_value_to_json(info, &text, NULL) == 0 &&
        asprintf(&variable, "KUBERNETES_EXEC_INFO=%s", text) < 0)
        variable = NULL;
    free(text);
    lithops_value_free(info);
    return variable;
}

/* This process's environment, with those of `more` and `info` in front, which win. For free(). */
static char **make_environment(const lithops_value *more, char *info)
{
    size_t own = 0, count = 0;
    while (environ[own])
        own++;
    char **env = calloc(own + lithops_value_size(more) + 2, sizeof *env);
    if (!env)
        return NULL;
    env[count++] = info;
    for (size_t i = 0; i < lithops_value_size(more); i++)
        env[count++] = (char *)(uintptr_t)lithops_value_get_string(lithops_value_at(more, i));
    size_t first = count;
    for (size_t i = 0; i < own; i++) {
        bool is_given = false;
        size_t len = strcspn(environ[i], "=") + 1;
        for (size_t k = 0; k < first && !is_given; k++)
            is_given = strncmp(environ[i], env[k], len) == 0;
        if (!is_given)
            env[count++] = environ[i];
    }
    return env;
}

static char **make_words(const lithops_value *exec)
{
    const lithops_value *args = lithops_value_get(exec, "args");
    char **words = calloc(lithops_value_size(args) + 2, sizeof *words);
    if (!words)
        return NULL;
    words[0] = (char *)(uintptr_t)lithops_value_get_string(lithops_value_get(exec, "command"));
    for (size_t i = 0; i < lithops_value_size(args); i++)
        words[i + 1] = (char *)(uintptr_t)lithops_value_get_string(lithops_value_at(args, i));
    return words;
}

/* ---- what it gives --------------------------------------------------------------------------- */

static bool take(char **ret, const lithops_value *status, const char *key)
{
    const char *text = lithops_value_get_string(lithops_value_get(status, key));
    *ret = text && text[0] ? strdup(text) : NULL;
    return !text || !text[0] || *ret;
}

static void drop(struct lithops__k8s_granted *granted)
{
    lithops__secret_free(granted->token);
    lithops__secret_free(granted->certificate);
    lithops__secret_free(granted->key);
    *granted = (struct lithops__k8s_granted){.token = NULL};
}

int lithops__k8s_read_grant(const char *text, size_t len, struct lithops__k8s_granted *ret_granted,
                            lithops_error *err)
{
    struct lithops__k8s_granted granted = {.token = NULL};
    lithops_value *document = lithops_value_from_json(text, len, NULL);
    const lithops_value *status = lithops_value_get(document, "status");
    const char *kind = lithops_value_get_string(lithops_value_get(document, "kind"));
    const char *expires =
        lithops_value_get_string(lithops_value_get(status, "expirationTimestamp"));
    int rc = 0;
    if (!take(&granted.token, status, "token") ||
        !take(&granted.certificate, status, "clientCertificateData") ||
        !take(&granted.key, status, "clientKeyData"))
        rc = out_of_memory(err);
    else if (!kind || strcmp(kind, "ExecCredential") != 0 ||
             !(granted.token || (granted.certificate && granted.key)))
        rc = lithops__fail(err, LITHOPS_ECONFIG,
                           "it printed no ExecCredential with a token, or a certificate and its "
                           "key");
    else if (expires && (granted.expires = lithops__iso_date(expires)) == 0)
        rc = lithops__fail(err, LITHOPS_ECONFIG, "its expirationTimestamp is no time");
    lithops_value_free(document);
    if (rc == 0)
        *ret_granted = granted;
    else
        drop(&granted);
    return rc;
}

int lithops__k8s_plugin(const struct lithops__k8s_access *access,
                        const struct lithops__bounds *bounds,
                        struct lithops__k8s_granted *ret_granted, lithops_error *err)
{
    const char *hint = lithops_value_get_string(lithops_value_get(access->exec, "hint"));
    char *info = make_info(access), *text = malloc(MOST_BYTES);
    char **env = info ? make_environment(lithops_value_get(access->exec, "env"), info) : NULL;
    char **words = make_words(access->exec);
    size_t len = 0;
    int rc = env && words && text
                 ? lithops__program_output(words, env, bounds, text, MOST_BYTES, &len, err)
                 : out_of_memory(err);
    bool is_missing = rc == LITHOPS_ENOTFOUND;
    if (rc == 0)
        rc = lithops__k8s_read_grant(text, len, ret_granted, err);
    if (rc != 0 && rc != LITHOPS_ENOMEM && rc != LITHOPS_ECANCELED) {
        lithops__error_prefix(err, "%s: the exec plugin '%s' of context '%s'", access->origin,
                              words ? words[0] : "?", access->context);
        if (is_missing)
            rc = lithops__fail(err, LITHOPS_ECONFIG, "%s: the exec plugin '%s' is not there%s%s",
                               access->origin, words[0], hint ? ": " : "", hint ? hint : "");
    }
    if (text)
        explicit_bzero(text, MOST_BYTES);
    free(text);
    free(env);
    free(words);
    free(info);
    return rc;
}
