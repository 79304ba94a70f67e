/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzer of a whole relay: whatever a worker sends, the link ends or goes on, and once the relay is
 * closed each call has one outcome.
 *
 * The first byte says whether a valid hello comes before the rest; the second, how many calls are
 * sent before that. */
#include "base/error.h"
#include "compute/setup.h"
#include "ipc/bell.h"
#include "relay/relay.h"
#include "value/value.h"
#include "wire/message.h"

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PROCESSES = 3, CALLS = 40, LINKS = 1 };

/* ---- a fake worker ------------------------------------------------------------------- */

struct fake {
    const uint8_t *bytes;
    size_t len;
    bool has_hello;
    bool was_connected;
    pthread_t thread;
    int socket;
    sem_t over;
};
static struct fake fake; /* of the one link */

static void say(const void *bytes, size_t len)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t n = send(fake.socket, at, len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        at += n;
        len -= (size_t)n;
    }
}

static void say_hello(void)
{
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    lithops_value *hello =
        lithops_pack("{s:i,s:s,s:i,s:i}", "protocol", LITHOPS__WIRE_PROTOCOL, "version",
                     lithops_version(), "processes", PROCESSES, "now_ns", 12345);
    if (lithops__frame_write(&out, LITHOPS__MESSAGE_HELLO, 0, hello, (lithops_bytes){NULL, 0},
                             NULL) != 0)
        abort();
    lithops_value_free(hello);
    say(out.data, out.len);
    lithops__buffer_deinit(&out);
}

/* Read until `count` calls have come; false: the client has ended the link. */
static bool hear_calls(struct lithops__buffer *in, unsigned calls)
{
    unsigned heard = 0;
    while (heard < calls) {
        struct lithops__frame frame;
        size_t used, at = 0;
        void *room = lithops__buffer_reserve(in, 65536);
        ssize_t n = room ? read(fake.socket, room, 65536) : 0;
        if (n <= 0)
            return false;
        in->len += (size_t)n;
        while (lithops__frame_read((lithops_bytes){in->data + at, in->len - at}, &frame, &used,
                                   NULL) == 1) {
            struct lithops__run run;
            if (frame.type == LITHOPS__MESSAGE_RUN &&
                lithops__run_read(frame.payload, &run, NULL) == 0)
                heard += run.count;
            at += used;
        }
        memmove(in->data, in->data + at, in->len - at);
        in->len -= at;
    }
    return true;
}

static void *be_worker(void *user)
{
    struct lithops__buffer in = LITHOPS__BUFFER_INIT;
    char rest[4096];
    (void)user;
    if (fake.has_hello) {
        say_hello();
        (void)hear_calls(&in, PROCESSES);
    }
    say(fake.bytes, fake.len);
    (void)shutdown(fake.socket, SHUT_WR);
    while (read(fake.socket, rest, sizeof rest) > 0)
        ;
    close(fake.socket);
    lithops__buffer_deinit(&in);
    return NULL;
}

static int open_state(const lithops_link_driver *driver, void *state, const lithops_value *settings,
                      const char *program, lithops_workers *ret_workers, lithops_error *err)
{
    (void)driver, (void)state, (void)settings, (void)program, (void)err;
    *ret_workers = (lithops_workers){.workers = LINKS, .worker_processes = PROCESSES};
    return 0;
}

static void close_state(void *state)
{
    (void)state;
}

static void name(void *state, uint32_t worker, char *buf, size_t size)
{
    (void)state, (void)worker;
    if (size)
        buf[0] = '\0';
}

static int connect_once(void *state, uint32_t worker, int cancel_fd, lithops_link *ret_link,
                        lithops_error *err)
{
    int ends[2];
    (void)state, (void)worker, (void)cancel_fd;
    if (fake.was_connected)
        return lithops__fail(err, LITHOPS_EBACKEND, "it comes once");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        abort();
    fake.was_connected = true;
    fake.socket = ends[1];
    if (pthread_create(&fake.thread, NULL, be_worker, NULL) != 0)
        abort();
    *ret_link = (lithops_link){.read_fd = ends[0], .write_fd = ends[0]};
    return 0;
}

