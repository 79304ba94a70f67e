/* SPDX-License-Identifier: Apache-2.0 */
/* Exec credential plugins (client.authentication.k8s.io): programs, such as those of clouds, that
 * print credentials. One runs in a process group of its own, which is killed when its time is up;
 * it has no input, and what it complains goes where our complaints go. */
#include "base/clock.h"
#include "base/error.h"
#include "base/spawn.h"
#include "compute/backends/k8s/k8s.h"
#include "net/credentials.h"
#include "net/date.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIMIT_S = 60, LOOK_MS = 100, END_LOOK_MS = 5, MOST_BYTES = 256 << 10 };

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

/* ---- running it ------------------------------------------------------------------------------ */

/* Its output in *ret_fd. 0 or an errno. */
static int start(char *const *words, char *const *env, pid_t *ret_pid, int *ret_fd)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
    int failed = lithops__spawn(ret_pid, words[0], &actions, &attributes, words, env);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (failed)
        close(ends[0]);
    *ret_fd = ends[0];
    return failed;
}

static int read_output(int fd, uint64_t end_ns, const struct lithops__bounds *bounds, char *text,
                       size_t *ret_len, lithops_error *err)
{
    struct pollfd output = {.fd = fd, .events = POLLIN};
    size_t len = 0;
    ssize_t got = 1;
    while (got > 0 && len < MOST_BYTES) {
        int rc = lithops__bounds_check(bounds, err);
        if (rc)
            return rc;
        if (lithops__now_ns() >= end_ns)
            return lithops__fail(err, LITHOPS_ETIMEDOUT, "it has not ended after %d s", LIMIT_S);
        if (poll(&output, 1, LOOK_MS) <= 0)
            continue;
        got = read(fd, text + len, MOST_BYTES - len);
        if (got < 0 && errno == EINTR)
            got = 1; /* again */
        else
            len += got > 0 ? (size_t)got : 0;
    }
    *ret_len = len;
    return 0;
}

/* How it ended; 0 where the program waits for all its children itself. One that has closed its
 * output need not end: it is killed when the time is up. */
static int take_status(pid_t pid, uint64_t end_ns)
{
    int status = 0;
    pid_t ended;
    bool is_killed = false;
    while ((ended = waitpid(pid, &status, is_killed ? 0 : WNOHANG)) == 0 ||
           (ended < 0 && errno == EINTR)) {
        is_killed |= lithops__now_ns() >= end_ns;
        if (is_killed)
            kill(-pid, SIGKILL);
        else
            (void)poll(NULL, 0, END_LOOK_MS);
    }
    return ended == pid ? status : 0;
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

static int run(char *const *words, char *const *env, const struct lithops__bounds *bounds,
               char *text, size_t *ret_len, lithops_error *err)
{
    pid_t pid;
    int fd;
    int failed = start(words, env, &pid, &fd);
    if (failed)
        return lithops__fail_errno(err, failed, "it cannot be started");
    const uint64_t end_ns = lithops__now_ns() + LIMIT_S * 1000000000ull;
    int rc = read_output(fd, end_ns, bounds, text, ret_len, err);
    close(fd);
    int status = take_status(pid, rc ? 0 : end_ns);
    if (rc == 0 && status != 0)
        rc = lithops__fail(err, LITHOPS_EDENIED, "it ended with %s %d; run it by hand to see why",
                           WIFSIGNALED(status) ? "signal" : "exit status",
                           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
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
    int rc = env && words && text ? run(words, env, bounds, text, &len, err) : out_of_memory(err);
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
