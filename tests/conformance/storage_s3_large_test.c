/* SPDX-License-Identifier: Apache-2.0 */
/* Large objects over a real S3 server, started by tests/servers/with-s3: memory stays bounded, a
 * failed upload leaves nothing, and a server that is stopped, or killed and started again, in the
 * middle of it does no harm. Buckets as a part of the host's name, too.
 *
 * Disturbances need no clock: the thread that feeds or drains a pipe makes them at a certain byte,
 * and the storage's `interrupted`, which is asked while a request waits, ends them. */
#include "../sanitizers.h"
#include "storage/backends/s3/s3.h"
#include "storage/handle.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB ((size_t)1 << 20)
enum { SIZE_MIB = 40, DISTURBED_MIB = 20 };

extern char **environ;
static lithops_error err;
static lithops_storage *storage;
static pid_t server, own_server;

static lithops_storage *open_at(const char *endpoint, const char *style)
{
    lithops_value *settings = lithops_pack(
        "{s:s,s:s,s:s,s:s,s:s}", "endpoint", endpoint, "access_key_id",
        getenv("LITHOPS_TEST_S3_ACCESS_KEY"), "secret_access_key",
        getenv("LITHOPS_TEST_S3_SECRET_KEY"), "storage_bucket", "large", "addressing_style", style);
    lithops_storage *opened =
        lithops__storage_open_driver(&lithops__storage_ceph, settings, "large", &err);
    lithops_value_free(settings);
    if (!opened)
        fail_msg("%s", err.message);
    return opened;
}

static int set_up(void **state)
{
    (void)state;
    err = (lithops_error)LITHOPS_ERROR_INIT;
    storage = open_at(getenv("LITHOPS_TEST_S3_ENDPOINT"), "path");
    return lithops_storage_create_bucket(storage, "large", &err);
}

static int tear_down(void **state)
{
    (void)state;
    lithops_storage_close(storage);
    return 0;
}

/* ---- what is left in the bucket -------------------------------------------------------------- */

static size_t count_uploads(void)
{
    const struct lithops__s3_request request = {
        .method = "GET", .bucket = "large", .query = "uploads="};
    lithops_error own = LITHOPS_ERROR_INIT;
    unsigned pause = 0;
    const lithops_storage_op op = {.deadline_ns = UINT64_MAX, .err = &own, .retry_after_s = &pause};
    char *document;
    size_t len, count = 0;
    if (lithops__s3_fetch(storage->state, &request, &op, &document, &len) != 0)
        fail_msg("%s", own.message);
    assert_non_null(strstr(document, "<ListMultipartUploadsResult"));
    for (const char *at = document; (at = strstr(at, "<Upload>")) != NULL; at++)
        count++;
    free(document);
    return count;
}

static bool exists(const char *key)
{
    lithops_object_info info;
    lithops_error own = LITHOPS_ERROR_INIT;
    return lithops_storage_head(storage, "large", key, &info, &own) == 0;
}

/* ---- disturbances ---------------------------------------------------------------------------- */

enum { STAYS, STOPS, DIES };

/* What the pipe's thread does to the server in the middle, and `interrupted` undoes. */
static struct {
    int kind;
    _Atomic bool done;
    unsigned asked; /* while it lasted */
} disturbance;

static void disturb(void)
{
    if (disturbance.kind == STOPS)
        kill(server, SIGSTOP);
    else if (disturbance.kind == DIES)
        kill(server, SIGKILL);
    disturbance.done = true;
}

static void start_server(void)
{
    const char *const command[] = {"setpriv", "--pdeathsig", "KILL",       "radosgw",
                                   "-f",      "-n",          "client.rgw", NULL};
    posix_spawn_file_actions_t quiet;
    if (own_server > 0)
        waitpid(own_server, NULL, 0);
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&quiet, STDOUT_FILENO, STDERR_FILENO);
    setenv("CEPH_CONF", getenv("LITHOPS_TEST_S3_CONF"), 1);
    assert_int_equal(
        posix_spawnp(&own_server, command[0], &quiet, NULL, (char *const *)command, environ), 0);
    unsetenv("CEPH_CONF");
    posix_spawn_file_actions_destroy(&quiet);
    server = own_server;
}

