/* SPDX-License-Identifier: Apache-2.0 */
/* A process for one program.
 *
 * vfork, not posix_spawn: it copies as little (nothing), and the child can ask to die with its
 * parent and say why it could not begin. Until it has begun, child and parent share memory and the
 * parent stands still; so all signals are blocked, and the child sets them all to their defaults
 * before it lets them in again.
 *
 * The end of the program is that of its process, not of its output: what it leaves running holds
 * that. So both are polled, and what is left of its group is killed while the dead process still
 * holds the group's number. */
#include "worker/program.h"

#include "base/clock.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const uint64_t busy_ns = 1000000000; /* a program that was just written */

enum {
    READ_BYTES = 1 << 16, /* a pipe holds as much */
    PIPE_BYTES = 1 << 20, /* for output that has filled one */
    LOOK_MS = 20,         /* without pidfds (before Linux 5.3) */
    LAST_SIGNAL = 31,     /* those of the C library's own use come after */
    STATUS_NOT_BEGUN = 127,
};

/* ---- finding --------------------------------------------------------------------------------- */

static int check_file(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return errno == EACCES ? EACCES : ENOENT;
    if (!S_ISREG(status.st_mode) || access(path, X_OK) != 0)
        return EACCES;
    return 0;
}

int lithops__program_find(const char *name, char *buf, size_t size)
{
    const size_t name_len = strlen(name);
    int found = ENOENT;
    if (strchr(name, '/')) {
        if (name_len >= size)
            return ENOENT;
        memcpy(buf, name, name_len + 1);
        return check_file(buf);
    }
    const char *at = getenv("PATH");
    for (at = at ? at : "/usr/bin:/bin"; at; at = *at ? at + 1 : NULL) {
        size_t len = strcspn(at, ":");
        if (len + name_len + 2 <= size) {
            memcpy(buf, len ? at : ".", len ? len : 1);
            size_t used = len ? len : 1;
            buf[used++] = '/';
            memcpy(buf + used, name, name_len + 1);
            int rc = check_file(buf);
            if (rc == 0)
                return 0;
            if (rc == EACCES)
                found = EACCES;
        }
        at += len;
    }
    return found;
}

/* ---- the child ------------------------------------------------------------------------------- */

/* Why a program has not begun. In memory that processes share: what watches memory, as a sanitizer
 * or valgrind, makes a fork of vfork. For the one thread that runs calls. */
struct not_begun {
    int os_errno;   /* 0: it has */
    bool in_folder; /* the error is about the folder */
};
static struct not_begun *shared_why(void)
{
    static struct not_begun *why;
    if (!why) {
        void *page =
            mmap(NULL, sizeof *why, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        why = page == MAP_FAILED ? NULL : page;
    }
    return why;
}

struct start {
    const struct lithops__program *program;
    int in_fd, out_fd;
    sigset_t mask;
    char **script; /* argv for a file that names no interpreter */
    struct not_begun *why;
    pid_t parent;
};

/* Returns if it fails. A program just written is busy while a child forked meanwhile has not let go
 * of the descriptor, as in lithops__spawn(). */
static void execute(const char *file, char *const *argv)
{
    uint64_t until_ns = lithops__now_ns() + busy_ns;
    while (execve(file, argv, environ) != 0 && errno == ETXTBSY && lithops__now_ns() < until_ns) {
        (void)nanosleep(&(struct timespec){0, 1000000}, NULL);
        errno = ETXTBSY;
    }
}

/* In the memory of its parent: nothing here may change any but what it shares. */
static _Noreturn void be_program(struct start *start)
{
    const struct lithops__program *program = start->program;
    const struct sigaction by_default = {.sa_handler = SIG_DFL};
    for (int i = 1; i <= LAST_SIGNAL; i++)
        if (i != SIGKILL && i != SIGSTOP)
            (void)sigaction(i, &by_default, NULL);
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != start->parent)
        _exit(STATUS_NOT_BEGUN); /* it died before the line above */
    int in = start->in_fd >= 0 ? start->in_fd : open("/dev/null", O_RDONLY | O_CLOEXEC);
    bool ready = in >= 0 && dup2(in, STDIN_FILENO) >= 0 &&
                 dup2(start->out_fd, STDOUT_FILENO) >= 0 &&
                 (program->err_fd < 0 || dup2(program->err_fd, STDERR_FILENO) >= 0);
    if (ready && program->folder && chdir(program->folder) != 0) {
        start->why->in_folder = true;
        ready = false;
    }
    if (ready) {
        (void)sigprocmask(SIG_SETMASK, &start->mask, NULL);
        execute(program->file, program->argv);
        if (errno == ENOEXEC)
            execute(start->script[0], start->script);
    }
    start->why->os_errno = errno;
    _exit(STATUS_NOT_BEGUN);
}

