/* SPDX-License-Identifier: Apache-2.0 */
#include "detached/home.h"

#include "base/buffer.h"
#include "base/error.h"
#include "base/user_folder.h"
#include "compute/linked.h"
#include "value/value.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char magic[8] = "LTHPAGE";
enum { PAGE_VERSION = 1, PAGE_BYTES = 4096, LARGEST_EXECUTOR = 64 << 20 };

/* ---- folders --------------------------------------------------------------------------------- */

static int check_folder(int fd, const char *path, lithops_error *err)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return lithops__fail_errno(err, errno, "cannot read the folder '%s'", path);
    if (status.st_uid != geteuid() || (status.st_mode & 022))
        return lithops__fail(
            err, LITHOPS_EDENIED,
            "the folder '%s' %s: detached jobs are kept only where this user alone "
            "may write",
            path,
            status.st_uid != geteuid() ? "belongs to another user" : "may be written by others");
    return 0;
}

static int open_folder(const char *path, int *ret_fd, lithops_error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return lithops__fail_errno(err, errno, "cannot open the folder '%s'", path);
    int rc = check_folder(fd, path, err);
    if (rc != 0)
        close(fd);
    else
        *ret_fd = fd;
    return rc;
}

int lithops__home_root(char *buf, size_t size, bool make, lithops_error *err)
{
    char folder[PATH_MAX - 64];
    lithops__user_folder(folder, sizeof folder, "XDG_STATE_HOME", ".local/state");
    if (snprintf(buf, size, "%s/jobs", folder) >= (int)size)
        return lithops__fail(err, LITHOPS_EUSAGE, "the path '%s' is too long", folder);
    int failed = make ? lithops__make_folders(buf) : 0;
    return failed ? lithops__fail_errno(err, failed,
                                        "cannot make the folder '%s': set XDG_STATE_HOME", buf)
                  : 0;
}

static int map_page(struct lithops__home *home, bool make, lithops_error *err)
{
    struct lithops__home_page page = {.version = PAGE_VERSION};
    char bytes[PAGE_BYTES] = {0};
    int fd = openat(home->fd, "page", O_RDWR | O_CLOEXEC | O_NOFOLLOW | (make ? O_CREAT : 0), 0600);
    if (fd < 0)
        return lithops__fail_errno(err, errno, "cannot open '%s/page'", home->path);
    memcpy(page.magic, magic, sizeof magic);
    memcpy(bytes, &page, sizeof page);
    if (make ? pwrite(fd, bytes, sizeof bytes, 0) != sizeof bytes
             : pread(fd, bytes, sizeof bytes, 0) != sizeof bytes || memcmp(bytes, magic, 8) != 0) {
        int rc =
            make ? lithops__fail_errno(err, errno ? errno : ENOSPC, "cannot write '%s/page'",
                                       home->path)
                 : lithops__fail(err, LITHOPS_EPARSE, "'%s' holds no detached jobs", home->path);
        close(fd);
        return rc;
    }
    void *map = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map == MAP_FAILED)
        return lithops__fail_errno(err, errno, "cannot map '%s/page'", home->path);
    home->page = map;
    return 0;
}

/* Whoever has it open keeps it from being removed. */
static int hold(const struct lithops__home *home, lithops_error *err)
{
    struct stat status;
    if (flock(home->fd, LOCK_SH) != 0 || fstat(home->fd, &status) != 0)
        return lithops__fail_errno(err, errno, "cannot lock the folder '%s'", home->path);
    if (status.st_nlink == 0)
        return lithops__fail(err, LITHOPS_ENOTFOUND, "the folder '%s' is gone", home->path);
    return 0;
}

static void name_home(struct lithops__home *home, const char *path)
{
    const char *slash = strrchr(path, '/');
    *home = (struct lithops__home)LITHOPS__HOME_INIT;
    snprintf(home->path, sizeof home->path, "%s", path);
    snprintf(home->id, sizeof home->id, "%.31s", slash ? slash + 1 : path);
}

