/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of the client: passes requests of worker processes on to it, and its answers back.
 *
 * They connect to a socket in the abstract namespace, whose name only this user's processes get and
 * which only they may use. A frame is passed on unchanged except for its stream, which becomes the
 * number of the connection, so that the answer finds its way back. Each connection has a limit on
 * unanswered requests, which bounds what is kept for a process that does not read.
 *
 * Answers go into a pipe, which a process sends with its first question: the bytes of a long answer
 * are moved from the link to the pipe without being read here. What the pipe does not take is kept.
 *
 * One thread accepts and reads connections, and writes what could not be written at once; the
 * thread that reads the link writes the answers. A separate lock guards everything here. */
#include "agent/agent.h"

#include "base/error.h"
#include "storage/backends/client/client.h"
#include "wire/numbers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum { READ_BYTES = 64 << 10, KEEP_BYTES = 64 << 10, MOST_CONNECTIONS = 4096 };

struct connection {
    struct connection *next;
    uint32_t number;
    int fd;         /* for questions */
    int pipe_fd;    /* for answers; -1: it has not come yet */
    unsigned asked; /* requests without an answer yet */
    bool is_over;
    struct lithops__buffer in, out;
    size_t out_begin;
};

struct lithops__agent_objects {
    struct lithops__agent *agent;
    pthread_t thread;
    pthread_mutex_t lock;
    int listen_fd, event_fd;
    char name[48];
    bool is_closing;
    struct connection *connections;
    uint32_t count, next_number;
    uint32_t passing; /* the reader's: the connection that gets the rest of an answer */
};

/* ---- opening --------------------------------------------------------------------------------- */

static int listen_here(struct lithops__agent_objects *objects, lithops_error *err)
{
    uint64_t random[2];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return lithops__fail_errno(err, errno, "no random numbers for the name of a socket");
    int len = snprintf(objects->name, sizeof objects->name, "lithops-%016llx%016llx",
                       (unsigned long long)random[0], (unsigned long long)random[1]);
    memcpy(address.sun_path + 1, objects->name, (size_t)len);
    objects->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    objects->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (objects->event_fd < 0 || objects->listen_fd < 0 ||
        bind(objects->listen_fd, (const struct sockaddr *)&address,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)) != 0 ||
        listen(objects->listen_fd, SOMAXCONN) != 0)
        return lithops__fail_errno(err, errno, "no socket for worker processes");
    return 0;
}

static void wake(const struct lithops__agent_objects *objects)
{
    uint64_t one = 1;
    (void)!write(objects->event_fd, &one, sizeof one);
}

/* ---- connections ----------------------------------------------------------------------------- */