/* Descriptors that are to become 0 or 1 must not be these already: dup2() would leave them to be
 * closed. */
static int out_of_the_way(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int saved = errno;
    close(fd);
    errno = saved;
    return high;
}

/* A call of its own, so that what vfork() returns to twice holds no variables that matter. */
static __attribute__((noinline)) pid_t start_child(struct start *start)
{
    pid_t pid = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork): see above */
    if (pid == 0)
        be_program(start); /* NOLINT(clang-analyzer-unix.Vfork): it calls nothing but the system */
    return pid;
}

static pid_t start_program(struct start *start)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &start->mask);
    pid_t pid = start_child(start);
    int saved = errno;
    pthread_sigmask(SIG_SETMASK, &start->mask, NULL);
    errno = saved;
    return pid;
}

/* ---- streams --------------------------------------------------------------------------------- */

/* A file in memory and not a pipe: nobody has to write while the program reads, and a program that
 * does not read is no error. -1 with errno. */
static int make_input(lithops_bytes input)
{
    int fd = memfd_create("lithops-input", MFD_CLOEXEC);
    const char *at = input.ptr;
    for (size_t done = 0; fd >= 0 && done < input.len;) {
        ssize_t put = pwrite(fd, at + done, input.len - done, (off_t)done);
        if (put < 0 && errno != EINTR) {
            int saved = errno;
            close(fd);
            errno = saved;
            return -1;
        }
        done += put > 0 ? (size_t)put : 0;
    }
    return fd;
}

/* Read once. @return 1: there may be more; 0: the end; negative: an error */
static int read_output(const struct lithops__program *program, int fd, struct lithops__buffer *out,
                       lithops_error *err)
{
    if (program->may_hold && !program->may_hold(program->user, out->len + READ_BYTES))
        return LITHOPS_ENOSPACE;
    void *room = lithops__buffer_reserve(out, READ_BYTES);
    if (!room)
        return lithops__fail(err, LITHOPS_ENOMEM,
                             "no memory for the output of '%s', %zu MB so far; let it write to a "
                             "file, or raise the limit of the call (runtime_memory)",
                             program->argv[0], out->len >> 20);
    ssize_t got = read(fd, room, READ_BYTES);
    if (got < 0)
        return errno == EINTR ? 1 : lithops__fail_errno(err, errno, "the program's output");
    if (got == READ_BYTES && out->len == 0)
        (void)fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES);
    out->len += (size_t)got;
    return got > 0;
}

static bool has_ended(pid_t pid)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid;
}

/* Read until the program has closed its output, or has ended and nothing is left to read. */
static int collect(const struct lithops__program *program, pid_t pid, int out_fd,
                   struct lithops__buffer *out, lithops_error *err)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd fds[2] = {{out_fd, POLLIN, 0}, {pidfd, POLLIN, 0}};
    bool ended = false;
    int rc = 1;
    while (rc > 0) {
        if (poll(fds, ended ? 1 : 2, ended ? 0 : pidfd < 0 ? LOOK_MS : -1) < 0 && errno != EINTR)
            rc = lithops__fail_errno(err, errno, "poll");
        else if (fds[0].revents)
            rc = read_output(program, out_fd, out, err);
        else if (ended)
            rc = 0;
        if (rc > 0 && !ended && (pidfd < 0 ? has_ended(pid) : fds[1].revents != 0)) {
            ended = true;
            (void)kill(-pid, SIGKILL); /* what still writes */
        }
    }
    if (pidfd >= 0)
        close(pidfd);
    return rc;
}

