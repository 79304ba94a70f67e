/* SPDX-License-Identifier: Apache-2.0 */
/* What only localhost storage does: files, folders, links, disks, processes. */
#include "storage/storage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char root[64];
static lithops_storage *storage;
static lithops_error err;

static lithops_storage *open_root(const char *path)
{
    lithops_value *settings = lithops_pack("{s:s}", "storage_root", path);
    lithops_storage *opened =
        lithops__storage_open_driver(&lithops__storage_localhost, settings, NULL, &err);
    lithops_value_free(settings);
    return opened;
}

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/lithops-test-XXXXXX");
    err = (lithops_error)LITHOPS_ERROR_INIT;
    storage = mkdtemp(root) ? open_root(root) : NULL;
    return storage ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static int tear_down(void **state)
{
    (void)state;
    lithops_storage_close(storage);
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#define CHECK(call)                                                                                \
    do {                                                                                           \
        if ((call) != 0)                                                                           \
            fail_msg("%s: %s", #call, err.message);                                                \
    } while (0)

static int put(lithops_storage *to, const char *key, const char *body)
{
    return lithops_storage_put(to, "b", key, (lithops_bytes){body, strlen(body)}, &err);
}

/* The path of a file below the root; the last three stay valid. */
static const char *at(const char *name)
{
    static char paths[3][512];
    static int next;
    next = (next + 1) % 3;
    snprintf(paths[next], sizeof *paths, "%s/%s", root, name);
    return paths[next];
}

static bool exists(const char *name)
{
    struct stat st;
    return lstat(at(name), &st) == 0;
}

static size_t count_files(const char *folder)
{
    DIR *stream = opendir(at(folder));
    size_t count = 0;
    for (const struct dirent *entry; stream && (entry = readdir(stream));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    if (stream)
        closedir(stream);
    return count;
}

static int count_object(const lithops_object_info *info, void *user)
{
    (void)info;
    ++*(size_t *)user;
    return 0;
}

static size_t count_listed(void)
{
    size_t count = 0;
    CHECK(lithops_storage_list(storage, "b", NULL, count_object, &count, &err));
    return count;
}

/* ---- files and folders ----------------------------------------------------------------------- */

static void objects_are_plain_files(void **state)
{
    (void)state;
    CHECK(put(storage, "x/y/k", "body"));
    char path[256], buf[16] = "";
    CHECK(lithops__storage_path(storage, "b", "x/y/k", path, sizeof path, &err));
    assert_string_equal(path, at("b/x/y/k"));
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, buf, sizeof buf), 4);
    assert_string_equal(buf, "body");
    close(fd);
    assert_int_equal(lithops__storage_path(storage, "b", "none", path, sizeof path, &err),
                     LITHOPS_ENOTFOUND);
    assert_int_equal(lithops__storage_path(storage, "b", "x/y/k", path, 10, &err), LITHOPS_EUSAGE);
    assert_int_equal(count_files("b/x/y"), 1); /* no temporary file is left */
    /* A file that someone else put there is an object. */
    assert_int_equal(mkdir(at("b/z"), 0700), 0);
    fd = open(at("b/z/foreign"), O_WRONLY | O_CREAT, 0600);
    close(fd);
    assert_int_equal(count_listed(), 2);
}

static void empty_folders_go_with_their_last_object(void **state)
{
    (void)state;
    CHECK(put(storage, "x/y/z/1", "1"));
    CHECK(put(storage, "x/2", "2"));
    CHECK(lithops_storage_delete(storage, "b", "x/y/z/1", &err));
    assert_false(exists("b/x/y"));
    assert_true(exists("b/x"));
    CHECK(lithops_storage_delete(storage, "b", "x/2", &err));
    assert_false(exists("b/x"));
    assert_true(exists("b")); /* the bucket stays */
    assert_int_equal(count_listed(), 0);
}

static void unfinished_objects_are_not_listed(void **state)
{
    (void)state;
    CHECK(put(storage, "x/k", "body"));
    int fd = open(at("b/x/.lithops-put-0123456789abcdef"), O_WRONLY | O_CREAT, 0600);
    assert_int_equal(count_listed(), 1);
    assert_true(exists("b/x/.lithops-put-0123456789abcdef")); /* its writer may be at work */
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_int_equal(futimens(fd, old), 0);
    assert_int_equal(count_listed(), 1);
    assert_false(exists("b/x/.lithops-put-0123456789abcdef"));
    close(fd);
}

static void links_are_not_followed(void **state)
{
    (void)state;
    char outside[] = "/tmp/lithops-outside-XXXXXX";
    assert_non_null(mkdtemp(outside));
    char secret[64];
    snprintf(secret, sizeof secret, "%s/secret", outside);
    close(open(secret, O_WRONLY | O_CREAT, 0600));
    CHECK(put(storage, "k", "x"));
    assert_int_equal(symlink(secret, at("b/link")), 0);
    assert_int_equal(symlink(outside, at("b/folder")), 0);
    assert_int_equal(symlink(outside, at("bucket")), 0);
    void *data;
    size_t len;
    lithops_object_info info;
    lithops_reader *reader;
    char path[256];
    const char *const escapes[][2] = {{"b", "link"}, {"b", "folder/secret"}, {"bucket", "secret"}};
    for (int i = 0; i < 3; i++) {
        const char *bucket = escapes[i][0], *key = escapes[i][1];
        int expected = i == 0 ? LITHOPS_EDENIED : LITHOPS_ENOTFOUND;
        assert_int_equal(lithops_storage_get(storage, bucket, key, 0, 1, &data, &len, &err),
                         expected);
        assert_int_equal(lithops_storage_head(storage, bucket, key, &info, &err), expected);
        assert_int_equal(lithops_storage_open_reader(storage, bucket, key, 0, 1, &reader, &err),
                         expected);
        assert_int_equal(lithops__storage_path(storage, bucket, key, path, sizeof path, &err),
                         expected);
    }
    assert_int_equal(put(storage, "folder/new", "x"), LITHOPS_EEXIST);
    assert_int_equal(lithops_storage_put(storage, "bucket", "new", (lithops_bytes){"x", 1}, &err),
                     LITHOPS_EEXIST);
    CHECK(lithops_storage_delete(storage, "b", "folder/secret", &err));
    CHECK(lithops_storage_delete(storage, "bucket", "secret", &err));
    assert_int_equal(access(secret, F_OK), 0);
    assert_int_equal(count_listed(), 1);
    size_t count = 0;
    assert_int_equal(lithops_storage_list(storage, "bucket", NULL, count_object, &count, &err),
                     LITHOPS_ENOTFOUND);
    CHECK(put(storage, "link", "mine")); /* replaces the link, not what it points to */
    struct stat st;
    assert_int_equal(stat(secret, &st), 0);
    assert_int_equal(st.st_size, 0);
    CHECK(lithops_storage_get(storage, "b", "link", 0, 4, &data, &len, &err));
    assert_memory_equal(data, "mine", 4);
    free(data);
    unlink(secret);
    rmdir(outside);
}

static void other_kinds_of_files_are_no_objects(void **state)
{
    (void)state;
    CHECK(put(storage, "k", "x"));
    assert_int_equal(mkfifo(at("b/fifo"), 0600), 0);
    void *data;
    size_t len;
    lithops_object_info info;
    assert_int_equal(lithops_storage_get(storage, "b", "fifo", 0, 1, &data, &len, &err),
                     LITHOPS_ENOTFOUND);
    assert_int_equal(lithops_storage_head(storage, "b", "fifo", &info, &err), LITHOPS_ENOTFOUND);
    assert_int_equal(count_listed(), 1);
}

/* ---- roots ----------------------------------------------------------------------------------- */

static void a_root_is_made(void **state)
{
    (void)state;
    lithops_storage *deep = open_root(at("not/yet//there"));
    assert_non_null(deep);
    CHECK(put(deep, "k", "x"));
    assert_true(exists("not/yet/there/b/k"));
    lithops_storage_close(deep);
    assert_null(open_root("relative/path"));
    assert_int_equal(err.code, LITHOPS_ECONFIG);
    assert_non_null(strstr(err.message, "storage_root"));
    static char long_path[5000] = "/";
    memset(long_path + 1, 'a', sizeof long_path - 2);
    assert_null(open_root(long_path));
    assert_int_equal(err.code, LITHOPS_ECONFIG);
    close(open(at("file"), O_WRONLY | O_CREAT, 0600));
    assert_null(open_root(at("file")));
    assert_null(open_root(at("file/below")));
}

static void the_default_root_is_upstreams(void **state)
{
    (void)state;
    setenv("TMPDIR", root, 1);
    setenv("USER", "somebody", 1);
    lithops_storage *opened =
        lithops__storage_open_driver(&lithops__storage_localhost, NULL, NULL, &err);
    assert_non_null(opened);
    CHECK(put(opened, "k", "x"));
    assert_true(exists("lithops-somebody/b/k"));
    struct stat st;
    assert_int_equal(stat(at("lithops-somebody"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    lithops_storage_close(opened);
    /* A folder that is not ours could hold functions and results of somebody else. */
    assert_int_equal(symlink("/tmp", at("lithops-link")), 0);
    setenv("USER", "link", 1);
    assert_null(lithops__storage_open_driver(&lithops__storage_localhost, NULL, NULL, &err));
    assert_int_equal(err.code, LITHOPS_EDENIED);
    if (geteuid() == 0) {
        assert_int_equal(mkdir(at("lithops-other"), 0777), 0);
        assert_int_equal(chown(at("lithops-other"), 12345, 12345), 0);
        setenv("USER", "other", 1);
        assert_null(lithops__storage_open_driver(&lithops__storage_localhost, NULL, NULL, &err));
        assert_int_equal(err.code, LITHOPS_EDENIED);
        assert_non_null(strstr(err.message, "lithops-other"));
    }
    unsetenv("TMPDIR");
    unsetenv("USER");
}

/* ---- what runs out --------------------------------------------------------------------------- */

/* Run `body` in a child process; its result must be 0. */
static int in_child(int (*body)(void))
{
    pid_t child = fork();
    if (child == 0)
        _exit(body());
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

enum { CANNOT = 77 }; /* this machine does not allow the fault */

static char large[4 << 20];

/* A put of more than there is room for: an error, nothing left behind, the old object whole. */
static int put_too_much(void)
{
    void *data;
    size_t len;
    if (put(storage, "old", "old body") != 0)
        return 1;
    const lithops_bytes body = {large, sizeof large};
    if (lithops_storage_put(storage, "b", "old", body, &err) != LITHOPS_ENOSPACE ||
        !strstr(err.message, "b/old"))
        return 2;
    if (lithops_storage_put(storage, "b", "new/folder/k", body, &err) != LITHOPS_ENOSPACE)
        return 3;
    if (exists("b/new") || count_files("b") != 1)
        return 4;
    int file = open("/dev/zero", O_RDONLY);
    if (lithops_storage_put_fd(storage, "b", "old", file, &err) != LITHOPS_ENOSPACE ||
        count_files("b") != 1)
        return 5;
    close(file);
    if (lithops_storage_get(storage, "b", "old", 0, SIZE_MAX, &data, &len, &err) != 0 || len != 8 ||
        memcmp(data, "old body", 8) != 0)
        return 6;
    free(data);
    return put(storage, "small", "fits") == 0 ? 0 : 7;
}

static int on_a_full_disk(void)
{
    /* A private mount that ends with this process; for root, or where users may create
     * namespaces. */
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return CANNOT;
    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
    if (mkdir(at("disk"), 0700) != 0 ||
        mount("tmpfs", at("disk"), "tmpfs", 0, "size=1m,mode=777") != 0)
        return CANNOT;
    snprintf(root + strlen(root), sizeof root - strlen(root), "/disk");
    storage = open_root(root);
    return storage ? put_too_much() : 8;
}

static void a_full_disk_leaves_nothing_behind(void **state)
{
    (void)state;
    int result = in_child(on_a_full_disk);
    if (result == CANNOT)
        skip();
    assert_int_equal(result, 0);
}

static int with_a_small_file_limit(void)
{
    struct rlimit limit = {1 << 20, 1 << 20};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    return put_too_much();
}

static void a_file_size_limit_leaves_nothing_behind(void **state)
{
    (void)state;
    assert_int_equal(in_child(with_a_small_file_limit), 0);
}

static int without_descriptors(void)
{
    if (put(storage, "k", "x") != 0)
        return 1;
    struct rlimit limit = {0, 64};
    setrlimit(RLIMIT_NOFILE, &limit);
    void *data;
    size_t len, count = 0;
    if (put(storage, "k", "y") != LITHOPS_ENOSPACE || !strstr(err.message, "open files"))
        return 2;
    if (lithops_storage_get(storage, "b", "k", 0, 1, &data, &len, &err) != LITHOPS_ENOSPACE)
        return 3;
    if (lithops_storage_list(storage, "b", NULL, count_object, &count, &err) != LITHOPS_ENOSPACE)
        return 4;
    if (lithops_storage_delete(storage, "b", "k", &err) != LITHOPS_ENOSPACE)
        return 5;
    limit.rlim_cur = 64;
    setrlimit(RLIMIT_NOFILE, &limit);
    return put(storage, "k", "y") == 0 && count_files("b") == 1 ? 0 : 6;
}

static void used_up_descriptors_are_told(void **state)
{
    (void)state;
    assert_int_equal(in_child(without_descriptors), 0);
}

static int without_permission(void)
{
    if (put(storage, "k", "x") != 0 || chmod(at("b"), 0500) != 0)
        return 1;
    if (geteuid() == 0 && (chmod(root, 0755) != 0 || setresuid(65534, 65534, 65534) != 0))
        return CANNOT;
    if (put(storage, "k2", "x") != LITHOPS_EDENIED || !strstr(err.message, root))
        return 2;
    return lithops_storage_delete(storage, "b", "k", &err) == LITHOPS_EDENIED ? 0 : 3;
}

static void missing_permission_is_told(void **state)
{
    (void)state;
    int result = in_child(without_permission);
    chmod(at("b"), 0700);
    if (result == CANNOT)
        skip();
    assert_int_equal(result, 0);
}

/* ---- many processes -------------------------------------------------------------------------- */

enum { PROCESSES = 4, ROUNDS = 1500 };

/* Puts that need a folder meet deletes that remove it. */
static int put_and_delete_in_one_folder(void)
{
    lithops_storage *own = open_root(root);
    char key[64];
    snprintf(key, sizeof key, "deep/er/%d", (int)getpid());
    for (int i = 0; i < ROUNDS; i++) {
        size_t count = 0;
        if (lithops_storage_put(own, "b", key, (lithops_bytes){key, strlen(key)}, &err) != 0 ||
            lithops_storage_list(own, "b", "deep/", count_object, &count, &err) != 0 || count < 1 ||
            lithops_storage_delete(own, "b", key, &err) != 0) {
            fprintf(stderr, "%s\n", err.message);
            return 1;
        }
    }
    lithops_storage_close(own);
    return 0;
}

static void processes_share_folders(void **state)
{
    (void)state;
    pid_t children[PROCESSES];
    for (int i = 0; i < PROCESSES; i++)
        if ((children[i] = fork()) == 0)
            _exit(put_and_delete_in_one_folder());
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(count_files("b"), 0);
}

/* A writer that is killed during a put does no harm. */
static void a_killed_writer_leaves_whole_objects(void **state)
{
    (void)state;
    for (int round = 0; round < 40; round++) {
        int ready[2];
        assert_int_equal(pipe(ready), 0);
        pid_t child = fork();
        if (child == 0) {
            for (unsigned char letter = 'a';; letter = letter == 'z' ? 'a' : letter + 1) {
                memset(large, letter, 1 << 20);
                lithops_storage_put(storage, "b", "k", (lithops_bytes){large, 1 << 20}, NULL);
                if (write(ready[1], "x", 1) != 1)
                    _exit(1);
            }
        }
        char byte;
        assert_int_equal(read(ready[0], &byte, 1), 1);
        /* Kill it at points that are spread over a put, which takes about 300 us. */
        struct timespec delay = {.tv_nsec = round * 17000};
        nanosleep(&delay, NULL);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        close(ready[0]);
        close(ready[1]);
        unsigned char *data;
        size_t len;
        CHECK(lithops_storage_get(storage, "b", "k", 0, SIZE_MAX, (void **)&data, &len, &err));
        assert_int_equal(len, 1 << 20);
        for (size_t i = 1; i < len; i++)
            if (data[i] != data[0])
                fail_msg("round %d: a mixture of two objects", round);
        free(data);
        assert_int_equal(count_listed(), 1);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(objects_are_plain_files),
        TEST(empty_folders_go_with_their_last_object),
        TEST(unfinished_objects_are_not_listed),
        TEST(links_are_not_followed),
        TEST(other_kinds_of_files_are_no_objects),
        TEST(a_root_is_made),
        TEST(the_default_root_is_upstreams),
        TEST(a_full_disk_leaves_nothing_behind),
        TEST(a_file_size_limit_leaves_nothing_behind),
        TEST(used_up_descriptors_are_told),
        TEST(missing_permission_is_told),
        TEST(processes_share_folders),
        TEST(a_killed_writer_leaves_whole_objects),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
