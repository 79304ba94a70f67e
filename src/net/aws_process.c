/* SPDX-License-Identifier: Apache-2.0 */
/* credential_process of a profile: a program that prints credentials. It runs in a process group of
 * its own, which is killed when the time is up. Its complaints go where ours go. */
#include "base/clock.h"
#include "base/error.h"
#include "net/aws_json.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIMIT_S = 60, LOOK_MS = 100, END_LOOK_MS = 5 };

extern char **environ;

/* The shell with `command`, its output in *ret_fd. 0 or an errno. */
static int start(const char *command, pid_t *ret_pid, int *ret_fd)
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
    char *const argv[] = {(char *)"sh", (char *)"-c", (char *)command, NULL};
    int failed = posix_spawn(ret_pid, "/bin/sh", &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (failed)
        close(ends[0]);
    *ret_fd = ends[0];
    return failed;
}

/* All that it prints. */
static int read_output(int fd, uint64_t end_ns, const struct lithops__bounds *bounds, char *text,
                       lithops_error *err)
{
    struct pollfd output = {.fd = fd, .events = POLLIN};
    size_t len = 0;
    ssize_t got = 1;
    while (got > 0 && len < LITHOPS__DOCUMENT_MAX) {
        int rc = lithops__bounds_check(bounds, err);
        if (rc)
            return rc;
        if (lithops__now_ns() >= end_ns)
            return lithops__fail(err, LITHOPS_ETIMEDOUT,
                                 "the credential_process of the profile has not ended after %d s",
                                 LIMIT_S);
        if (poll(&output, 1, LOOK_MS) <= 0)
            continue;
        got = read(fd, text + len, LITHOPS__DOCUMENT_MAX - len);
        if (got < 0 && errno == EINTR)
            got = 1; /* again */
        else
            len += got > 0 ? (size_t)got : 0;
    }
    text[len] = '\0';
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

static int read_document(const char *text, struct lithops__credentials *ret_credentials,
                         lithops_error *err)
{
    static const struct lithops__aws_names names = {"AccessKeyId", "SecretAccessKey",
                                                    "SessionToken", "Expiration"};
    lithops_value *document = lithops_value_from_json(text, strlen(text), NULL);
    int rc = 0;
    if (!document || lithops_value_get_int(lithops_value_get(document, "Version")) != 1)
        rc = lithops__fail(err, LITHOPS_ECONFIG,
                           "the credential_process of the profile must print a document in JSON "
                           "with \"Version\": 1");
    else
        rc = lithops__aws_read_json(document, &names, "the profile's credential_process",
                                    ret_credentials, err);
    lithops_value_free(document);
    return rc;
}

int lithops__aws_process(const struct lithops__aws_context *context, const char *command,
                         struct lithops__credentials *ret_credentials, lithops_error *err)
{
    pid_t pid;
    int fd;
    char *text = malloc(LITHOPS__DOCUMENT_MAX + 1);
    if (!text)
        return lithops__aws_fail_memory(err);
    int failed = start(command, &pid, &fd);
    if (failed) {
        free(text);
        return lithops__fail_errno(err, failed,
                                   "the credential_process of the profile cannot be started");
    }
    const uint64_t end_ns = lithops__now_ns() + LIMIT_S * 1000000000ull;
    int rc = read_output(fd, end_ns, &context->bounds, text, err);
    close(fd);
    int status = take_status(pid, rc ? 0 : end_ns);
    if (rc == 0 && status != 0)
        rc = lithops__fail(err, LITHOPS_ECONFIG,
                           "the credential_process of the profile has failed (%s %d); run it by "
                           "hand to see why",
                           WIFSIGNALED(status) ? "signal" : "status",
                           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    if (rc == 0)
        rc = read_document(text, ret_credentials, err);
    explicit_bzero(text, LITHOPS__DOCUMENT_MAX);
    free(text);
    return rc;
}
