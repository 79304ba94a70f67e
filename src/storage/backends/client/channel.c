/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/backends/client/channel.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/retry.h"
#include "storage/backends/client/client.h"
#include "value/value.h"
#include "wire/message.h"
#include "wire/numbers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    LOOK_MS = 100,
    MAP_BYTES = 1024,       /* of the map of most answers */
    USUAL_BYTES = 64 << 10, /* of a pipe */
    WIDE_BYTES = 1024 << 10,
};

static int fail_gone(const lithops_storage_op *op)
{
    return lithops__fail(op->err, LITHOPS_EIO, "the client, which has the objects, is gone");
}

/* Wait until the worker says something, or takes something. */
static int await(const struct lithops__channel *channel, bool writes, const lithops_storage_op *op)
{
    const struct lithops__bounds bounds = {op->deadline_ns, op->interrupted, op->user};
    for (;;) {
        uint64_t now_ns = lithops__now_ns();
        uint64_t left_ms = op->deadline_ns > now_ns ? (op->deadline_ns - now_ns) / 1000000 + 1 : 0;
        struct pollfd fds[2] = {{channel->fd, writes ? POLLOUT : 0, 0},
                                {writes ? -1 : channel->pipe_fd, POLLIN, 0}};
        int rc = poll(fds, 2, left_ms < LOOK_MS ? (int)left_ms : LOOK_MS);
        if (rc > 0) /* what has come before it hung up is read first */
            return writes || fds[1].revents ? 0 : fail_gone(op);
        if (rc < 0 && errno != EINTR)
            return lithops__fail_errno(op->err, errno, "cannot wait for the client");
        rc = lithops__bounds_check(&bounds, op->err);
        if (rc != 0)
            return rc;
    }
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void lithops__channel_close(struct lithops__channel *channel)
{
    close_fd(&channel->fd);
    close_fd(&channel->pipe_fd);
    close_fd(&channel->write_fd);
    channel->asked = channel->left = 0;
    channel->is_wide = false;
}

static const struct lithops__channel closed = {.fd = -1, .pipe_fd = -1, .write_fd = -1};

/* An idle connection. A forked child must not use its parent's. */
static struct {
    pthread_mutex_t lock;
    struct lithops__channel channel;
    pid_t pid; /* 0: there is none */
} spare = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Swap it for `channel`, which may be closed, as the one that it returns may be. */
static struct lithops__channel swap_spare(const struct lithops__channel *channel)
{
    pthread_mutex_lock(&spare.lock);
    struct lithops__channel old = spare.pid ? spare.channel : closed;
    bool is_own = spare.pid == getpid();
    spare.channel = *channel;
    spare.pid = channel->fd < 0 ? 0 : getpid();
    pthread_mutex_unlock(&spare.lock);
    if (!is_own)
        lithops__channel_close(&old);
    return old;
}

/* The function or the worker may have closed it. */
static bool is_alive(const struct lithops__channel *channel)
{
    struct pollfd fds[2] = {{channel->fd, POLLIN, 0}, {channel->pipe_fd, POLLIN, 0}};
    return poll(fds, 2, 0) == 0;
}

/* All pipes of a user share a limit, so an idle one is not wide. */
void lithops__channel_widen(struct lithops__channel *channel)
{
    if (!channel->is_wide)
        channel->is_wide = fcntl(channel->pipe_fd, F_SETPIPE_SZ, WIDE_BYTES) >= WIDE_BYTES;
}

static void narrow(struct lithops__channel *channel)
{
    if (channel->is_wide)
        (void)fcntl(channel->pipe_fd, F_SETPIPE_SZ, USUAL_BYTES);
    channel->is_wide = false;
}

void lithops__channel_give_back(struct lithops__channel *channel)
{
    if (channel->fd >= 0 && channel->write_fd < 0 && channel->asked == 0 && channel->left == 0) {
        narrow(channel);
        *channel = swap_spare(channel);
    }
    lithops__channel_close(channel);
}

/* The same descriptor where functions, which use the low ones, do not meet it. */
static int high_fd(int fd)
{
    int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 10), failed = errno;
    if (fd >= 0)
        close(fd);
    errno = failed;
    return high;
}

static int open_pipe(struct lithops__channel *channel)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return errno;
    channel->write_fd = ends[1];
    channel->pipe_fd = high_fd(ends[0]);
    return channel->pipe_fd < 0 ? errno : 0;
}

int lithops__channel_open(struct lithops__channel *channel, const lithops_storage_op *op)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *name = getenv(LITHOPS__CLIENT_SOCKET);
    size_t len = name ? strlen(name) : 0;
    *channel = swap_spare(&closed);
    if (channel->fd >= 0 && is_alive(channel))
        return 0;
    lithops__channel_close(channel);
    if (len == 0 || len > sizeof address.sun_path - 1)
        return fail_gone(op);
    memcpy(address.sun_path + 1, name, len);
    channel->fd = high_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    int failed = channel->fd < 0 ? errno : open_pipe(channel);
    if (!failed && connect(channel->fd, (const struct sockaddr *)&address,
                           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len)) != 0)
        failed = errno;
    if (!failed)
        return 0;
    lithops__channel_close(channel);
    return lithops__fail_errno(op->err, failed, "no connection to the client");
}

