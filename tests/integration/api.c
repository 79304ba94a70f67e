/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the tests of the public API: an executor per group, checks that print the error, and a
 * check for anything left behind. */
#include "api.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MARK "LITHOPS_TEST_FOLDER"

lithops_executor *fexec;
lithops_error err;
char folder[64];
const lithops_wait_options within_limit = {sizeof(lithops_wait_options),
                                           true,
                                           LITHOPS_ALL,
                                           false,
                                           LIMIT_MS,
                                           64,
                                           LITHOPS_DEFAULT,
                                           false,
                                           NULL,
                                           NULL};

void api_init(int *argc, char ***argv)
{
    lithops_init(argc, argv);
    snprintf(folder, sizeof folder, "/tmp/lithops-api-XXXXXX");
    if (!mkdtemp(folder)) {
        perror(folder);
        exit(1);
    }
    setenv(MARK, folder, 1);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status, (void)type, (void)ftw;
    return remove(path);
}

/* Whether the process has the mark of this test in its environment, which all that a test starts
 * inherits. */
static bool is_marked(long pid, const char *mark)
{
    char path[64], *text = NULL;
    size_t size = 0;
    bool marked = false;
    snprintf(path, sizeof path, "/proc/%ld/environ", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    while (!marked && getdelim(&text, &size, '\0', file) > 0)
        marked = strcmp(text, mark) == 0;
    free(text);
    fclose(file);
    return marked;
}

/* Processes that this test started, directly or not: its workers and their children. Another test
 * may run the same program at the same time. */
static size_t count_processes(void)
{
    char mark[sizeof folder + sizeof MARK + 1];
    size_t count = 0;
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    snprintf(mark, sizeof mark, "%s=%s", MARK, folder);
    while (dir && (entry = readdir(dir)) != NULL) {
        long pid = strtol(entry->d_name, NULL, 10);
        count += pid > 0 && pid != getpid() && is_marked(pid, mark);
    }
    if (dir)
        closedir(dir);
    return count;
}

int api_finish(int failed)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    /* The kernel signals the workers of a killed worker; they take a moment to end. */
    double start = api_now();
    while (count_processes() > 0 && api_now() - start < 10)
        usleep(1000);
    if (api_children() + count_processes() > 0) {
        fprintf(stderr, "%zu processes are left\n", count_processes());
        failed++;
    }
    return failed != 0;
}

const char *api_backend(void)
{
    return getenv("LITHOPS_TEST_BACKEND");
}

/* Set each key of the section to what `json` has for it. */
static void set_keys(lithops_value *config, const char *section, const char *json)
{
    const lithops_value *old = lithops_value_get(config, section), *item;
    lithops_value *merged = old ? lithops_value_copy(old) : lithops_value_map();
    lithops_value *more = api_json(json);
    const char *key;
    for (size_t i = 0; (item = lithops_value_pair(more, i, &key)) != NULL; i++)
        assert_int_equal(lithops_value_set(merged, key, lithops_value_copy(item)), 0);
    assert_int_equal(lithops_value_set(config, section, merged), 0);
    lithops_value_free(more);
}

lithops_value *api_config(const char *limits)
{
    const char *transport = getenv("LITHOPS_TEST_TRANSPORT");
    const char *text = getenv("LITHOPS_TEST_CONFIG");
    lithops_value *config = api_json(text ? text : "{}");
    set_keys(config, "lithops", limits);
    assert_int_equal(
        lithops_value_set(config, "localhost", lithops_pack("{s:s}", "storage_root", folder)), 0);
    assert_int_equal(
        lithops_value_set(config, "process",
                          lithops_pack("{s:s}", "transport", transport ? transport : "socket")),
        0);
    return config;
}

lithops_executor *api_open_limited(const char *limits, const char *settings)
{
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_value *config = api_config(limits);
    lithops_value *more = api_json(settings);
    options.config = config;
    options.settings = more;
    options.backend = api_backend();
    lithops_executor *opened = lithops_executor_open(&options, &err);
    lithops_value_free(config);
    lithops_value_free(more);
    return not_null(opened);
}

lithops_executor *api_open(const char *settings)
{
    return api_open_limited("{}", settings);
}

int api_open_group(void **state)
{
    (void)state;
    fexec = api_open("{\"worker_processes\": 2}");
    return 0;
}

int api_close_group(void **state)
{
    (void)state;
    lithops_executor_close(fexec);
    fexec = NULL;
    return 0;
}

lithops_value *api_json(const char *text)
{
    lithops_value *value = lithops_value_from_json(text, strlen(text), &err);
    return not_null(value);
}