static int write_executor(const struct lithops__home *home, const lithops_value *executor,
                          lithops_error *err)
{
    struct lithops__buffer buffer = LITHOPS__BUFFER_INIT;
    int rc = lithops__value_encode(executor, &buffer, err);
    int fd =
        rc == 0 ? openat(home->fd, "executor", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    if (rc == 0 && (fd < 0 || write(fd, buffer.data, buffer.len) != (ssize_t)buffer.len))
        rc = lithops__fail_errno(err, errno ? errno : ENOSPC, "cannot write '%s/executor'",
                                 home->path);
    if (fd >= 0)
        close(fd);
    lithops__buffer_deinit(&buffer);
    return rc;
}

/* Who sweeps takes one that nobody holds yet for what a killed client has left. */
static int make_folder(struct lithops__home *home, lithops_error *err)
{
    int rc = LITHOPS_ENOTFOUND;
    for (int tries = 0; rc == LITHOPS_ENOTFOUND && tries < 100; tries++) {
        if (mkdir(home->path, 0700) != 0)
            return lithops__fail_errno(err, errno, "cannot make the folder '%s'", home->path);
        rc = open_folder(home->path, &home->fd, err);
        if (rc == 0 && (rc = hold(home, err)) != 0) {
            close(home->fd);
            home->fd = -1;
        }
    }
    return rc;
}

int lithops__home_make(struct lithops__home *home, const char *id, const lithops_value *executor,
                       lithops_error *err)
{
    char root[PATH_MAX - 40], path[PATH_MAX];
    int rc = lithops__home_root(root, sizeof root, true, err), root_fd;
    if (rc == 0 && (rc = open_folder(root, &root_fd, err)) == 0)
        close(root_fd);
    if (rc != 0)
        return rc;
    snprintf(path, sizeof path, "%s/%.31s", root, id);
    name_home(home, path);
    rc = make_folder(home, err);
    if (rc == 0)
        rc = map_page(home, true, err);
    if (rc == 0 && mkfifoat(home->fd, "bell", 0600) != 0)
        rc = lithops__fail_errno(err, errno, "cannot make '%s/bell'", path);
    if (rc == 0)
        rc = write_executor(home, executor, err);
    if (rc != 0) {
        lithops__home_remove(home);
        lithops__home_close(home);
    }
    return rc;
}

bool lithops__home_exists(const char *id)
{
    char root[PATH_MAX - 40], path[PATH_MAX];
    if (lithops__home_root(root, sizeof root, false, NULL) != 0)
        return false;
    snprintf(path, sizeof path, "%s/%.31s", root, id);
    return access(path, F_OK) == 0;
}

int lithops__home_open_remains(struct lithops__home *home, const char *path, lithops_error *err)
{
    name_home(home, path);
    int rc = open_folder(path, &home->fd, err);
    if (rc == 0)
        rc = hold(home, err);
    if (rc != 0)
        lithops__home_close(home);
    return rc;
}

int lithops__home_open(struct lithops__home *home, const char *path, lithops_error *err)
{
    int rc = lithops__home_open_remains(home, path, err);
    if (rc == 0)
        rc = map_page(home, false, err);
    if (rc != 0)
        lithops__home_close(home);
    return rc;
}

void lithops__home_close(struct lithops__home *home)
{
    if (home->page)
        munmap(home->page, PAGE_BYTES);
    if (home->fd >= 0)
        close(home->fd);
    home->page = NULL;
    home->fd = -1;
}

lithops_value *lithops__home_executor(const struct lithops__home *home, lithops_error *err)
{
    struct stat status;
    lithops_value *value = NULL;
    int fd = openat(home->fd, "executor", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &status) != 0) {
        lithops__fail_errno(err, errno, "cannot read '%s/executor'", home->path);
    } else if (!S_ISREG(status.st_mode) || status.st_size > LARGEST_EXECUTOR) {
        lithops__fail(err, LITHOPS_EPARSE, "'%s/executor' is damaged", home->path);
    } else {
        size_t len = (size_t)status.st_size;
        char *bytes = malloc(len + 1);
        if (!bytes || pread(fd, bytes, len, 0) != (ssize_t)len)
            lithops__fail(err, LITHOPS_EIO, "cannot read '%s/executor'", home->path);
        else
            value = lithops__value_decode(bytes, len, err);
        free(bytes);
    }
    if (fd >= 0)
        close(fd);
    return value;
}

/* ---- jobs ------------------------------------------------------------------------------------ */

void lithops__home_job_name(char kind, uint32_t number, char buf[16])
{
    snprintf(buf, 16, "%c%03u", kind, number);
}

