/* SPDX-License-Identifier: Apache-2.0 */
#include "worker_server.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
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

/* In the child. The server goes with this program. */
static void become(const char *command, const char *concurrency, int out)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setenv("LITHOPS_WORKER_SECRET", WORKER_SERVER_SECRET, 1);
    if (dup2(out, STDOUT_FILENO) >= 0 && close(out) == 0)
        execl(command, command, "worker", "--http", "--port", "0", "--concurrency", concurrency,
              "--drain", "1", (char *)NULL);
    _exit(127);
}

void worker_server_start(struct worker_server *server, int concurrency)
{
    char own[PATH_MAX] = "", command[PATH_MAX + 32], number[16];
    int ends[2];
    if (readlink("/proc/self/exe", own, sizeof own - 1) < 0 || pipe(ends) != 0)
        give_up("worker_server_start");
    *strrchr(own, '/') = '\0';
    snprintf(command, sizeof command, "%s/../bin/lithops", own);
    snprintf(number, sizeof number, "%d", concurrency);
    server->pid = fork();
    if (server->pid == 0)
        become(command, number, ends[1]);
    close(ends[1]);
    FILE *said = fdopen(ends[0], "r");
    if (server->pid < 0 || !said || fscanf(said, "listening on port %d", &server->port) != 1)
        give_up("lithops worker --http");
    fclose(said);
    snprintf(server->url, sizeof server->url, "http://127.0.0.1:%d", server->port);
}

int worker_server_stop(struct worker_server *server)
{
    int status = 0;
    kill(server->pid, SIGTERM);
    while (waitpid(server->pid, &status, 0) < 0)
        continue;
    server->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Not one that only waits, at its standard input, to become a worker. */
static bool has_begun(const char *pid)
{
    char path[300], target[32] = "", words[128] = "";
    snprintf(path, sizeof path, "/proc/%s/cmdline", pid);
    FILE *file = fopen(path, "re");
    size_t len = file ? fread(words, 1, sizeof words, file) : 0;
    if (file)
        fclose(file);
    snprintf(path, sizeof path, "/proc/%s/fd/0", pid);
    return memmem(words, len, "--through", 9) && readlink(path, target, sizeof target - 1) > 0 &&
           strcmp(target, "/dev/null") == 0;
}

/* Its workers, whose number is returned; *ret_one is one of them. */
static int find_workers(const struct worker_server *server, pid_t *ret_one)
{
    int count = 0;
    DIR *dir = opendir("/proc");
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        char path[300], line[512] = "", state = 0;
        int parent = 0;
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        FILE *file = fopen(path, "re");
        const char *rest = file && fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
        if (file)
            fclose(file);
        if (rest && sscanf(rest, ") %c %d", &state, &parent) == 2 && parent == server->pid &&
            state != 'Z' && has_begun(entry->d_name)) {
            *ret_one = (pid_t)strtol(entry->d_name, NULL, 10);
            count++;
        }
    }
    if (dir)
        closedir(dir);
    return count;
}

bool worker_server_kill_worker(const struct worker_server *server)
{
    pid_t one = 0;
    return find_workers(server, &one) > 0 && kill(one, SIGKILL) == 0;
}

int worker_server_count(const struct worker_server *server)
{
    pid_t one;
    return find_workers(server, &one);
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
