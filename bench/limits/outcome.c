/* SPDX-License-Identifier: Apache-2.0 */
/* The same as ours/outcome.c with a worker that does only the protocol: it listens, takes a request
 * and answers with what the function makes of it. Linked statically, and without a storage.
 *
 *     outcome TIMES */
#include "bench.h"

#include <arpa/inet.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

static int work(void)
{
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    char text[512];
    int listener = socket(AF_INET, SOCK_STREAM, 0), len, fd;
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) != 0 ||
        listen(listener, 8) != 0 || getsockname(listener, (struct sockaddr *)&address, &size) != 0)
        return 1;
    len = snprintf(text, sizeof text, "listening on port %d\n", ntohs(address.sin_port));
    if (write(STDOUT_FILENO, text, (size_t)len) != len || (fd = accept(listener, NULL, NULL)) < 0 ||
        (len = (int)read(fd, text, sizeof text - 1)) <= 0)
        return 1;
    text[len] = '\0';
    const char *body = strstr(text, "\r\n\r\n");
    long x = body ? strtol(body + 4, NULL, 10) : 0;
    len = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%ld", x * x);
    return write(fd, text, (size_t)len) == len ? 0 : 1;
}

static int ask(int port)
{
    static const char request[] = "POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n7";
    struct sockaddr_in address = loopback(port);
    char text[512];
    size_t len = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        write(fd, request, sizeof request - 1) != sizeof request - 1)
        bench_die("the worker does not answer");
    for (ssize_t n; (n = read(fd, text + len, sizeof text - 1 - len)) > 0;)
        len += (size_t)n;
    text[len] = '\0';
    close(fd);
    const char *body = strstr(text, "\r\n\r\n");
    return body ? (int)strtol(body + 4, NULL, 10) : 0;
}

static double run_once(char *self)
{
    char *command[] = {self, NULL};
    posix_spawn_file_actions_t actions;
    int out[2], port = 0;
    pid_t pid;
    if (pipe(out) != 0)
        bench_die("no pipe");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, out[0]);
    posix_spawn_file_actions_addclose(&actions, out[1]);
    double begin = bench_now();
    if (posix_spawn(&pid, "/proc/self/exe", &actions, NULL, command, environ) != 0)
        bench_die("cannot start the worker");
    close(out[1]);
    FILE *lines = fdopen(out[0], "r");
    if (!lines || fscanf(lines, "listening on port %d", &port) != 1)
        bench_die("the worker does not listen");
    int result = ask(port);
    double seconds = bench_now() - begin;
    if (result != 49)
        bench_die("a wrong result");
    fclose(lines);
    posix_spawn_file_actions_destroy(&actions);
    waitpid(pid, NULL, 0);
    return seconds;
}

int main(int argc, char **argv)
{
    if (argc == 1)
        return work();
    int count = (int)bench_argument(argc, argv, 1, 0);
    double *times = calloc((size_t)count + 1, sizeof *times);
    run_once(argv[0]);
    for (int i = 0; i < count; i++)
        times[i] = run_once(argv[0]);
    bench_report("seconds", bench_median(times, count));
    free(times);
    return 0;
}