bool lithops__home_name_reducer(const struct lithops__home *home, uint32_t number)
{
    char name[16], unready[24];
    lithops__home_job_name('R', number, name);
    snprintf(unready, sizeof unready, "%s.new", name);
    (void)renameat(home->fd, unready, home->fd, name); /* somebody may be quicker */
    return faccessat(home->fd, name, F_OK, 0) == 0;
}

bool lithops__home_is_job(const char *name)
{
    size_t digits = name[0] ? strspn(name + 1, "0123456789") : 0;
    return name[0] && strchr("AMR", name[0]) && digits >= 3 && digits <= 10 &&
           name[1 + digits] == '\0';
}

int lithops__home_visit(const struct lithops__home *home,
                        int (*visit)(const struct lithops__home *home, const char *name,
                                     void *user),
                        void *user)
{
    int fd = openat(home->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    int rc = 0;
    if (!folder && fd >= 0)
        close(fd);
    while (folder && rc == 0 && (entry = readdir(folder)) != NULL)
        if (lithops__home_is_job(entry->d_name))
            rc = visit(home, entry->d_name, user);
    if (folder)
        closedir(folder);
    return rc;
}

static int find_one(const struct lithops__home *home, const char *name, void *user)
{
    (void)home;
    (void)name;
    (void)user;
    return 1;
}

bool lithops__home_seize(const struct lithops__home *home)
{
    if (flock(home->fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    lithops__home_share(home); /* what was held is given up for what cannot be had */
    return false;
}

void lithops__home_share(const struct lithops__home *home)
{
    while (flock(home->fd, LOCK_SH) != 0 && errno == EINTR)
        ;
}

bool lithops__home_remove(struct lithops__home *home)
{
    static const char *const files[] = {"executor", "page", "bell", "lock", "log"};
    if (home->fd < 0 || lithops__home_is_supervised(home) || !lithops__home_seize(home))
        return false;
    if (lithops__home_visit(home, find_one, NULL) != 0) {
        lithops__home_share(home);
        return false;
    }
    int fd = openat(home->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    if (!folder && fd >= 0)
        close(fd);
    while (folder && (entry = readdir(folder)) != NULL) { /* of clients that were killed */
        const char *end = strrchr(entry->d_name, '.');
        if (end && strcmp(end, ".new") == 0)
            unlinkat(home->fd, entry->d_name, 0);
    }
    if (folder)
        closedir(folder);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlinkat(home->fd, files[i], 0);
    return rmdir(home->path) == 0;
}

/* ---- the supervisor -------------------------------------------------------------------------- */

/* Without a reader a pipe cannot be opened so. */
static int open_bell(const struct lithops__home *home)
{
    return openat(home->fd, "bell", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
}

bool lithops__home_is_supervised(const struct lithops__home *home)
{
    int fd = open_bell(home);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

bool lithops__home_tell(const struct lithops__home *home,
                        const struct lithops__home_message *message)
{
    int fd = open_bell(home);
    if (fd < 0)
        return false;
    /* A pipe that is full has woken it. A reader that has just gone gives SIGPIPE, which is not the
     * program's: keep it from it. */
    sigset_t pipe, old, waiting;
    struct timespec now = {0, 0};
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&waiting);
    pthread_sigmask(SIG_BLOCK, &pipe, &old);
    ssize_t n = write(fd, message, sizeof *message);
    bool is_gone = n < 0 && errno == EPIPE;
    if (is_gone && !sigismember(&waiting, SIGPIPE))
        (void)sigtimedwait(&pipe, NULL, &now);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    close(fd);
    return !is_gone;
}

struct spawn {
    const char *command;
    char *const *argv;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int failed;
};

/* The process between the two shares the memory of the thread that waits for it, as after vfork().
 * ThreadSanitizer would take what it does for that thread's. */
#if defined(__SANITIZE_THREAD__)
enum { SHARING = 0 };
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
enum { SHARING = 0 };
#else
enum { SHARING = CLONE_VM };
#endif
#else
enum { SHARING = CLONE_VM };
#endif

static int spawn_other(void *user)
{
    struct spawn *spawn = user;
    pid_t pid;
    return spawn->failed = posix_spawnp(&pid, spawn->command, &spawn->actions, &spawn->attributes,
                                        spawn->argv, environ);
}

/* A process that is nobody's child: who starts it need not wait for its end, and it outlives who
 * starts it. 0, or an errno. */
static int spawn_orphan(struct spawn *spawn)
{
    enum { STACK_BYTES = 64 << 10 };
    sigset_t all, before;
    int status = 0;
    char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        return errno;
    sigfillset(&all); /* no handler of this program runs in there */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = clone(spawn_other, stack + STACK_BYTES, SHARING | CLONE_VFORK | SIGCHLD, spawn);
    if (pid < 0)
        spawn->failed = errno;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    munmap(stack, STACK_BYTES);
    return spawn->failed ? spawn->failed : WEXITSTATUS(status);
}

int lithops__home_supervise(const struct lithops__home *home, lithops_error *err)
{
    char command[PATH_MAX + 32], path[PATH_MAX], log[PATH_MAX + 8];
    char name[] = "lithops", word[] = "supervisor", *argv[] = {name, word, path, NULL};
    struct spawn spawn = {.command = command, .argv = argv, .failed = 0};
    sigset_t all, none;
    lithops__own_command(command, sizeof command);
    snprintf(path, sizeof path, "%s", home->path);
    snprintf(log, sizeof log, "%s/log", home->path);
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawn_file_actions_init(&spawn.actions);
    posix_spawn_file_actions_addopen(&spawn.actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&spawn.actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&spawn.actions, 1, 2);
    posix_spawnattr_init(&spawn.attributes);
    posix_spawnattr_setflags(&spawn.attributes,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&spawn.attributes, &none);
    posix_spawnattr_setsigdefault(&spawn.attributes, &all);
    int failed = spawn_orphan(&spawn);
    posix_spawnattr_destroy(&spawn.attributes);
    posix_spawn_file_actions_destroy(&spawn.actions);
    if (failed == 0)
        return 0;
    int rc = lithops__fail_errno(err, failed, "cannot start a supervisor (%s supervisor)", command);
    return rc == LITHOPS_ENOSPACE ? rc : (err ? (err->code = LITHOPS_EBACKEND) : rc);
}

static int open_lock(const struct lithops__home *home)
{
    return openat(home->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

bool lithops__home_try_lock(const struct lithops__home *home, int *ret_fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open_lock(home);
    if (fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) == 0) {
        *ret_fd = fd;
        return true;
    }
    if (fd >= 0)
        close(fd);
    return false;
}

int lithops__home_lock(const struct lithops__home *home, int *ret_fd, lithops_error *err)
{
    int fd = open_lock(home);
    if (fd < 0)
        return lithops__fail_errno(err, errno, "cannot open '%s/lock'", home->path);
    for (;;) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        if (fcntl(fd, F_OFD_SETLK, &lock) == 0) {
            *ret_fd = fd;
            return 0;
        }
        if (errno != EAGAIN && errno != EACCES && errno != EINTR) {
            int rc = lithops__fail_errno(err, errno, "cannot lock '%s/lock'", home->path);
            close(fd);
            return rc;
        }
        if (lithops__home_is_supervised(home)) {
            close(fd);
            return 1;
        }
        nanosleep(&(struct timespec){0, 2000000}, NULL); /* it begins or ends at this moment */
    }
}

bool lithops__home_is_locked(const struct lithops__home *home)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = openat(home->fd, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    bool is_locked = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    close(fd);
    return is_locked;
}

int lithops__home_hear(const struct lithops__home *home, lithops_error *err)
{
    /* For writing too: so it is never at its end, which would wake all the time. */
    int fd = openat(home->fd, "bell", O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 ? fd : lithops__fail_errno(err, errno, "cannot open '%s/bell'", home->path);
}

/* ---- those who wait -------------------------------------------------------------------------- */

void lithops__home_ring(const struct lithops__home *home)
{
    struct lithops__home_page *page = home->page;
    atomic_fetch_add(&page->bell, 1);
    if (atomic_exchange(&page->waiting, 0))
        syscall(SYS_futex, &page->bell, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void lithops__home_wait(const struct lithops__home *home, uint32_t seen, int timeout_ms)
{
    struct lithops__home_page *page = home->page;
    struct timespec time = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
    atomic_store(&page->waiting, 1);
    if (atomic_load(&page->bell) == seen)
        syscall(SYS_futex, &page->bell, FUTEX_WAIT, seen, &time, NULL, 0);
}
