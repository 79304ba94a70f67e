/* SPDX-License-Identifier: Apache-2.0 */
/* A worker at the end of a socket, and a client that does not keep to the protocol: the link ends
 * with an error that the worker sends first, and the process goes on. */
#include "agent/agent.h"
#include "base/error.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static lithops_error err;

/* Send these bytes and close. @return what the worker's serve() returns; *ret_answer is what it
 * sent, at most `size` bytes */
static int serve(const void *bytes, size_t len, char *ret_answer, size_t size, size_t *ret_len)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(send(ends[0], bytes, len, MSG_NOSIGNAL), len);
    assert_int_equal(shutdown(ends[0], SHUT_WR), 0);
    memset(&err, 0, sizeof err);
    int rc = lithops__agent_serve(&lithops__compute_localhost, ends[1], ends[1], -1, NULL, &err);
    ssize_t n = 0;
    *ret_len = 0;
    while (*ret_len < size && (n = read(ends[0], ret_answer + *ret_len, size - *ret_len)) > 0)
        *ret_len += (size_t)n;
    close(ends[0]);
    return rc;
}

/* The bytes are refused with this code and a message that contains `text`; the client gets both. */
static void is_refused(const void *bytes, size_t len, int code, const char *text)
{
    char answer[65536];
    size_t used, answered;
    struct lithops__frame frame;
    assert_int_equal(serve(bytes, len, answer, sizeof answer, &answered), code);
    if (!strstr(err.message, text))
        fail_msg("\"%s\" in place of \"%s\"", err.message, text);
    assert_int_equal(lithops__frame_read((lithops_bytes){answer, answered}, &frame, &used, &err),
                     1);
    assert_int_equal(frame.type, LITHOPS__MESSAGE_END);
    lithops_value *map = lithops__frame_map(&frame, &err);
    assert_int_equal(lithops_value_get_int(lithops_value_get(map, "code")), code);
    assert_non_null(strstr(lithops_value_get_string(lithops_value_get(map, "message")), text));
    lithops_value_free(map);
}

static void refuses_map(uint16_t type, lithops_value *map, int code, const char *text)
{
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    assert_int_equal(lithops__frame_write(&out, type, 0, map, (lithops_bytes){NULL, 0}, &err), 0);
    is_refused(out.data, out.len, code, text);
    lithops__buffer_deinit(&out);
    lithops_value_free(map);
}

static void test_end(void **state)
{
    (void)state;
    char answer[100];
    size_t len;
    assert_int_equal(serve("", 0, answer, sizeof answer, &len), 0);
    assert_int_equal(len, 0);
    assert_int_equal(serve("\20\0\0\0\1", 5, answer, sizeof answer, &len), 0); /* cut */
    assert_int_equal(len, 0);
}

static void test_noise(void **state)
{
    (void)state;
    static const char other[] = "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n";
    is_refused(other, sizeof other, LITHOPS_EPARSE, "not the protocol");
    char bytes[64];
    memset(bytes, 0xff, sizeof bytes);
    is_refused(bytes, sizeof bytes, LITHOPS_EPARSE, "not the protocol");
}

static void test_order(void **state)
{
    (void)state;
    for (uint16_t type = 0; type < 30; type++)
        if (type != LITHOPS__MESSAGE_HELLO)
            refuses_map(type, lithops_value_map(), LITHOPS_EPARSE, "does not begin with hello");
}

static void test_hello(void **state)
{
    (void)state;
    refuses_map(LITHOPS__MESSAGE_HELLO, lithops_pack("{s:i,s:s}", "protocol", 99, "version", "7.0"),
                LITHOPS_EUNSUPPORTED, "the client is Lithops 7.0 (protocol 99), the worker ");
    refuses_map(LITHOPS__MESSAGE_HELLO, lithops_value_map(), LITHOPS_EUNSUPPORTED, "one version");
    refuses_map(
        LITHOPS__MESSAGE_HELLO,
        lithops_pack("{s:i,s:s}", "protocol", LITHOPS__WIRE_PROTOCOL, "version", lithops_version()),
        LITHOPS_EPARSE, "not complete");
    refuses_map(LITHOPS__MESSAGE_HELLO, lithops_value_list(), LITHOPS_EPARSE, "no map");
}

/* ---- the cache ------------------------------------------------------------------------------- */

/* As image.c writes it. */
struct note {
    char sha256[64];
    uint64_t inode, size;
    int64_t changed_s, changed_ns;
};

static void write_note(int lock_fd, const char *sha256, const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    struct note note = {.inode = status.st_ino,
                        .size = (uint64_t)status.st_size,
                        .changed_s = status.st_ctim.tv_sec,
                        .changed_ns = status.st_ctim.tv_nsec};
    memcpy(note.sha256, sha256, sizeof note.sha256);
    assert_int_equal(pwrite(lock_fd, &note, sizeof note, 0), sizeof note);
}

/* A file that was read once is not read again, unless its inode has changed. */
static void a_noted_file_is_there(void **state)
{
    static const char wrong[] = "0000000000000000000000000000000000000000000000000000000000000000";
    char folder[] = "/tmp/lithops-agent-XXXXXX", name[] = "f", image[8192], path[8192 + 8];
    struct lithops__agent agent = {.cache = {.fd = -1}};
    struct lithops__agent_file file = {.name = name};
    struct lithops__agent_files files = {.files = &file, .count = 1};
    (void)state;
    assert_non_null(mkdtemp(folder));
    setenv("XDG_CACHE_HOME", folder, 1);
    memcpy(file.sha256, wrong, sizeof wrong);
    assert_int_equal(lithops__cache_open(&agent.cache, &err), 0);
    assert_int_equal(lithops__cache_hold(&agent.cache, "image", &files.lock_fd, &err), 0);
    snprintf(image, sizeof image, "%s/images/image", agent.cache.path);
    snprintf(path, sizeof path, "%s/f", image);
    files.folder = image;
    assert_int_equal(mkdir(image, 0700), 0);
    assert_int_equal(close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
    assert_int_equal(lithops__files_look_for(&agent, &files, &file, &err), 0);
    write_note(files.lock_fd, wrong, path);
    assert_int_equal(lithops__files_look_for(&agent, &files, &file, &err), 1);
    assert_int_equal(truncate(path, 1), 0);
    assert_int_equal(lithops__files_look_for(&agent, &files, &file, &err), 0);
    write_note(files.lock_fd, wrong, path);
    memset(file.sha256, '1', 64); /* another content of the same name */
    assert_int_equal(lithops__files_look_for(&agent, &files, &file, &err), 0);
    lithops__cache_close(&agent.cache);
    unsetenv("XDG_CACHE_HOME");
    static const char *const made[] = {"lithops/images/image/f",
                                       "lithops/images/image",
                                       "lithops/images/image.lock",
                                       "lithops/images",
                                       "lithops/objects",
                                       "lithops",
                                       ""};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, made[i]);
        assert_int_equal(remove(path), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_end),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_hello),
        cmocka_unit_test(a_noted_file_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