static bool repair(void *user)
{
    (void)user;
    if (!disturbance.done || ++disturbance.asked != 3)
        return false;
    if (disturbance.kind == STOPS)
        kill(server, SIGCONT);
    else if (disturbance.kind == DIES)
        start_server();
    return false;
}

static void expect_disturbance(int kind)
{
    disturbance.kind = kind;
    disturbance.done = false;
    disturbance.asked = 0;
    lithops__storage_set_retries(storage, 14, 100);
    lithops_storage_set_bounds(storage, 100000, repair, NULL, NULL);
}

/* ---- a pipe's other end ---------------------------------------------------------------------- */

struct end {
    int fd;
    size_t size, wrong;
    bool stays_open;
};

static unsigned char byte_at(size_t at)
{
    return (unsigned char)(at * 2654435761u >> 17);
}

NOT_WATCHED static void fill(unsigned char *piece, size_t at)
{
    for (size_t i = 0; i < MIB; i++)
        piece[i] = byte_at(at + i);
}

NOT_WATCHED static size_t count_wrong(const unsigned char *bytes, size_t len, size_t at)
{
    size_t wrong = 0;
    for (size_t i = 0; i < len; i++)
        wrong += bytes[i] != byte_at(at + i);
    return wrong;
}

static void *feed(void *user)
{
    struct end *end = user;
    unsigned char *piece = malloc(MIB);
    for (size_t at = 0; at < end->size; at += MIB) {
        if (at == DISTURBED_MIB * MIB)
            disturb();
        fill(piece, at);
        for (size_t done = 0; done < MIB;) {
            ssize_t put = write(end->fd, piece + done, MIB - done);
            if (put <= 0) {
                at = end->size; /* the reader has gone */
                break;
            }
            done += (size_t)put;
        }
    }
    free(piece);
    if (!end->stays_open)
        close(end->fd);
    return NULL;
}

static void *drain(void *user)
{
    struct end *end = user;
    unsigned char *piece = malloc(MIB);
    bool disturbed = false;
    ssize_t got;
    while ((got = read(end->fd, piece, MIB)) > 0) {
        end->wrong += count_wrong(piece, (size_t)got, end->size);
        end->size += (size_t)got;
        if (!disturbed && end->size >= DISTURBED_MIB * MIB) {
            disturbed = true;
            disturb();
        }
    }
    free(piece);
    return NULL;
}

static int put_piped(const char *key, size_t size, bool stays_open)
{
    int ends[2];
    pthread_t thread;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct end end = {.fd = ends[1], .size = size, .stays_open = stays_open};
    assert_int_equal(pthread_create(&thread, NULL, feed, &end), 0);
    int rc = lithops_storage_put_fd(storage, "large", key, ends[0], &err);
    close(ends[0]);
    pthread_join(thread, NULL);
    if (stays_open)
        close(ends[1]);
    return rc;
}

static void expect_object(const char *key, size_t size)
{
    int ends[2];
    pthread_t thread;
    uint64_t got = 0;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct end end = {.fd = ends[0]};
    assert_int_equal(pthread_create(&thread, NULL, drain, &end), 0);
    int rc = lithops_storage_get_fd(storage, "large", key, ends[1], &got, &err);
    close(ends[1]);
    pthread_join(thread, NULL);
    close(ends[0]);
    if (rc)
        fail_msg("%s", err.message);
    assert_int_equal(end.size, size);
    assert_int_equal(got, size);
    assert_int_equal(end.wrong, 0);
}