/* Wait for the end, end what it has left, and let the process go. */
static void reap(pid_t pid, struct lithops__program_end *ret_end)
{
    siginfo_t info = {.si_pid = 0};
    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR)
        ;
    (void)kill(-pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    bool exited = info.si_code == CLD_EXITED;
    ret_end->status = exited ? info.si_status : -1;
    ret_end->signal = exited ? 0 : info.si_status;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int say_not_begun(const struct start *start, lithops_error *err)
{
    const struct lithops__program *program = start->program;
    const struct not_begun *why = start->why;
    switch (why->in_folder ? 0 : why->os_errno) {
    case 0:
        return lithops__fail_errno(err, why->os_errno, "the folder '%s' to run '%s' in",
                                   program->folder, program->argv[0]);
    case E2BIG:
        return lithops__fail(err, LITHOPS_EARG,
                             "the words for '%s' are too long for this system (one has at most "
                             "128 KiB, all together %ld KiB): give the input as standard input "
                             "(pipe, --pipe of the command), or in a file",
                             program->argv[0], sysconf(_SC_ARG_MAX) / 1024);
    default:
        return lithops__fail_errno(err, why->os_errno, "'%s' cannot be executed", program->file);
    }
}

static int run(struct start *start, int pipe_end, struct lithops__buffer *out,
               struct lithops__program_end *ret_end, lithops_error *err)
{
    pid_t pid = start_program(start);
    if (pid < 0)
        return lithops__fail_errno(err, errno, "no process for '%s'", start->program->argv[0]);
    close(start->out_fd);
    start->out_fd = -1;
    int rc = collect(start->program, pid, pipe_end, out, err);
    if (rc != 0)
        (void)kill(-pid, SIGKILL);
    reap(pid, ret_end);
    ret_end->os_errno = start->why->os_errno;
    return ret_end->os_errno ? say_not_begun(start, err) : rc;
}

/* `sh FILE ARGUMENTS...`: how the shell and execvp() run a file without `#!`. */
static char **script_of(const struct lithops__program *program)
{
    size_t count = 0;
    while (program->argv[count])
        count++;
    char **script = malloc((count + 2) * sizeof *script);
    static char sh[] = "/bin/sh";
    if (script) {
        script[0] = sh;
        script[1] = (char *)(uintptr_t)program->file;
        memcpy(script + 2, program->argv + 1, count * sizeof *script);
    }
    return script;
}

int lithops__program_run(const struct lithops__program *program, struct lithops__buffer *out,
                         struct lithops__program_end *ret_end, lithops_error *err)
{
    struct start start = {
        .program = program, .in_fd = -1, .out_fd = -1, .why = shared_why(), .parent = getpid()};
    int ends[2] = {-1, -1}, rc = 0;
    *ret_end = (struct lithops__program_end){.status = 0};
    if (start.why)
        *start.why = (struct not_begun){.os_errno = 0};
    if (!(start.script = script_of(program)) || !start.why)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a program");
    else if (pipe2(ends, O_CLOEXEC) != 0)
        rc = lithops__fail_errno(err, errno, "no pipe for the output of '%s'", program->argv[0]);
    else if (program->input && (start.in_fd = make_input(*program->input)) < 0)
        rc = lithops__fail_errno(err, errno, "no memory for the input of '%s'", program->argv[0]);
    start.out_fd = out_of_the_way(ends[1]);
    start.in_fd = out_of_the_way(start.in_fd);
    if (rc == 0 && (start.out_fd < 0 || (program->input && start.in_fd < 0)))
        rc = lithops__fail_errno(err, errno, "no descriptor for '%s'", program->argv[0]);
    if (rc == 0)
        rc = run(&start, ends[0], out, ret_end, err);
    if (start.out_fd >= 0)
        close(start.out_fd);
    if (start.in_fd >= 0)
        close(start.in_fd);
    if (ends[0] >= 0)
        close(ends[0]);
    free(start.script);
    return rc;
}
