/* SPDX-License-Identifier: Apache-2.0 */
#include "carrier/carrier_parts.h"

#include "config/storage.h"
#include "storage/drivers.h"
#include "wire/numbers.h"

#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char folder[] = "/tmp/lithops-carrier-XXXXXX";
lithops_error err = LITHOPS_ERROR_INIT;

/* ---- a storage ------------------------------------------------------------------------------- */

struct server server;
const char *monitoring = "storage";
lithops_value *(*broker_section)(void);
double monitoring_interval = 0.1;

static const lithops_storage_ops *local(void)
{
    return lithops__storage_localhost.ops;
}

/* The put that has stalled; key NULL: none has. */
static struct {
    void *state;
    char *bucket, *key, *body;
    size_t len;
} stalled;

static int stall(void *state, const char *bucket, const char *key, lithops_bytes body,
                 const lithops_storage_op *op)
{
    while (!op->interrupted(op->user))
        (void)nanosleep(&(struct timespec){0, 10000000}, NULL);
    assert_null(stalled.key);
    stalled.state = state;
    stalled.bucket = strdup(bucket);
    stalled.key = strdup(key);
    stalled.body = memcpy(malloc(body.len), body.ptr, body.len);
    stalled.len = body.len;
    return lithops__fail(op->err, LITHOPS_ECANCELED, "given up");
}

void carry_out(void)
{
    const lithops_storage_op op = {.deadline_ns = UINT64_MAX, .err = &err};
    if (!stalled.key)
        return;
    assert_int_equal(local()->put(stalled.state, stalled.bucket, stalled.key,
                                  (lithops_bytes){stalled.body, stalled.len}, &op),
                     0);
    free(stalled.bucket);
    free(stalled.key);
    free(stalled.body);
    stalled.key = NULL;
}

static int head(void *state, const char *bucket, const char *key, lithops_object_info *ret_info,
                const lithops_storage_op *op)
{
    int rc = local()->head(state, bucket, key, ret_info, op);
    if (stalled.key && strcmp(key, stalled.key) == 0)
        carry_out();
    return rc;
}

static int put(void *state, const char *bucket, const char *key, lithops_bytes body,
               const lithops_storage_op *op)
{
    atomic_fetch_add(&server.puts, 1);
    if (atomic_load(&server.stalls))
        return stall(state, bucket, key, body, op);
    return atomic_load(&server.refuses)
               ? lithops__fail(op->err, LITHOPS_EDENIED, "no permission to write")
               : local()->put(state, bucket, key, body, op);
}

static int read_object(void *state, const char *bucket, const char *key,
                       lithops_storage_cursor *cursor, uint64_t offset, void *buf, size_t len,
                       size_t *ret_len, const lithops_storage_op *op)
{
    atomic_fetch_add(&server.reads, 1);
    return local()->read(state, bucket, key, cursor, offset, buf, len, ret_len, op);
}

static int del(void *state, const char *bucket, const char *key, const lithops_storage_op *op)
{
    atomic_fetch_add(&server.deletes, 1);
    return local()->del(state, bucket, key, op);
}

struct listing {
    int (*visit)(const lithops_object_info *info, void *user);
    void *user;
    unsigned known, count;
};

static int visit_known(const lithops_object_info *info, void *user)
{
    struct listing *listing = user;
    return ++listing->count > listing->known ? 0 : listing->visit(info, listing->user);
}

/* With `lags`, a new object is seen by the second list after it was put, and the last of several
 * is not seen before others have been deleted. */
static int list(void *state, const char *bucket, const char *prefix, const char *after,
                int (*visit)(const lithops_object_info *info, void *user), void *user,
                const lithops_storage_op *op)
{
    bool lags = atomic_load(&server.lags);
    struct listing listing = {visit, user, lags ? atomic_load(&server.known) : UINT32_MAX, 0};
    atomic_fetch_add(&server.lists, 1);
    int rc = local()->list(state, bucket, prefix, after, visit_known, &listing, op);
    atomic_store(&server.known, listing.count);
    return rc;
}

static lithops_storage_ops ops;
static lithops_storage_driver driver;

int set_up(void **state)
{
    (void)state;
    ops = *local();
    ops.put = put;
    ops.read = read_object;
    ops.list = list;
    ops.del = del;
    ops.head = head;
    driver = lithops__storage_localhost;
    driver.name = "lagging";
    driver.ops = &ops;
    return mkdtemp(folder) ? lithops_storage_register(&driver, &err) : -1;
}

