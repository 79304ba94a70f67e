/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/talk.h"

#include "base/clock.h"
#include "base/error.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_NOISE = 1 << 20 };

void lithops__talk_more_time(struct lithops__talk *talk)
{
    talk->until_ns = lithops__now_ns() + talk->timeout_s * (uint64_t)1000000000;
}

/* @return which of `events` came; ECANCELED, ETIMEDOUT */
static int await(const struct lithops__talk *talk, short events, lithops_error *err)
{
    struct pollfd fds[] = {{talk->fd, events, 0}, {talk->cancel_fd, POLLIN, 0}};
    for (;;) {
        uint64_t now = lithops__now_ns();
        uint64_t left_ms = now < talk->until_ns ? (talk->until_ns - now) / 1000000 + 1 : 0;
        int n = poll(fds, talk->cancel_fd >= 0 ? 2 : 1, left_ms < INT_MAX ? (int)left_ms : INT_MAX);
        if (n > 0 && fds[1].revents)
            return lithops__fail(err, LITHOPS_ECANCELED, "no worker is needed any more");
        if (n > 0)
            return fds[0].revents;
        if (n == 0 && left_ms == 0)
            return lithops__fail(err, LITHOPS_ETIMEDOUT, "no answer within %u s", talk->timeout_s);
    }
}

int lithops__talk_read_line(const struct lithops__talk *talk, char line[LITHOPS__TALK_LINE],
                            lithops_error *err)
{
    size_t len = 0;
    for (;;) {
        int rc = await(talk, POLLIN, err);
        char byte;
        if (rc < 0)
            return rc;
        ssize_t n = read(talk->fd, &byte, 1);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0)
            return lithops__fail(err, LITHOPS_EIO, "it hung up");
        if (byte == '\n')
            break;
        if (len + 1 < LITHOPS__TALK_LINE)
            line[len++] = byte;
    }
    line[len] = '\0';
    return 0;
}

int lithops__talk_write(const struct lithops__talk *talk, const char *ptr, size_t len,
                        lithops_error *err)
{
    while (len > 0) {
        int events = await(talk, POLLOUT | POLLIN, err);
        if (events < 0)
            return events;
        if (events & POLLIN) /* it says why it takes no more */
            return 1;
        ssize_t n = send(talk->fd, ptr, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return lithops__fail(err, LITHOPS_EIO, "it hung up");
        ptr += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

void lithops__talk_quote(struct lithops__buffer *out, const char *name, const char *text)
{
    lithops__buffer_printf(out, "%s='", name);
    for (; *text; text++)
        if (*text == '\'')
            lithops__buffer_append_string(out, "'\\''");
        else
            lithops__buffer_append(out, text, 1);
    lithops__buffer_append_string(out, "'; ");
}

const char *lithops__talk_after(const char *line, const char *word)
{
    size_t len = strlen(word);
    return strncmp(line, word, len) == 0 ? line + len : NULL;
}

/* What comes before and after the text of an error that begins with the word. */
static const struct {
    const char *word, *before, *advice;
} errors[] = {
    {"cache ", "the engine cannot be kept there (",
     "): make the folder writable, or set XDG_CACHE_HOME there to one that is"},
    {"unpack ", "the engine cannot be unpacked there in ",
     ": is there room for 50 MB? Set XDG_CACHE_HOME there to a folder that has"},
    {"containers ", "there is neither docker nor podman for image ",
     ": install one of them there (Debian: podman), or name an interpreter as the runtime"},
    {"image ", "it has no image ",
     ": correct the runtime, log in to the image's registry there, or load it there ('podman "
     "load', "
     "'docker load')"},
};

static int host_failed(const char *why, lithops_error *err)
{
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        const char *text = lithops__talk_after(why, errors[i].word);
        if (text)
            return lithops__fail(err, LITHOPS_EBACKEND, "%s%s%s", errors[i].before, text,
                                 errors[i].advice);
    }
    return lithops__fail(err, LITHOPS_EBACKEND, "%s", why);
}

int lithops__talk_read_answer(const struct lithops__talk *talk, const char *word,
                              char line[LITHOPS__TALK_LINE], lithops_error *err)
{
    for (size_t noise = 0; noise < MOST_NOISE; noise += strlen(line) + 1) {
        int rc = lithops__talk_read_line(talk, line, err);
        if (rc != 0)
            return rc;
        if (strncmp(line, "LITHOPS-ERROR ", 14) == 0)
            return host_failed(line + 14, err);
        if (strncmp(line, word, strlen(word)) == 0)
            return 0;
    }
    return lithops__fail(err, LITHOPS_EBACKEND,
                         "its shell never stops printing: check its start-up files");
}