static void expect_file(const char *key, size_t size)
{
    int fd = memfd_create("object", MFD_CLOEXEC);
    uint64_t got = 0;
    if (lithops_storage_get_fd(storage, "large", key, fd, &got, &err) != 0)
        fail_msg("%s", err.message);
    assert_int_equal(got, size);
    unsigned char *data = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(data, MAP_FAILED);
    assert_int_equal(count_wrong(data, size, 0), 0);
    munmap(data, size);
    close(fd);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void a_server_that_is_disturbed_does_no_harm(int kind)
{
    expect_disturbance(kind);
    if (put_piped("disturbed", SIZE_MIB * MIB, false) != 0)
        fail_msg("%s", err.message);
    assert_true(disturbance.done);
    if (kind != STAYS)
        assert_true(disturbance.asked >= 3);
    assert_int_equal(count_uploads(), 0);
    expect_disturbance(kind);
    expect_object("disturbed", SIZE_MIB * MIB);
    if (kind != STAYS)
        assert_true(disturbance.asked >= 3);
    expect_disturbance(kind); /* before the first byte of parallel parts */
    disturb();
    expect_file("disturbed", SIZE_MIB * MIB);
}

static void a_server_stays(void **state)
{
    (void)state;
    a_server_that_is_disturbed_does_no_harm(STAYS);
}

static void a_server_is_stopped_and_goes_on(void **state)
{
    (void)state;
    a_server_that_is_disturbed_does_no_harm(STOPS);
}

static void a_server_is_killed_and_comes_back(void **state)
{
    (void)state;
    a_server_that_is_disturbed_does_no_harm(DIES);
}

static size_t uploads_seen;

/* As soon as there is an upload. */
static bool give_up(void *user)
{
    unsigned *asked = user;
    if (++*asked % 16 == 0)
        uploads_seen = count_uploads();
    return uploads_seen > 0;
}

static void a_put_that_is_given_up_leaves_nothing(void **state)
{
    (void)state;
    unsigned asked = 0;
    uploads_seen = 0;
    disturbance.kind = STAYS;
    lithops_storage_set_bounds(storage, LITHOPS_FOREVER, give_up, &asked, NULL);
    assert_int_equal(put_piped("given-up", SIZE_MIB * MIB, true), LITHOPS_ECANCELED);
    assert_int_equal(uploads_seen, 1); /* it was under way */
    assert_int_equal(count_uploads(), 0);
    lithops_storage_set_bounds(storage, 300, NULL, NULL, NULL);
    assert_int_equal(put_piped("too-slow", SIZE_MIB * MIB, true), LITHOPS_ETIMEDOUT);
    lithops_storage_set_bounds(storage, LITHOPS_FOREVER, NULL, NULL, NULL);
    assert_int_equal(count_uploads(), 0);
    assert_false(exists("given-up"));
    assert_false(exists("too-slow"));
}

static bool change_last_byte(void *user)
{
    const unsigned char last = (unsigned char)~byte_at(8 * MIB - 1);
    (void)pwrite(*(const int *)user, &last, 1, (off_t)(8 * MIB - 1));
    return false;
}

/* Its hash is sent before it. */
static void a_part_that_changes_while_it_is_sent_is_refused(void **state)
{
    (void)state;
    const lithops_storage_ops *ops = storage->driver->ops;
    char etags[1][128] = {""};
    lithops_storage_upload upload = {
        .bucket = "large", .key = "changed", .etags = etags, .count = 1, .size_bytes = 8 * MIB};
    int fd = memfd_create("part", MFD_CLOEXEC);
    unsigned char *piece = malloc(MIB);
    for (size_t at = 0; at < 8 * MIB; at += MIB) {
        fill(piece, at);
        assert_int_equal(write(fd, piece, MIB), MIB);
    }
    free(piece);
    unsigned pause = 0;
    lithops_storage_op op = {.deadline_ns = UINT64_MAX, .err = &err, .retry_after_s = &pause};
    assert_int_equal(ops->upload_begin(storage->state, &upload, &op), 0);
    op.interrupted = change_last_byte;
    op.user = &fd;
    assert_int_equal(ops->upload_part_fd(storage->state, &upload, 0, fd, 0, (size_t)(8 * MIB), &op),
                     LITHOPS_EBACKEND);
    assert_true(err.retryable);
    assert_non_null(strstr(err.message, "changes while it is sent"));
    err = (lithops_error)LITHOPS_ERROR_INIT;
    assert_int_equal(ops->upload_abort(storage->state, &upload, &op), 0);
    assert_int_equal(count_uploads(), 0);
    free(upload.id);
    close(fd);
}

/* The old object stays until the new one is whole. */
static void a_failed_put_keeps_the_old_object(void **state)
{
    (void)state;
    unsigned asked = 0;
    void *data;
    size_t len;
    uploads_seen = 0;
    assert_int_equal(lithops_storage_put(storage, "large", "kept", (lithops_bytes){"old", 3}, &err),
                     0);
    lithops_storage_set_bounds(storage, LITHOPS_FOREVER, give_up, &asked, NULL);
    assert_int_equal(put_piped("kept", SIZE_MIB * MIB, true), LITHOPS_ECANCELED);
    lithops_storage_set_bounds(storage, LITHOPS_FOREVER, NULL, NULL, NULL);
    assert_int_equal(lithops_storage_get(storage, "large", "kept", 0, SIZE_MAX, &data, &len, &err),
                     0);
    assert_int_equal(len, 3);
    free(data);
}

static void memory_is_bounded(void **state)
{
    (void)state;
    enum { LARGE_MIB = 400, MOST_MIB = 160 };
    struct rusage after;
    disturbance.kind = STAYS;
    if (put_piped("memory", LARGE_MIB * MIB, false) != 0)
        fail_msg("%s", err.message);
    expect_object("memory", LARGE_MIB * MIB);
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    uint64_t got = 0;
    assert_int_equal(lithops_storage_get_fd(storage, "large", "memory", fd, &got, &err), 0);
    getrusage(RUSAGE_SELF, &after);
    close(fd);
    if (!UNDER_SANITIZER) /* which keep freed memory */
        assert_true(after.ru_maxrss < MOST_MIB * 1024L);
    assert_int_equal(lithops_storage_delete(storage, "large", "memory", &err), 0);
}

/* libcurl takes every name below "localhost" for this machine. */
static void a_bucket_may_be_in_the_name_of_the_host(void **state)
{
    (void)state;
    char endpoint[64];
    const char *port = strrchr(getenv("LITHOPS_TEST_S3_ENDPOINT"), ':');
    snprintf(endpoint, sizeof endpoint, "http://localhost%s", port);
    lithops_storage *virtual_host = open_at(endpoint, "virtual");
    void *data;
    size_t len;
    assert_int_equal(lithops_storage_put(virtual_host, "large", "a b/c+d",
                                         (lithops_bytes){"in the host", 11}, &err),
                     0);
    lithops_storage_close(virtual_host);
    assert_int_equal(
        lithops_storage_get(storage, "large", "a b/c+d", 0, SIZE_MAX, &data, &len, &err), 0);
    assert_int_equal(len, 11);
    free(data);
    virtual_host = open_at("http://localhost:1", "virtual");
    lithops__storage_set_retries(virtual_host, 1, 0);
    assert_int_equal(lithops_storage_get(virtual_host, "large", "k", 0, 1, &data, &len, &err),
                     LITHOPS_EBACKEND);
    assert_non_null(strstr(err.message, "large.localhost")); /* so the host was the bucket's */
    lithops_storage_close(virtual_host);
}

int main(void)
{
    if (!getenv("LITHOPS_TEST_S3_ENDPOINT")) {
        print_message("run this by tests/servers/with-s3\n");
        return 1;
    }
    setenv("no_proxy", "*", 1);
    signal(SIGPIPE, SIG_IGN);
    server = (pid_t)atoi(getenv("LITHOPS_TEST_S3_PID"));
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_bucket_may_be_in_the_name_of_the_host),
        TEST(memory_is_bounded),
        TEST(a_put_that_is_given_up_leaves_nothing),
        TEST(a_part_that_changes_while_it_is_sent_is_refused),
        TEST(a_failed_put_keeps_the_old_object),
        TEST(a_server_stays),
        TEST(a_server_is_stopped_and_goes_on),
        TEST(a_server_is_killed_and_comes_back),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (own_server > 0) {
        kill(own_server, SIGKILL);
        waitpid(own_server, NULL, 0);
    }
    return failed;
}
