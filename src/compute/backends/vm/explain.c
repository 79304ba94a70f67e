/* SPDX-License-Identifier: Apache-2.0 */
/* Turns ssh's last messages into one line that names the host and says what to do.
 *
 * ssh reports failures only by its standard error and exit status 255, so this searches for known
 * texts and passes unknown ones on unchanged. */
#include "base/error.h"
#include "compute/backends/vm/vm.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_BYTES = 8192, EXIT_MS = 1000 };

/* In order: the first match decides. %s: the host; %k: the section of the configuration. */
static const struct {
    const char *text, *advice;
    bool retryable;
} known[] = {
    {"REMOTE HOST IDENTIFICATION HAS CHANGED",
     "its host key differs from the one in ~/.ssh/known_hosts: someone intercepts, or it was "
     "reinstalled; in the second case: ssh-keygen -R %s",
     false},
    {"Host key verification failed",
     "its host key is not known: connect once with 'ssh %s' and compare the fingerprint, or add "
     "StrictHostKeyChecking=accept-new to %k.ssh_options",
     false},
    {"UNPROTECTED PRIVATE KEY FILE",
     "others may read the private key, so ssh does not use it: chmod 600 it (%s)", false},
    {"Too many authentication failures",
     "it refused after too many keys: set %k.ssh_key_filename to the right one (%s)", false},
    {"Permission denied",
     "it does not let this user in: check the user's name, and the key or password; "
     "'ssh -o BatchMode=yes %s true' must work",
     false},
    {"Could not resolve hostname", "there is no host of this name: check '%s' in the section %k",
     false},
    {"Connection refused", "nobody listens there: is sshd running on '%s', and is the port right?",
     true},
    {"No route to host", "it cannot be reached from here: is '%s' up, and the address right?",
     true},
    {"Network is unreachable", "there is no way to '%s' from this machine's network", true},
    {"timed out", "'%s' does not answer: is it up, the address right, and no firewall between?",
     false},
    {"Connection reset", "it ended the connection early, as a busy sshd does (MaxStartups on %s)",
     true},
    {"Connection closed", "it ended the connection early, as a busy sshd does (MaxStartups on %s)",
     true},
    {"xec format error",
     "the image is of another architecture: use one that runs on '%s' (%k.runtime)", false},
    {"executable file", "the image has no sh: use one that has (%k.runtime on %s)", false},
    {"not found", "its login shell cannot run 'sh' (%s)", false},
};

static void expand(const char *advice, const char *name, const char *section, char *buf,
                   size_t size)
{
    size_t len = 0;
    for (const char *at = advice; *at && len + 1 < size; at++) {
        const char *put = strncmp(at, "%s", 2) == 0   ? name
                          : strncmp(at, "%k", 2) == 0 ? section
                                                      : NULL;
        int count = snprintf(buf + len, size - len, "%.*s", put ? 256 : 1, put ? put : at);
        len += count > 0 ? (size_t)count : 0;
        at += put != NULL;
    }
}

/* ssh ended before the worker ran: make an error of its messages and of how it ended. */
static int explain(const struct lithops__vm_options *options, const struct lithops__vm_host *host,
                   const struct lithops__child *child, const siginfo_t *status, lithops_error *err)
{
    char text[TEXT_BYTES], said[256], advice[512];
    ssize_t len = child->log_fd >= 0 ? pread(child->log_fd, text, sizeof text - 1, 0) : 0;
    text[len > 0 ? len : 0] = '\0';
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const char *part = strstr(text, known[i].text);
        if (!part)
            continue;
        lithops__line_at(text, part, said, sizeof said);
        expand(known[i].advice, host->name, options->section, advice, sizeof advice);
        lithops__fail(err, LITHOPS_EBACKEND, "host %s: %s (ssh says: %s)", host->label, advice,
                      said);
        err->retryable = known[i].retryable;
        return err->code;
    }
    char how[512] = "";
    if (status->si_code == CLD_EXITED)
        snprintf(how, sizeof how, "ssh ended with exit status %d", status->si_status);
    else
        snprintf(how, sizeof how, "ssh was killed by signal %d", status->si_status);
    lithops__child_log_tail(child, how, sizeof how);
    lithops__fail(err, LITHOPS_EBACKEND, "host %s: no worker could be started: %s", host->label,
                  how);
    err->retryable = status->si_code == CLD_EXITED && status->si_status == 255;
    return err->code;
}

int lithops__vm_give_up(const struct lithops__vm_options *options,
                        const struct lithops__vm_host *host, struct lithops__child *child,
                        lithops_error *err)
{
    siginfo_t status;
    char said[400] = "";
    bool hung_up = err->code == LITHOPS_EIO;
    lithops__child_reap(child, hung_up ? EXIT_MS : 0, &status);
    if (hung_up) {
        (void)explain(options, host, child, &status, err);
    } else if (err->code == LITHOPS_ETIMEDOUT) {
        lithops__child_log_tail(child, said, sizeof said);
        lithops__fail(err, LITHOPS_EBACKEND,
                      "host %s: no worker within %s.connect_timeout (%u s): is it up, the address "
                      "right, and no firewall between?%s%s",
                      host->label, options->section, options->connect_timeout_s,
                      said[0] ? " ssh says" : "", said);
    } else if (err->code != LITHOPS_ECANCELED) {
        lithops__error_prefix(err, "host %s", host->label);
    }
    lithops__child_close_log(child);
    return err->code;
}
