/* SPDX-License-Identifier: Apache-2.0 */
/* What `ssh` itself takes for what a link to a host does.
 *
 *     ssh echo HOST ROUNDS     8 bytes there and back
 *     ssh cat HOST MIB         the contents of a file of the host, from the first byte to the last
 *     ssh lines HOST FILE      wc -l there, of a file here, from the start of ssh to its end
 *     ssh true HOST...         connect to all at the same time, until the last one has answered
 *     ssh send HOST...         the same, and send as many bytes as an engine has */
#include "bench.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { PIECE = 1 << 20, MOST_HOSTS = 16 };

/* Run a command of the host's shell. `in` and `out` become its standard input and output. */
static pid_t start(const char *host, const char *command, int in, int out)
{
    const char *words[] = {"ssh", "-T", host, command, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    pid_t pid;
    if (posix_spawnp(&pid, words[0], &actions, NULL, (char **)words, environ) != 0)
        bench_die("cannot start ssh");
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static void finish(pid_t pid)
{
    int status = -1;
    if (waitpid(pid, &status, 0) != pid || status != 0)
        bench_die("ssh failed");
}

/* Its output is read from *ret_out, which the caller closes. */
static pid_t start_reading(const char *host, const char *command, int in, int *ret_out)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        bench_die("no pipe");
    pid_t pid = start(host, command, in, ends[1]);
    close(ends[1]);
    *ret_out = ends[0];
    return pid;
}

static double number_from(const char *host, const char *command, int in)
{
    int out;
    char text[64] = "";
    pid_t pid = start_reading(host, command, in, &out);
    if (read(out, text, sizeof text - 1) <= 0)
        bench_die("no answer");
    close(out);
    finish(pid);
    return strtod(text, NULL);
}

static void read_all(int fd, void *to, size_t len)
{
    for (char *at = to; len > 0;) {
        ssize_t n = read(fd, at, len);
        if (n <= 0)
            bench_die("the connection broke");
        at += n;
        len -= (size_t)n;
    }
}

static void echo(const char *host, long rounds)
{
    int ends[2], count = 0;
    double *times = calloc((size_t)rounds + BENCH_BATCH, sizeof *times);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        bench_die("no socket pair");
    pid_t pid = start(host, "exec cat", ends[1], ends[1]);
    close(ends[1]);
    for (long i = -BENCH_BATCH; i < rounds; i += BENCH_BATCH) { /* the first batch warms up */
        double begin = bench_now();
        for (long k = i; k < i + BENCH_BATCH; k++) {
            uint64_t word = (uint64_t)k, back = 0;
            if (write(ends[0], &word, sizeof word) != sizeof word)
                bench_die("the connection broke");
            read_all(ends[0], &back, sizeof back);
            if (back != word)
                bench_die("a wrong result");
        }
        if (i >= 0)
            times[count++] = (bench_now() - begin) / BENCH_BATCH;
    }
    bench_report("seconds", bench_median(times, count));
    close(ends[0]);
    finish(pid);
    free(times);
}

static void cat(const char *host, long mib, int null)
{
    char command[128], *piece = malloc(PIECE);
    int out;
    snprintf(command, sizeof command, "head -c %ldM /dev/zero >part && wc -c <part", mib);
    if (number_from(host, command, null) != (double)mib * PIECE)
        bench_die("cannot make the file");
    pid_t pid = start_reading(host, "exec cat part", null, &out);
    read_all(out, piece, 1);
    double begin = bench_now();
    for (long i = 0; i < mib; i++)
        read_all(out, piece, i ? PIECE : PIECE - 1);
    bench_report("bytes_per_s", (double)mib * PIECE / (bench_now() - begin));
    close(out);
    finish(pid);
    number_from(host, "rm part && echo 0", null);
    free(piece);
}

static void count_lines(const char *host, const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        bench_die("cannot open the file");
    double begin = bench_now();
    double lines = number_from(host, "exec wc -l", file);
    bench_report("seconds", bench_now() - begin);
    bench_report("lines", lines);
    close(file);
}

/* `send`: what the hosts have in their caches, which they got by an earlier run of ours. */
static void connect_all(int count, char **hosts, bool send, int null)
{
    char command[64] = "true";
    pid_t pids[MOST_HOSTS];
    int files[MOST_HOSTS];
    double bytes = 0;
    if (send)
        bytes = number_from(hosts[0], "du -sb .cache/lithops/engine", null);
    if (send && bytes < PIECE)
        bench_die("the host has no engine: run the row of warm hosts first");
    if (send)
        snprintf(command, sizeof command, "cat >/dev/null");
    for (int i = 0; i < count; i++) {
        char path[] = "/tmp/lithops-bench-XXXXXX";
        files[i] = send ? mkstemp(path) : null;
        if (files[i] < 0 || (send && (unlink(path) != 0 || ftruncate(files[i], (off_t)bytes) != 0)))
            bench_die("no file to send");
    }
    double begin = bench_now();
    for (int i = 0; i < count; i++)
        pids[i] = start(hosts[i], command, files[i], null);
    for (int i = 0; i < count; i++)
        finish(pids[i]);
    bench_report("seconds", bench_now() - begin);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 2 ? argv[1] : "";
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (strcmp(mode, "echo") == 0)
        echo(argv[2], bench_argument(argc, argv, 3, 1000));
    else if (strcmp(mode, "cat") == 0)
        cat(argv[2], bench_argument(argc, argv, 3, 100), null);
    else if (strcmp(mode, "lines") == 0 && argc > 3)
        count_lines(argv[2], argv[3]);
    else if ((strcmp(mode, "true") == 0 || strcmp(mode, "send") == 0) && argc - 2 <= MOST_HOSTS)
        connect_all(argc - 2, argv + 2, *mode == 's', null);
    else
        bench_die("usage: ssh echo|cat|lines|true|send HOST...");
    return 0;
}