static void accept_one(struct lithops__agent_objects *objects)
{
    struct ucred peer = {0};
    socklen_t len = sizeof peer;
    /* cppcheck-suppress nullPointer ; the address is not needed */
    int fd = accept4(objects->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    struct connection *connection = NULL;
    if (objects->count < MOST_CONNECTIONS &&
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.uid == geteuid())
        connection = calloc(1, sizeof *connection);
    if (!connection) {
        close(fd);
        return;
    }
    connection->fd = fd;
    connection->pipe_fd = -1;
    pthread_mutex_lock(&objects->lock);
    connection->number = ++objects->next_number;
    connection->next = objects->connections;
    objects->connections = connection;
    objects->count++;
    pthread_mutex_unlock(&objects->lock);
}

static void free_connection(struct connection *connection)
{
    close(connection->fd);
    if (connection->pipe_fd >= 0)
        close(connection->pipe_fd);
    lithops__buffer_deinit(&connection->in);
    lithops__buffer_deinit(&connection->out);
    free(connection);
}

/* The client need not answer it any more. */
static void tell_over(struct lithops__agent_objects *objects, uint32_t number)
{
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    size_t at = lithops__frame_begin(&out, LITHOPS__MESSAGE_ASK, LITHOPS__FRAME_LAST, number);
    lithops__frame_end(&out, at);
    (void)lithops__agent_send(objects->agent, &out);
    lithops__buffer_deinit(&out);
}

static void bury(struct lithops__agent_objects *objects)
{
    struct connection *over = NULL;
    pthread_mutex_lock(&objects->lock);
    for (struct connection **link = &objects->connections; *link;) {
        struct connection *connection = *link;
        if (!connection->is_over) {
            link = &connection->next;
            continue;
        }
        *link = connection->next;
        connection->next = over;
        over = connection;
        objects->count--;
    }
    pthread_mutex_unlock(&objects->lock);
    while (over) {
        struct connection *connection = over;
        over = connection->next;
        tell_over(objects, connection->number);
        free_connection(connection);
    }
}

/* ---- questions ------------------------------------------------------------------------------- */

/* Pass on the complete questions received. False: this is not a question. */
static bool pass_on(struct lithops__agent_objects *objects, struct connection *connection)
{
    struct lithops__buffer *in = &connection->in, out = LITHOPS__BUFFER_INIT;
    struct lithops__frame frame;
    size_t at = 0, used = 0;
    unsigned count = 0;
    int found;
    while ((found = lithops__frame_read((lithops_bytes){in->data + at, in->len - at}, &frame, &used,
                                        NULL)) > 0 &&
           frame.type == LITHOPS__MESSAGE_ASK && !frame.flags &&
           frame.payload.len <= LITHOPS__OBJECT_PIECE) {
        lithops__put_u32((char *)in->data + at + 8, connection->number);
        at += used;
        count++;
    }
    pthread_mutex_lock(&objects->lock);
    connection->asked += count;
    bool good = found == 0 && connection->asked <= LITHOPS__OBJECT_ASKED &&
                (connection->pipe_fd >= 0 || count == 0);
    pthread_mutex_unlock(&objects->lock);
    if (good && at) {
        lithops__buffer_append(&out, in->data, at);
        good = lithops__agent_send(objects->agent, &out);
        lithops__buffer_deinit(&out);
        memmove(in->data, in->data + at, in->len - at);
        in->len -= at;
    }
    return good;
}

/* The end of a pipe that came with a message; -1: none did. */
static int pipe_of(struct msghdr *message)
{
    int fd = -1;
    struct cmsghdr *control = CMSG_FIRSTHDR(message);
    if (control && control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(control), sizeof fd);
    return fd;
}

/* False: it is no end of a pipe, or there is one already. */
static bool take_pipe(struct lithops__agent_objects *objects, struct connection *connection, int fd)
{
    struct stat status;
    int flags = fcntl(fd, F_GETFL);
    bool good = connection->pipe_fd < 0 && fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode) &&
                (flags & O_ACCMODE) == O_WRONLY && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
    if (!good) {
        close(fd);
        return false;
    }
    pthread_mutex_lock(&objects->lock);
    connection->pipe_fd = fd;
    pthread_mutex_unlock(&objects->lock);
    return true;
}

static bool hear(struct lithops__agent_objects *objects, struct connection *connection)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {lithops__buffer_reserve(&connection->in, READ_BYTES), READ_BYTES};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    ssize_t n =
        part.iov_base ? recvmsg(connection->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) : 0;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0)
        return false;
    int pipe_fd = pipe_of(&message);
    if (pipe_fd >= 0 && !take_pipe(objects, connection, pipe_fd))
        return false;
    connection->in.len += (size_t)n;
    return pass_on(objects, connection);
}

/* ---- answers --------------------------------------------------------------------------------- */

/* [lock] Write as much as the pipe takes. */
static void write_out(struct connection *connection)
{
    struct lithops__buffer *out = &connection->out;
    while (connection->out_begin < out->len) {
        ssize_t n = write(connection->pipe_fd, out->data + connection->out_begin,
                          out->len - connection->out_begin);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            connection->is_over = true;
        if (n < 0)
            return;
        connection->out_begin += (size_t)n;
    }
    out->len = connection->out_begin = 0;
}

/* [lock] The answer, of which `left` bytes are still to come. It goes from where it was received
 * into the pipe, as far as that takes it now; the rest waits. */
