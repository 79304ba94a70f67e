/* SPDX-License-Identifier: Apache-2.0 */
/* Start a program again and again as the runtime of a function, and report how long it takes until
 * it asks for its first event: cold TIMES PROGRAM [ARGUMENT...]
 *
 * The program gets the address of a Runtime API as AWS_LAMBDA_RUNTIME_API. It is killed as soon as
 * its request has come: what a platform would bill as its start is over. */
#include "bench.h"

#include <arpa/inet.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

static const char wanted[] = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n";

static int listen_here(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    char text[32];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, 8) != 0 || getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        bench_die("cannot listen");
    snprintf(text, sizeof text, "127.0.0.1:%d", ntohs(address.sin_port));
    setenv("AWS_LAMBDA_RUNTIME_API", text, 1);
    setenv("no_proxy", "*", 1);
    return fd;
}

/* Until the head of a request is there. */
static void read_head(int fd)
{
    char head[8192] = "";
    size_t len = 0;
    while (!strstr(head, "\r\n\r\n")) {
        ssize_t n = read(fd, head + len, sizeof head - 1 - len);
        if (n <= 0)
            bench_die("the program asked for nothing");
        len += (size_t)n;
    }
    if (strncmp(head, wanted, sizeof wanted - 1) != 0)
        bench_die("the program asked for something else");
}

static double run_once(int listener, char **command)
{
    pid_t pid;
    double start = bench_now();
    if (posix_spawn(&pid, command[0], NULL, NULL, command, environ) != 0)
        bench_die("cannot start the program");
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    read_head(fd);
    double seconds = bench_now() - start;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(fd);
    return seconds;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        bench_die("usage: cold TIMES PROGRAM [ARGUMENT...]");
    int count = (int)bench_argument(argc, argv, 1, 0), listener = listen_here();
    double *times = calloc((size_t)count + 1, sizeof *times);
    for (int i = 0; i < 3; i++)
        run_once(listener, argv + 2);
    for (int i = 0; i < count; i++)
        times[i] = run_once(listener, argv + 2);
    bench_report("seconds", bench_median(times, count));
    return 0;
}