int tear_down(void **state)
{
    char rm[] = "rm", options[] = "-rf";
    char *const arguments[] = {rm, options, folder, NULL};
    pid_t child;
    int status = -1;
    (void)state;
    if (posix_spawnp(&child, "rm", NULL, NULL, arguments, environ) == 0)
        waitpid(child, &status, 0);
    return status;
}

struct lithops__config *configure(void)
{
    struct lithops__config *config = NULL;
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_value *value =
        lithops_pack("{s:{s:s,s:f,s:f,s:s},s:{s:s}}", "lithops", "storage", "lagging",
                     "monitoring_interval", monitoring_interval, "status_interval", 0.5,
                     "monitoring", monitoring, "lagging", "storage_root", folder);
    if (broker_section)
        assert_int_equal(lithops_value_set(value, monitoring, broker_section()), 0);
    options.config = value;
    assert_int_equal(lithops__config_load(&options, &config, &err), 0);
    lithops_value_free(value);
    return config;
}

static int count_one(const lithops_object_info *info, void *user)
{
    (void)info;
    ++*(unsigned *)user;
    return 0;
}

unsigned count_objects(struct lithops__config *config)
{
    unsigned count = 0;
    lithops_storage *storage = lithops__storage_open(config, NULL, &err);
    int rc = lithops_storage_list(storage, lithops_storage_bucket(storage), "lithops.jobs/",
                                  count_one, &count, &err);
    assert_true(rc == 0 || rc == LITHOPS_ENOTFOUND);
    lithops_storage_close(storage);
    return count;
}

/* ---- frames ---------------------------------------------------------------------------------- */

void say(int fd, uint16_t type, uint16_t flags, uint32_t stream, size_t len)
{
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    size_t at = lithops__frame_begin(&out, type, flags, stream);
    memset(lithops__buffer_reserve(&out, len), (int)(stream & 255), len);
    out.len += len;
    lithops__frame_end(&out, at);
    for (size_t sent = 0; sent < out.len;) {
        ssize_t n = send(fd, out.data + sent, out.len - sent, MSG_NOSIGNAL);
        assert_true(n > 0);
        sent += (size_t)n;
    }
    lithops__buffer_deinit(&out);
}

static void read_all(int fd, void *to, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = recv(fd, (char *)to + got, len - got, 0);
        assert_true(n > 0);
        got += (size_t)n;
    }
}

void hear(int fd, uint16_t type, uint32_t stream, size_t len)
{
    unsigned char header[LITHOPS__FRAME_HEADER];
    char *body = malloc(len + 1);
    read_all(fd, header, sizeof header);
    assert_int_equal(lithops__get_u16(header + 4), type);
    assert_int_equal(lithops__get_u32(header + 8), stream);
    assert_int_equal(lithops__get_u32(header), len);
    read_all(fd, body, len);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(body[i] & 255, stream & 255);
    free(body);
}

/* ---- links ----------------------------------------------------------------------------------- */

void connect_both(struct both *both)
{
    both->config = configure();
    assert_int_equal(lithops__carrier_open(both->config, "abc-0", 2, &both->carrier, &err), 0);
    assert_int_equal(lithops__carrier_connect(both->carrier, 1, both->key, &both->client, &err), 0);
    assert_int_equal(
        lithops__carrier_join(both->config, both->key, &both->carried, &both->worker, &err), 0);
    say(both->client, LITHOPS__MESSAGE_HELLO, 0, 7, 100);
    hear(both->worker, LITHOPS__MESSAGE_HELLO, 7, 100);
    say(both->worker, LITHOPS__MESSAGE_HELLO, 0, 8, 100);
    hear(both->client, LITHOPS__MESSAGE_HELLO, 8, 100);
}

void end_both(struct both *both)
{
    char how[256] = "";
    close(both->worker);
    assert_int_equal(lithops__carrier_leave(both->carried, false, &err), 0);
    close(both->client);
    lithops__carrier_disconnect(both->carrier, 1, how, sizeof how);
    assert_string_equal(how, "");
    lithops__carrier_close(both->carrier);
    assert_int_equal(count_objects(both->config), 0);
    lithops__config_free(both->config);
}

void talk(struct both *both)
{
    for (uint32_t i = 0; i < 5; i++) {
        say(both->client, LITHOPS__MESSAGE_RUN, 0, i, 1000);
        hear(both->worker, LITHOPS__MESSAGE_RUN, i, 1000);
        say(both->worker, LITHOPS__MESSAGE_OUTCOMES, LITHOPS__FRAME_SOON, i, 1000);
        hear(both->client, LITHOPS__MESSAGE_OUTCOMES, i, 1000);
    }
}