static void send_answer(struct connection *connection, const struct lithops__frame *frame,
                        size_t left)
{
    struct lithops__buffer *out = &connection->out;
    bool is_first = out->len == 0;
    lithops_bytes rest = frame->payload;
    size_t begin = lithops__frame_begin(out, frame->type, 0, 0);
    if (frame->map.len)
        lithops__buffer_append(out, frame->map.ptr, frame->map.len);
    lithops__frame_end_map(out, begin);
    lithops__frame_end_before(out, begin, rest.len + left);
    if (out->failed)
        return;
    size_t sent = 0;
    if (is_first) {
        struct iovec parts[2] = {{out->data, out->len}, {(void *)(uintptr_t)rest.ptr, rest.len}};
        ssize_t n = writev(connection->pipe_fd, parts, 2);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            connection->is_over = true;
        sent = n > 0 ? (size_t)n : 0;
        connection->out_begin = sent < out->len ? sent : out->len;
        sent -= connection->out_begin;
    }
    if (sent < rest.len)
        lithops__buffer_append(out, (const char *)rest.ptr + sent, rest.len - sent);
    if (connection->out_begin == out->len)
        out->len = connection->out_begin = 0;
}

/* [lock] NULL: it is over, nobody waits for the answer. */
static struct connection *find_connection(struct lithops__agent_objects *objects, uint32_t number)
{
    struct connection *connection = objects->connections;
    while (connection && connection->number != number)
        connection = connection->next;
    return connection && !connection->is_over && connection->asked ? connection : NULL;
}

/* [lock] True: the other thread is to see to it. */
static bool is_unfinished(struct connection *connection)
{
    connection->is_over |= connection->out.failed;
    return connection->out.len > 0 || connection->is_over;
}

void lithops__objects_answer_came(struct lithops__agent *agent, const struct lithops__frame *frame)
{
    struct lithops__agent_objects *objects = agent->objects;
    if (!objects)
        return;
    pthread_mutex_lock(&objects->lock);
    struct connection *connection = find_connection(objects, frame->stream);
    if (connection) {
        send_answer(connection, frame, 0);
        connection->asked--;
    }
    bool rest = connection && is_unfinished(connection);
    pthread_mutex_unlock(&objects->lock);
    if (rest)
        wake(objects);
}