char *api_to_json(const lithops_value *value)
{
    char *text = NULL;
    succeeds(lithops_value_to_json(value, &text, &err));
    return text;
}

static void compare(const lithops_value *value, const char *json, const char *file, int line)
{
    lithops_value *expected = api_json(json);
    if (!lithops_value_equal(value, expected)) {
        char *text = api_to_json(value);
        print_error("%s:%d: %.2000s\n   in place of: %.2000s\n", file, line, text, json);
        free(text);
        _fail(file, line);
    }
    lithops_value_free(expected);
}

void api_result_is(lithops_future *future, const char *json, const char *file, int line)
{
    api_not_null(future, "the future", file, line);
    const lithops_value *value = NULL;
    api_succeeds(lithops_future_value(future, LIMIT_MS, &value, &err), "the result", file, line);
    compare(value, json, file, line);
    lithops_future_unref(future);
}

void api_results_are(lithops_futures *futures, const char *json, const char *file, int line)
{
    api_not_null(futures, "the futures", file, line);
    lithops_value *value = NULL;
    api_succeeds(lithops_get_result_value(NULL, futures, &within_limit, &value, &err),
                 "the results", file, line);
    compare(value, json, file, line);
    lithops_value_free(value);
    lithops_futures_unref(futures);
}

void api_call_fails(lithops_future *future, int code, const char *text, const char *file, int line)
{
    api_not_null(future, "the future", file, line);
    const lithops_value *value = NULL;
    memset(&err, 0, sizeof err);
    int rc = lithops_future_value(future, LIMIT_MS, &value, &err);
    api_fails(rc, code, text, "the call", file, line);
    lithops_error again;
    memset(&again, 0, sizeof again);
    _assert_int_equal(lithops_future_error(future, &again), code, file, line);
    _assert_string_equal(again.message, err.message, file, line);
    lithops_future_unref(future);
}

void api_succeeds(int rc, const char *what, const char *file, int line)
{
    if (rc == 0)
        return;
    print_error("%s:%d: %s: %d (%s) %s\n%s", file, line, what, rc, lithops_error_word(rc),
                err.message, err.traceback);
    _fail(file, line);
}

void api_fails(int rc, int code, const char *text, const char *what, const char *file, int line)
{
    if (rc == code && err.code == code && strstr(err.message, text))
        return;
    print_error("%s:%d: %s: gives %d (%s), error %d \"%s\"; expected %d (%s) \"%s\"\n", file, line,
                what, rc, lithops_error_word(rc), err.code, err.message, code,
                lithops_error_word(code), text);
    _fail(file, line);
}

void *api_not_null(void *pointer, const char *what, const char *file, int line)
{
    if (!pointer)
        api_succeeds(err.code ? err.code : 1, what, file, line);
    return pointer;
}

const char *api_write_file(const char *name, const void *data, size_t len)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    FILE *file = not_null(fopen(path, "w"));
    assert_int_equal(fwrite(data, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    return path;
}

double api_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int api_times(int count)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return count / 10;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return count / 10;
#endif
#endif
    return count;
}

static size_t count_entries(const char *path)
{
    DIR *dir = not_null(opendir(path));
    size_t count = 0;
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

size_t api_open_descriptors(void)
{
    return count_entries("/proc/self/fd") - 3; /* ".", "..", and the folder's own descriptor */
}

/* The first child process of this process, over all its threads. */
static size_t list_children(pid_t *ret_first)
{
    size_t count = 0;
    DIR *tasks = not_null(opendir("/proc/self/task"));
    struct dirent *task;
    while ((task = readdir(tasks)) != NULL) {
        char path[300];
        snprintf(path, sizeof path, "/proc/self/task/%s/children", task->d_name);
        FILE *file = task->d_name[0] == '.' ? NULL : fopen(path, "r");
        int pid;
        while (file && fscanf(file, "%d", &pid) == 1)
            if (count++ == 0)
                *ret_first = pid;
        if (file)
            fclose(file);
    }
    closedir(tasks);
    return count;
}

size_t api_children(void)
{
    pid_t first;
    return list_children(&first);
}

bool api_child(pid_t *ret_pid)
{
    return list_children(ret_pid) > 0;
}

size_t api_mapped_kb(const char *field)
{
    FILE *file = not_null(fopen("/proc/self/status", "r"));
    char line[256];
    size_t kb = 0;
    while (fgets(line, sizeof line, file))
        if (strncmp(line, field, strlen(field)) == 0)
            kb = strtoul(line + strlen(field) + 1, NULL, 10);
    fclose(file);
    return kb;
}
