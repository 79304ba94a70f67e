/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzer of a whole worker: whatever comes over its link, it ends the link, with or without an
 * error, and frees everything. The worker processes are a stub that lets some calls end and others
 * not, so nothing that the bytes name is ever run.
 *
 * The first byte says whether a valid hello comes before the rest. */
#include "agent/agent.h"
#include "ipc/take.h"
#include "value/value.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- a stub of worker processes ---------------------------------------------------------- */

struct stub {
    struct lithops__table *table;
};

static int capacity(const struct lithops__compute_driver *driver,
                    const struct lithops__config *config, struct lithops__capacity *ret_capacity,
                    lithops_error *err)
{
    (void)driver, (void)config, (void)err;
    *ret_capacity = (struct lithops__capacity){
        .hosts = 1, .workers = 2, .memory_bytes = 4 << 20, .memory_key = "localhost.shared_memory"};
    return 0;
}

static int open_stub(const struct lithops__compute_driver *driver, void *state,
                     struct lithops__table *table, const struct lithops__config *config,
                     const char *const *worker_command, lithops_error *err)
{
    (void)driver, (void)config, (void)worker_command, (void)err;
    ((struct stub *)state)->table = table;
    return 0;
}

static void close_stub(void *state)
{
    (void)state;
}

/* Of four calls in a row one succeeds, one fails, one goes on running and one waits. */
static void offered(void *state, uint32_t range_id, uint64_t calls)
{
    struct lithops__table *table = ((struct stub *)state)->table;
    struct lithops__area *area = &table->area;
    struct lithops__range *range = &area->ranges[range_id];
    (void)calls;
    for (uint64_t i = 0; i < range->count; i++) {
        lithops__state *call = &lithops__range_states(area, range)[i];
        if (i % 4 == 3 || !lithops__take_own(call, 0) || i % 4 == 2)
            continue;
        lithops__range_records(area, range)[i] =
            (struct lithops__record){i, i % 4 ? LITHOPS__CONTENT_ERROR : LITHOPS__CONTENT_INT, 9};
        if (i % 4)
            lithops__range_records(area, range)[i].payload = 0;
        lithops__range_extras(area, range)[i] = 0;
        lithops__take_publish(area, range, call, i % 4 ? LITHOPS__FAILED : LITHOPS__SUCCESS, 0);
    }
    lithops__bell_landed(area->control);
}

static void cancel(void *state, uint32_t range, uint64_t begin, uint64_t end)
{
    struct lithops__table *table = ((struct stub *)state)->table;
    struct lithops__settlement canceled = {.error = {.code = LITHOPS_ECANCELED}};
    for (uint64_t i = begin; i < end; i++)
        (void)lithops__table_settle(table, range, i, lithops__state_make(LITHOPS__RUNNING, 0),
                                    &canceled);
}

static const struct lithops__compute_ops ops = {
    .capacity = capacity,
    .open = open_stub,
    .close = close_stub,
    .offered = offered,
    .cancel = cancel,
};
static const struct lithops__compute_driver driver = {
    .name = "localhost", .mode = "localhost", .state_size = sizeof(struct stub), .ops = &ops};

/* ---- the client ------------------------------------------------------------------------------ */

static void put_hello(struct lithops__buffer *out)
{
    lithops_value *hello =
        lithops_pack("{s:i,s:s,s:s,s:{s:{s:s}},s:[s]}", "protocol", LITHOPS__WIRE_PROTOCOL,
                     "version", lithops_version(), "executor", "fuzzed-0", "config", "lithops",
                     "log_level", "none", "command", "/nothing/is/run");
    if (lithops__frame_write(out, LITHOPS__MESSAGE_HELLO, 0, hello, (lithops_bytes){NULL, 0},
                             NULL) != 0)
        abort();
    lithops_value_free(hello);
}

static char folder[] = "/tmp/lithops-fuzz-XXXXXX";

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status, (void)type, (void)ftw;
    return remove(path);
}

static void remove_folder(void)
{
    (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* For the cache, and whatever else goes to the home folder. */
static void prepare(void)
{
    static bool is_prepared;
    if (is_prepared)
        return;
    if (!mkdtemp(folder) || atexit(remove_folder) != 0)
        abort();
    setenv("XDG_CACHE_HOME", folder, 1);
    setenv("HOME", folder, 1);
    is_prepared = true;
}

/* A client that reads what it gets. */
static void *drain(void *end)
{
    char bytes[65536];
    while (read(*(const int *)end, bytes, sizeof bytes) > 0)
        ;
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { MOST = 150000 }; /* what a socket takes at once */
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    lithops_error err = LITHOPS_ERROR_INIT;
    int ends[2], room = 1 << 20;
    if (size == 0 || size > MOST)
        return 0;
    prepare();
    if (data[0] & 1)
        put_hello(&out);
    lithops__buffer_append(&out, data + 1, size - 1);
    if (out.failed || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        abort();
    for (int i = 0; i < 2; i++)
        (void)setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    if (send(ends[0], out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)out.len) {
        pthread_t reader;
        (void)shutdown(ends[0], SHUT_WR);
        if (pthread_create(&reader, NULL, drain, &ends[0]) != 0)
            abort();
        int rc = lithops__agent_serve(&driver, ends[1], ends[1], -1, NULL, &err);
        if (rc > 0 || (rc != 0 && err.message[0] == '\0'))
            abort();
        pthread_join(reader, NULL);
    } else {
        close(ends[1]);
    }
    close(ends[0]);
    lithops__buffer_deinit(&out);
    return 0;
}