/* [lock] What the pipe does not take now is kept, and so is all that follows it. */
static ssize_t pass_some(struct connection *connection, int fd, size_t len)
{
    ssize_t n = -1;
    struct lithops__buffer *out = &connection->out;
    if (out->len == 0) {
        n = splice(fd, NULL, connection->pipe_fd, NULL, len, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
        if (n >= 0)
            return n;
        connection->is_over |= errno == EPIPE;
    }
    /* the pipe is full, or nothing has come, or this link cannot be spliced from */
    len = len < KEEP_BYTES ? len : KEEP_BYTES;
    void *room = lithops__buffer_reserve(out, len);
    n = room ? read(fd, room, len) : -1;
    if (n > 0)
        out->len += (size_t)n;
    if (!room)
        errno = ENOMEM;
    return n;
}

/* The process has ended. */
static ssize_t pass_by(int fd, size_t len)
{
    char nowhere[16 << 10];
    return read(fd, nowhere, len < sizeof nowhere ? len : sizeof nowhere);
}

static ssize_t pass(void *user, int fd, size_t len)
{
    struct lithops__agent_objects *objects = user;
    pthread_mutex_lock(&objects->lock);
    struct connection *connection = find_connection(objects, objects->passing);
    ssize_t n = connection ? pass_some(connection, fd, len) : pass_by(fd, len);
    int failed = errno;
    if (connection && n == (ssize_t)len)
        connection->asked--;
    bool rest = connection && is_unfinished(connection);
    pthread_mutex_unlock(&objects->lock);
    if (rest)
        wake(objects);
    errno = failed;
    return n;
}

void lithops__objects_answer_began(struct lithops__agent *agent, const struct lithops__frame *frame,
                                   size_t left, struct lithops__rest *ret_rest)
{
    struct lithops__agent_objects *objects = agent->objects;
    if (!objects)
        return;
    pthread_mutex_lock(&objects->lock);
    struct connection *connection = find_connection(objects, frame->stream);
    if (connection)
        send_answer(connection, frame, left);
    pthread_mutex_unlock(&objects->lock);
    objects->passing = frame->stream;
    *ret_rest = (struct lithops__rest){.pass = pass, .user = objects};
}

/* ---- the thread ------------------------------------------------------------------------------ */

static struct pollfd *list_fds(struct lithops__agent_objects *objects, struct pollfd *fds,
                               nfds_t *ret_count)
{
    pthread_mutex_lock(&objects->lock);
    struct pollfd *more = realloc(fds, (2 + 2 * (size_t)objects->count) * sizeof *more);
    nfds_t n = 2;
    if (more) {
        more[0] = (struct pollfd){objects->event_fd, POLLIN, 0};
        more[1] = (struct pollfd){objects->listen_fd, POLLIN, 0};
        for (struct connection *c = objects->connections; c; c = c->next) {
            more[n++] = (struct pollfd){c->fd, POLLIN, 0};
            more[n++] = (struct pollfd){c->out.len > c->out_begin ? c->pipe_fd : -1, POLLOUT, 0};
        }
    }
    pthread_mutex_unlock(&objects->lock);
    if (!more)
        free(fds);
    *ret_count = n;
    return more;
}

/* Only this thread adds and removes connections. */
static void serve(struct lithops__agent_objects *objects, const struct pollfd *fds)
{
    uint64_t events;
    nfds_t n = 2;
    for (struct connection *c = objects->connections; c; c = c->next, n += 2) {
        bool good = !(fds[n].revents & (POLLIN | POLLHUP | POLLERR)) || hear(objects, c);
        pthread_mutex_lock(&objects->lock);
        if (good && fds[n + 1].revents)
            write_out(c);
        c->is_over |= !good;
        pthread_mutex_unlock(&objects->lock);
    }
    if (fds[0].revents)
        (void)!read(objects->event_fd, &events, sizeof events);
    if (fds[1].revents)
        accept_one(objects);
    bury(objects);
}

static void *run(void *user)
{
    struct lithops__agent_objects *objects = user;
    struct pollfd *fds = NULL;
    nfds_t count;
    for (;;) {
        pthread_mutex_lock(&objects->lock);
        bool is_closing = objects->is_closing;
        pthread_mutex_unlock(&objects->lock);
        if (is_closing || !(fds = list_fds(objects, fds, &count)))
            break;
        if (poll(fds, count, -1) > 0)
            serve(objects, fds);
    }
    free(fds);
    return NULL;
}

/* ---- for the agent --------------------------------------------------------------------------- */

static void free_objects(struct lithops__agent_objects *objects)
{
    while (objects->connections) {
        struct connection *connection = objects->connections;
        objects->connections = connection->next;
        free_connection(connection);
    }
    if (objects->listen_fd >= 0)
        close(objects->listen_fd);
    if (objects->event_fd >= 0)
        close(objects->event_fd);
    pthread_mutex_destroy(&objects->lock);
    free(objects);
}

int lithops__objects_open(struct lithops__agent *agent, lithops_error *err)
{
    struct lithops__agent_objects *objects = calloc(1, sizeof *objects);
    if (!objects)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    objects->agent = agent;
    objects->listen_fd = objects->event_fd = -1;
    pthread_mutex_init(&objects->lock, NULL);
    int rc = listen_here(objects, err);
    if (rc == 0 && (rc = pthread_create(&objects->thread, NULL, run, objects)) != 0)
        rc = lithops__fail_errno(err, rc, "cannot start a thread");
    if (rc != 0) {
        free_objects(objects);
        return rc;
    }
    agent->objects = objects;
    setenv(LITHOPS__CLIENT_SOCKET, objects->name, 1);
    return 0;
}

void lithops__objects_close(struct lithops__agent *agent)
{
    struct lithops__agent_objects *objects = agent->objects;
    if (!objects)
        return;
    pthread_mutex_lock(&objects->lock);
    objects->is_closing = true;
    pthread_mutex_unlock(&objects->lock);
    wake(objects);
    pthread_join(objects->thread, NULL);
    agent->objects = NULL;
    free_objects(objects);
}