int lithops__channel_add(struct lithops__buffer *out, lithops_value *map, lithops_bytes bytes,
                         const lithops_storage_op *op)
{
    int rc = map ? lithops__frame_write(out, LITHOPS__MESSAGE_ASK, 0, map, bytes, op->err)
                 : lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory");
    lithops_value_free(map);
    return rc;
}

/* With the pipe for answers, if that has not gone. */
static ssize_t send_some(struct lithops__channel *channel, const void *bytes, size_t len)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec part = {(void *)(uintptr_t)bytes, len};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (channel->write_fd >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &channel->write_fd, sizeof(int));
    }
    ssize_t n = sendmsg(channel->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0)
        close_fd(&channel->write_fd);
    return n;
}

int lithops__channel_ask(struct lithops__channel *channel, const struct lithops__buffer *out,
                         size_t count, const lithops_storage_op *op)
{
    int rc = 0;
    for (size_t sent = 0; rc == 0 && sent < out->len;) {
        ssize_t n = send_some(channel, out->data + sent, out->len - sent);
        if (n > 0)
            sent += (size_t)n;
        else if (errno == EAGAIN)
            rc = await(channel, true, op);
        else if (errno != EINTR)
            rc = fail_gone(op);
    }
    channel->asked += rc == 0 ? count : 0;
    return rc;
}

static int receive(const struct lithops__channel *channel, void *buf, size_t len,
                   const lithops_storage_op *op)
{
    size_t got = 0;
    while (got < len) {
        ssize_t n = read(channel->pipe_fd, (char *)buf + got, len - got);
        int rc = 0;
        if (n > 0)
            got += (size_t)n;
        else if (n < 0 && errno == EAGAIN)
            rc = await(channel, false, op);
        else if (n == 0 || errno != EINTR)
            rc = fail_gone(op);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int check(const lithops_value *map, const lithops_storage_op *op)
{
    int64_t code = lithops_value_get_int(lithops_value_get(map, "code"));
    const char *message = lithops_value_get_string(lithops_value_get(map, "message"));
    if (code == 0)
        return 0;
    lithops__fail(op->err, code < 0 && code > INT16_MIN ? (int)code : LITHOPS_EIO, "%s",
                  message ? message : "the client could not do that");
    op->err->retryable = lithops_value_get_bool(lithops_value_get(map, "retryable"));
    op->err->os_errno = (int)lithops_value_get_int(lithops_value_get(map, "errno"));
    return op->err->code;
}

static int receive_map(const struct lithops__channel *channel, size_t len, lithops_value **ret_map,
                       const lithops_storage_op *op)
{
    char usual[MAP_BYTES], *bytes = len <= sizeof usual ? usual : malloc(len);
    int rc = bytes ? receive(channel, bytes, len, op)
                   : lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory");
    const struct lithops__frame frame = {.type = LITHOPS__MESSAGE_ANSWER, .map = {bytes, len}};
    if (rc == 0 && !(*ret_map = lithops__frame_map(&frame, op->err)))
        rc = op->err->code;
    if (bytes != usual)
        free(bytes);
    return rc;
}

int lithops__channel_hear(struct lithops__channel *channel, lithops_value **ret_map,
                          const lithops_storage_op *op)
{
    char header[LITHOPS__FRAME_HEADER];
    lithops_value *map = NULL;
    uint64_t begin_ns = lithops__now_ns();
    int rc = receive(channel, header, sizeof header, op);
    if (rc != 0)
        return rc;
    channel->waited_ns = lithops__now_ns() - begin_ns;
    uint32_t len = lithops__get_u32(header), map_len = lithops__get_u32(header + 12);
    if (len > LITHOPS__FRAME_MOST || map_len > len)
        return lithops__fail(op->err, LITHOPS_EPARSE, "an answer of %u bytes with a map of %u", len,
                             map_len);
    rc = receive_map(channel, map_len, &map, op);
    if (rc != 0)
        return rc;
    channel->asked--;
    channel->left = len - map_len;
    rc = check(map, op);
    if (rc == 0)
        *ret_map = map;
    else
        lithops_value_free(map);
    return rc;
}

int lithops__channel_take(struct lithops__channel *channel, void *buf, size_t len,
                          const lithops_storage_op *op)
{
    int rc = receive(channel, buf, len, op);
    channel->left -= rc == 0 ? len : 0;
    return rc;
}

int lithops__channel_once(lithops_value *question, lithops_value **ret_map,
                          const lithops_storage_op *op)
{
    struct lithops__channel channel;
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    int rc = lithops__channel_add(&out, question, (lithops_bytes){NULL, 0}, op);
    if (rc == 0 && (rc = lithops__channel_open(&channel, op)) == 0) {
        rc = lithops__channel_ask(&channel, &out, 1, op);
        if (rc == 0)
            rc = lithops__channel_hear(&channel, ret_map, op);
        lithops__channel_give_back(&channel);
    }
    lithops__buffer_deinit(&out);
    return rc;
}
