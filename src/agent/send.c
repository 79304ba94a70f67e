/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"

#include <errno.h>
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

enum { LAST_MS = 1000 };

/* Wait until there is room. A worker that ends does not wait for a client that does not read. */
static bool await_room(struct lithops__agent *agent, uint64_t patience_ns)
{
    struct pollfd fds[2] = {{agent->write_fd, POLLOUT, 0}, {agent->end_fd, POLLIN, 0}};
    int n = poll(fds, 2, patience_ns < UINT64_MAX ? (int)(patience_ns / 1000000) : -1);
    if (n > 0 && fds[0].revents == 0 && fds[1].revents)
        n = poll(fds, 1, LAST_MS);
    if (n == 0)
        errno = ETIMEDOUT;
    return n > 0 || (n < 0 && errno == EINTR);
}

static void skip(struct iovec *part, size_t *n)
{
    size_t len = *n < part->iov_len ? *n : part->iov_len;
    if (len == 0) /* there may be nothing to point to */
        return;
    part->iov_base = (char *)part->iov_base + len;
    part->iov_len -= len;
    *n -= len;
}

bool lithops__agent_send_with(struct lithops__agent *agent, const struct lithops__buffer *buffer,
                              lithops_bytes more, uint64_t patience_ns)
{
    struct iovec parts[2] = {{buffer->data, buffer->len}, {(void *)(uintptr_t)more.ptr, more.len}};
    bool is_there = !buffer->failed;
    pthread_mutex_lock(&agent->write_lock);
    while (is_there && parts[0].iov_len + parts[1].iov_len > 0) {
        ssize_t n = writev(agent->write_fd, parts, 2);
        if (n < 0 && errno == EAGAIN)
            is_there = await_room(agent, patience_ns);
        else if (n < 0)
            is_there = errno == EINTR;
        size_t sent = n > 0 ? (size_t)n : 0;
        skip(&parts[0], &sent);
        skip(&parts[1], &sent);
    }
    pthread_mutex_unlock(&agent->write_lock);
    return is_there;
}

bool lithops__agent_send(struct lithops__agent *agent, const struct lithops__buffer *buffer)
{
    return lithops__agent_send_with(agent, buffer, (lithops_bytes){NULL, 0}, UINT64_MAX);
}
