/* SPDX-License-Identifier: Apache-2.0 */
#include "worker_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void give_up(const char *what)
{
    perror(what);
    exit(1);
}

/* In the child. The server goes with the thread that has started it. */
static void become(const char *const *words, int out)
{
    char own[PATH_MAX] = "", command[PATH_MAX + 32];
    const char *argv[16] = {command, "worker"};
    size_t count = 2;
    while (*words)
        argv[count++] = *words++;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (readlink("/proc/self/exe", own, sizeof own - 1) < 0)
        _exit(127);
    *strrchr(own, '/') = '\0';
    snprintf(command, sizeof command, "%s/../bin/lithops", own);
    if (dup2(out, STDOUT_FILENO) >= 0 && close(out) == 0)
        execv(command, (char *const *)argv);
    _exit(127);
}

/* @return what it prints */
static FILE *start(struct worker_server *server, const char *const *words)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        give_up("worker_server_start");
    server->pid = fork();
    if (server->pid == 0)
        become(words, ends[1]);
    close(ends[1]);
    FILE *said = fdopen(ends[0], "r");
    if (server->pid < 0 || !said)
        give_up("lithops worker");
    return said;
}

static void start_on_port(struct worker_server *server, const char *const *words)
{
    server->said = start(server, words);
    if (fscanf(server->said, "listening on port %d", &server->port) != 1)
        give_up("lithops worker --http");
    snprintf(server->url, sizeof server->url, "http://127.0.0.1:%d", server->port);
}

void worker_server_start(struct worker_server *server, int concurrency)
{
    char number[16];
    const char *words[] = {"--http", "--port", "0", "--concurrency", number, "--drain", "1", NULL};
    snprintf(number, sizeof number, "%d", concurrency);
    setenv("LITHOPS_WORKER_SECRET", WORKER_SERVER_SECRET, 1);
    start_on_port(server, words);
    unsetenv("LITHOPS_WORKER_SECRET");
}

void worker_server_start_action(struct worker_server *server)
{
    static const char *const words[] = {"--openwhisk", "--port", "0", "--drain", "1", NULL};
    start_on_port(server, words);
}

void worker_server_start_runtime(struct worker_server *server, int api_port)
{
    static const char *const words[] = {"--lambda", NULL};
    char place[32];
    snprintf(place, sizeof place, "127.0.0.1:%d", api_port);
    setenv("AWS_LAMBDA_RUNTIME_API", place, 1);
    server->said = start(server, words);
    unsetenv("AWS_LAMBDA_RUNTIME_API");
}

int worker_server_stop(struct worker_server *server)
{
    int status = 0;
    kill(server->pid, SIGTERM);
    while (waitpid(server->pid, &status, 0) < 0)
        continue;
    server->pid = 0;
    fclose(server->said);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

bool worker_server_is_alive(pid_t pid)
{
    char path[64], line[512] = "", state = 'Z';
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    FILE *file = fopen(path, "re");
    const char *rest = file && fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    if (file)
        fclose(file);
    return rest && sscanf(rest, ") %c", &state) == 1 && state != 'Z';
}

/* A worker, or one that only waits, at its standard input, to become one. */
static bool is_worker(long pid, bool waits)
{
    char path[64], target[32] = "", words[128] = "";
    snprintf(path, sizeof path, "/proc/%ld/cmdline", pid);
    FILE *file = fopen(path, "re");
    size_t len = file ? fread(words, 1, sizeof words, file) : 0;
    if (file)
        fclose(file);
    snprintf(path, sizeof path, "/proc/%ld/fd/0", pid);
    return memmem(words, len, "--through", 9) && readlink(path, target, sizeof target - 1) > 0 &&
           (waits ? strncmp(target, "pipe:", 5) == 0 : strcmp(target, "/dev/null") == 0);
}

/* Its workers, or those that wait to become one; their number is returned, and *ret_one is one of
 * them. It has one thread. */
static int find_workers(const struct worker_server *server, bool waiting, pid_t *ret_one)
{
    int count = 0;
    long child;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)server->pid, (int)server->pid);
    FILE *file = fopen(path, "re");
    while (file && fscanf(file, "%ld", &child) == 1)
        if (worker_server_is_alive((pid_t)child) && is_worker(child, waiting)) {
            *ret_one = (pid_t)child;
            count++;
        }
    if (file)
        fclose(file);
    return count;
}

bool worker_server_kill_worker(const struct worker_server *server)
{
    pid_t one = 0;
    return find_workers(server, false, &one) > 0 && kill(one, SIGKILL) == 0;
}

pid_t worker_server_signal_waiting(const struct worker_server *server, int number)
{
    pid_t one = 0;
    return find_workers(server, true, &one) > 0 && kill(one, number) == 0 ? one : 0;
}

int worker_server_count(const struct worker_server *server)
{
    pid_t one;
    return find_workers(server, false, &one);
}

char *worker_server_ask(int port, const void *request, size_t len)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)port),
                                        .sin_addr = {htonl(INADDR_LOOPBACK)}};
    char *text = calloc(1, 1 << 16);
    size_t got = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (!text || fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        send(fd, request, len, MSG_NOSIGNAL) != (ssize_t)len)
        give_up("worker_server_ask");
    for (ssize_t n; got < (1 << 16) - 1 && (n = read(fd, text + got, (1 << 16) - 1 - got)) > 0;)
        got += (size_t)n;
    close(fd);
    return text;
}

long worker_server_health(const struct worker_server *server, const char *name)
{
    static const char request[] = "GET /health HTTP/1.1\r\nHost: here\r\n\r\n";
    char *answer = worker_server_ask(server->port, request, sizeof request - 1), mark[64];
    snprintf(mark, sizeof mark, "\"%s\": ", name);
    const char *found = strstr(answer, mark);
    long number = found ? strtol(found + strlen(mark), NULL, 10) : -1;
    free(answer);
    return number;
}