static void disconnect(void *state, const lithops_link *link, char *ret_how, size_t size)
{
    (void)state, (void)link, (void)ret_how, (void)size;
    pthread_join(fake.thread, NULL);
    sem_post(&fake.over);
}

static const lithops_link_ops ops = {
    .open = open_state,
    .close = close_state,
    .name = name,
    .connect = connect_once,
    .disconnect = disconnect,
};
static const lithops_link_driver links = {
    .abi = LITHOPS_COMPUTE_ABI, .name = "process", .ops = &ops};

/* ---- the client ------------------------------------------------------------------------------ */

static int never(lithops_call *call)
{
    (void)call;
    return 0;
}

/* A map over a range of numbers, offered. */
static uint32_t offer_calls(struct lithops__table *table)
{
    const lithops_function function = {
        LITHOPS_FUNCTION_MAGIC, "f", never, NULL, "f", NULL, NULL, NULL};
    const struct lithops__job_name job = {"fuzzed-0", 'M', 0, 0};
    uint32_t number, range;
    pthread_mutex_lock(&table->lock);
    if (lithops__table_function(table, &function, &number, NULL) != 0 ||
        lithops__table_new_range(table, number, CALLS, CALLS, LITHOPS__PENDING, &job, &range,
                                 NULL) != 0)
        abort();
    table->area.ranges[range].input_kind = LITHOPS__INPUT_RANGE;
    table->area.ranges[range].job_kind = 'M';
    lithops__table_publish_range(table, range);
    if (lithops__table_offer(table, range, 0, CALLS, NULL) != 0)
        abort();
    lithops__bell_ring(table->area.control);
    pthread_mutex_unlock(&table->lock);
    return range;
}

static void check_calls(struct lithops__table *table, uint32_t number)
{
    struct lithops__range *range = &table->area.ranges[number];
    lithops_error closed = LITHOPS_ERROR_INIT;
    lithops__fail(&closed, LITHOPS_ECANCELED, "closed");
    struct lithops__settlement settlement = {.error = closed};
    for (uint64_t i = 0; i < CALLS; i++) {
        uint16_t state = atomic_load(&lithops__range_states(&table->area, range)[i]);
        if (state == LITHOPS__PENDING)
            (void)lithops__table_settle(table, number, i, LITHOPS__PENDING, &settlement);
        else if (!lithops__state_is_done(state))
            abort(); /* nobody will ever give it an outcome */
    }
    lithops__table_free_range(table, number);
}

static void run(const struct lithops__config *config)
{
    static const char *const command[] = {"/nothing/is/run", NULL};
    struct lithops__table table;
    struct lithops__tick_clock clock;
    struct lithops__relay *relay;
    lithops_error err = LITHOPS_ERROR_INIT;
    if (lithops__table_open(&table, "fuzzed-0", LINKS, 4 << 20, &err) != 0)
        abort();
    lithops__tick_clock_init(&clock);
    lithops__table_name_memory(&table, "process.shared_memory");
    lithops__compute_setup(&table, config, &clock);
    if (lithops__relay_open(&links, NULL, &table, config, command, &relay, &err) != 0)
        abort();
    uint32_t range = offer_calls(&table);
    while (sem_wait(&fake.over) != 0)
        ;
    lithops__relay_close(relay);
    pthread_mutex_lock(&table.lock);
    check_calls(&table, range);
    pthread_mutex_unlock(&table.lock);
    lithops__table_close(&table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct lithops__config *config;
    if (size == 0)
        return 0;
    if (!config) {
        lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
        lithops_value *empty = lithops_pack("{s:{s:s}}", "lithops", "log_level", "none");
        options.config = empty;
        if (lithops__config_load(&options, &config, NULL) != 0)
            abort();
        lithops_value_free(empty);
    }
    memset(&fake, 0, sizeof fake);
    fake.has_hello = data[0] & 1;
    fake.bytes = data + 1;
    fake.len = size - 1;
    sem_init(&fake.over, 0, 0);
    run(config);
    sem_destroy(&fake.over);
    return 0;
}
