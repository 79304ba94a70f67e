/* SPDX-License-Identifier: Apache-2.0 */
/* The engine that hosts are sent, and what is remembered of it. Each question is asked by a process
 * of its own, since one process asks its files once. */
#include "compute/bootstrap.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/lithops-engine-XXXXXX";
static int64_t later_s; /* than it is */

time_t __real_time(time_t *t);
time_t __wrap_time(time_t *t);
time_t __wrap_time(time_t *t)
{
    time_t now = __real_time(NULL) + later_s;
    if (t)
        *t = now;
    return now;
}

static void run(const char *format, ...) LITHOPS_PRINTF(1, 2);
static void run(const char *format, ...)
{
    char command[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    assert_int_equal(system(command), 0);
}

/* Modules that a test may change, and a cache folder of its own. */
static int make_folder(void **state)
{
    (void)state;
    char path[64];
    if (!mkdtemp(folder))
        return -1;
    run("mkdir %s/cache && cp -r " MODULES " %s/modules", folder, folder);
    snprintf(path, sizeof path, "%s/modules", folder);
    setenv("LITHOPS_MODULE_PATH", path, 1);
    snprintf(path, sizeof path, "%s/cache", folder);
    setenv("XDG_CACHE_HOME", path, 1);
    later_s = 60;
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    run("rm -rf %s", folder);
    memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
    return 0;
}

/* What a process that has just been started finds. */
struct found {
    struct lithops__engine engine;
    bool was_read; /* the files were, to hash them */
    int rc;        /* of asking for the archive */
    bool is_retryable;
    uint64_t size; /* of the archive */
    struct lithops__engine again;
};

/* Whether this process has packed the files: it keeps them. */
static bool has_archive(void)
{
    char path[64], name[128];
    for (int fd = 0; fd < 4096; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(path, name, sizeof name - 1);
        name[len > 0 ? len : 0] = '\0';
        if (strstr(name, "memfd:lithops-engine"))
            return true;
    }
    return false;
}

static struct found ask(bool for_archive, const char *meanwhile)
{
    struct found found = {.rc = -1};
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        lithops_error err = LITHOPS_ERROR_INIT;
        struct lithops__engine_archive archive = {-1, 0};
        const struct lithops__engine *engine = lithops__engine(&err);
        if (!engine)
            _exit(1);
        found.engine = *engine;
        found.was_read = has_archive();
        if (meanwhile && system(meanwhile) != 0)
            _exit(2);
        if (for_archive) {
            found.rc = lithops__engine_archive(engine, &archive, &err);
            found.is_retryable = err.retryable;
            found.size = archive.size;
            found.again = *lithops__engine(NULL);
        }
        _exit(write(ends[1], &found, sizeof found) == sizeof found ? 0 : 3);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &found, sizeof found), sizeof found);
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    return found;
}

static void it_is_read_once(void **state)
{
    (void)state;
    struct found first = ask(true, NULL), second = ask(false, NULL), third = ask(true, NULL);
    assert_true(first.was_read);
    assert_false(second.was_read);
    assert_string_equal(second.engine.hash, first.engine.hash);
    assert_string_equal(second.engine.machine, first.engine.machine);
    assert_int_equal(second.engine.glibc_minor, first.engine.glibc_minor);
    assert_true(first.engine.glibc_minor > 0);
    assert_int_equal(third.rc, 0);
    assert_true(third.size > 1 << 20 && third.size == first.size);
}

static void a_changed_file_is_read(void **state)
{
    (void)state;
    struct found first = ask(false, NULL);
    run("printf x >>%s/modules/gzip.so", folder);
    struct found longer = ask(false, NULL);
    assert_true(longer.was_read);
    assert_string_not_equal(longer.engine.hash, first.engine.hash);
    assert_false(ask(false, NULL).was_read);
    /* As long as before, and with the same time. */
    run("cd %s/modules && touch -r gzip.so then && printf y | dd of=gzip.so bs=1 conv=notrunc "
        "seek=$(($(stat -c %%s gzip.so) - 1)) 2>/dev/null && touch -r then gzip.so",
        folder);
    struct found other = ask(false, NULL);
    assert_true(other.was_read);
    assert_string_not_equal(other.engine.hash, longer.engine.hash);
    run("rm %s/modules/gzip.so", folder);
    struct found less = ask(false, NULL);
    assert_true(less.was_read);
    assert_string_not_equal(less.engine.hash, other.engine.hash);
}

/* A change that a file system's clock may not tell from the one before. */
static void what_was_just_changed_is_not_remembered(void **state)
{
    (void)state;
    later_s = 0;
    run("printf x >>%s/modules/gzip.so", folder);
    assert_true(ask(false, NULL).was_read);
    assert_true(ask(false, NULL).was_read);
}

static void installed_anew_while_it_ran(void **state)
{
    (void)state;
    char change[128];
    struct found first = ask(false, NULL);
    snprintf(change, sizeof change, "printf x >>%s/modules/gzip.so", folder);
    struct found found = ask(true, change);
    assert_false(found.was_read);
    assert_string_equal(found.engine.hash, first.engine.hash);
    assert_int_equal(found.rc, LITHOPS_EBACKEND);
    assert_true(found.is_retryable);
    assert_string_not_equal(found.again.hash, first.engine.hash);
    assert_string_equal(found.again.hash, ask(false, NULL).engine.hash);
}

static void notes_that_do_not_hold(void **state)
{
    (void)state;
    static const char *const spoil[] = {
        "truncate -s -10 %s/cache/lithops/engine.known",
        "truncate -s 0 %s/cache/lithops/engine.known",
        "sed -i 2s/[0-9a-f]/z/ %s/cache/lithops/engine.known",
        "sed -i 1s/$/x/ %s/cache/lithops/engine.known",
        "sed -i 4q %s/cache/lithops/engine.known && truncate -s -1 %s/cache/lithops/engine.known",
        "chown 12345 %s/cache/lithops/engine.known",
        "head -c 100000 /dev/urandom >%s/cache/lithops/engine.known",
        "rm %s/cache/lithops/engine.known && mkdir %s/cache/lithops/engine.known",
    };
    struct found first = ask(false, NULL);
    for (size_t i = 0; i < sizeof spoil / sizeof *spoil; i++) {
        if (strncmp(spoil[i], "chown", 5) == 0 && geteuid() != 0)
            continue;
        char command[256];
        snprintf(command, sizeof command, spoil[i], folder, folder);
        run("%s", command);
        struct found found = ask(false, NULL);
        assert_true(found.was_read);
        assert_string_equal(found.engine.hash, first.engine.hash);
    }
}

static void nowhere_to_write(void **state)
{
    (void)state;
    run("rmdir %s/cache && touch %s/cache", folder, folder);
    struct found first = ask(true, NULL), second = ask(false, NULL);
    assert_true(first.was_read && second.was_read);
    assert_int_equal(first.rc, 0);
    assert_string_equal(first.engine.hash, second.engine.hash);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_is_read_once),
        TEST(a_changed_file_is_read),
        TEST(what_was_just_changed_is_not_remembered),
        TEST(installed_anew_while_it_ran),
        TEST(notes_that_do_not_hold),
        TEST(nowhere_to_write),
    };
    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
