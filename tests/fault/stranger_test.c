/* SPDX-License-Identifier: Apache-2.0 */
/* Links over TCP, where others are on the same network: what they send disturbs nobody, and the
 * secret is seen by none but its worker. */
#include "fault.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STRANGERS = 300, CALLS = 2000 };

static lithops_executor *open_tcp(unsigned port)
{
    return fault_open_links("process", 0,
                            lithops_pack("{s:s,s:i,s:i,s:i}", "transport", "tcp", "workers", 2,
                                         "worker_processes", 1, "tcp_port", (int)port));
}

/* One that nobody has: it was ours, and nothing was ever connected to it. */
static unsigned free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(bind(fd, (const struct sockaddr *)&address, size), 0);
    CHECK_INT(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static int connect_to(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(0x7f000001),
                                  .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

LITHOPS_FUNCTION(square_slowly)
{
    int64_t n = lithops_call_int(call);
    poll(NULL, 0, (int)(n % 2));
    return lithops_return_int(call, n * n);
}

/* They say nothing, or anything, or half of something, while calls run. */
FAULT_CASE(strangers_disturb_nobody)
{
    static const char *const said[] = {"", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02",
                                       "SSH-2.0-x\r\n", "\x10"};
    lithops_error err = LITHOPS_ERROR_INIT;
    unsigned port = free_port();
    lithops_executor *fexec = open_tcp(port);
    fault_check_works(fexec, 10); /* so it listens */
    lithops_futures *futures =
        lithops_map(fexec, square_slowly, lithops_range(0, CALLS), NULL, &err);
    int fds[STRANGERS];
    for (size_t i = 0; i < STRANGERS; i++) {
        const char *text = said[i % (sizeof said / sizeof *said)];
        fds[i] = connect_to(port);
        (void)send(fds[i], text, strlen(text), MSG_NOSIGNAL);
    }
    fault_await_all(futures);
    CHECK_INT(fault_check_squares(futures, CALLS, 0), 0);
    lithops_futures_unref(futures);
    for (size_t i = 0; i < STRANGERS; i++)
        close(fds[i]);
    fault_check_works(fexec, 100);
    lithops_executor_close(fexec);
    CHECK_INT(fault_children(NULL, 0), 0);
}

/* The longest run of hexadecimal digits in what `path` has. */
static size_t longest_hex(const char *path)
{
    char text[65536];
    size_t longest = 0, run = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? 0 : read(fd, text, sizeof text);
    if (fd >= 0)
        close(fd);
    for (ssize_t i = 0; i < len; i++) {
        run = strchr("0123456789abcdef", text[i]) && text[i] ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    return longest;
}

/* -> whether this process was told the secret of its worker */
LITHOPS_FUNCTION(was_told)
{
    return lithops_return_int(call, getenv("LITHOPS_WORKER_SECRET") != NULL);
}

FAULT_CASE(the_secret_is_in_no_argument)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_tcp(0);
    pid_t workers[2];
    char path[64];
    int64_t told = -1;
    lithops_future *future = lithops_call_async(fexec, was_told, lithops_value_int(0), NULL, &err);
    CHECK_INT(lithops_future_result(future, FAULT_WAIT_MS, &err, "I", &told), 0);
    CHECK_INT(told, 0);
    lithops_future_unref(future);
    CHECK_INT(fault_children(workers, 2), 2);
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "/proc/%d/cmdline", (int)workers[i]);
        CHECK(longest_hex(path) > 0);
        CHECK(longest_hex(path) < 64);
    }
    lithops_executor_close(fexec);
}

/* A worker that is started by hand, or with what was overheard elsewhere. */
FAULT_CASE(a_worker_without_the_secret_ends)
{
    char folder[] = "/tmp/lithops-stranger-XXXXXX", arguments[64], said[4096];
    char secret[80] = "0-1:";
    unsigned port = free_port();
    CHECK(mkdtemp(folder) != NULL);
    lithops_executor *fexec = open_tcp(port);
    fault_check_works(fexec, 10);
    snprintf(arguments, sizeof arguments, "worker --connect 127.0.0.1:%u", port);
    CHECK(fault_command(FAULT_COMMAND, folder, "", arguments, said, sizeof said) != 0);
    CHECK(strstr(said, "needs the secret that the client gave") != NULL);
    memset(secret + 4, 'a', 64);
    setenv("LITHOPS_WORKER_SECRET", secret, 1);
    CHECK(fault_command(FAULT_COMMAND, folder, "", arguments, said, sizeof said) != 0);
    CHECK(strstr(said, "does not accept this worker's secret") != NULL);
    snprintf(arguments, sizeof arguments, "worker --connect 127.0.0.1:%u", free_port());
    CHECK(fault_command(FAULT_COMMAND, folder, "", arguments, said, sizeof said) != 0);
    CHECK(strstr(said, "Connection refused") != NULL);
    unsetenv("LITHOPS_WORKER_SECRET");
    fault_check_works(fexec, 10);
    lithops_executor_close(fexec);
    snprintf(arguments, sizeof arguments, "%s/command.yaml", folder);
    CHECK_INT(unlink(arguments), 0);
    CHECK_INT(rmdir(folder), 0);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strangers_disturb_nobody),
        cmocka_unit_test(the_secret_is_in_no_argument),
        cmocka_unit_test(a_worker_without_the_secret_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
