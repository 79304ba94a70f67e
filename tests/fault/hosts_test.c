/* SPDX-License-Identifier: Apache-2.0 */
/* The backend vm on hosts that cannot be reached, cannot start a worker, or fail during a job. Each
 * refusal names the host and says what to do, the other hosts run, and nothing is left behind. */
#include "hostile.h"
#include "hosts.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

LITHOPS_FUNCTION(where)
{
    char name[64] = "";
    gethostname(name, sizeof name);
    poll(NULL, 0, 5); /* so that every host gets some */
    return lithops_return(call, "s", name);
}

/* The hosts on which the calls of a map ran, as "host1 host3 ". */
static void hosts_of(lithops_executor *fexec, int count, char *buf, size_t size)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_futures *futures = lithops_map(fexec, where, lithops_range(0, count), NULL, &err);
    lithops_value *results = NULL;
    CHECK(futures != NULL);
    if (lithops_get_result(fexec, futures, NULL, &err, "o", &results) != 0)
        fault_fail(__FILE__, __LINE__, err.message);
    buf[0] = '\0';
    static const char *const names[] = {"host1", "host2", "host3", "readonly", "full"};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++)
        for (size_t i = 0; i < lithops_value_size(results); i++)
            if (strcmp(lithops_value_get_string(lithops_value_at(results, i)), names[n]) == 0) {
                snprintf(buf + strlen(buf), size - strlen(buf), "%s ", names[n]);
                break;
            }
    lithops_value_free(results);
    lithops_futures_unref(futures);
}

/* ---- what works -------------------------------------------------------------------------- */

FAULT_CASE(all_hosts_run_calls)
{
    char names[128];
    lithops_executor *fexec = hosts_open(
        "{\"hosts\": [\"host1\", \"root@host2:22\", {\"name\": \"host3\", \"worker_processes\": 1,"
        "\"weight\": 2}], \"worker_processes\": 2, \"min_hosts\": 3}",
        0);
    hosts_of(fexec, 600, names, sizeof names);
    if (strcmp(names, "host1 host2 host3 ") != 0)
        fault_fail(__FILE__, __LINE__, names);
    fault_check_works(fexec, 1000);
    lithops_executor_close(fexec);
}

FAULT_CASE(upstreams_keys)
{
    char names[128];
    char settings[512];
    snprintf(settings, sizeof settings,
             "{\"ip_address\": \"10.77.0.2\", \"ssh_username\": \"root\", \"worker_processes\": 2, "
             "\"ssh_key_filename\": \"%s/id\"}",
             hosts_folder);
    lithops_executor *fexec = hosts_open(settings, 0);
    hosts_of(fexec, 10, names, sizeof names);
    if (strcmp(names, "host2 ") != 0)
        fault_fail(__FILE__, __LINE__, names);
    lithops_executor_close(fexec);
}

FAULT_CASE(a_password)
{
    const char *settings = "{\"hosts\": [\"host1\"], \"ssh_password\": \"%s\", \"ssh_options\": "
                           "[\"PubkeyAuthentication=no\"]}";
    char text[256], names[128];
    snprintf(text, sizeof text, settings, "open sesame");
    lithops_executor *fexec = hosts_open(text, 0);
    hosts_of(fexec, 10, names, sizeof names);
    CHECK(strcmp(names, "host1 ") == 0);
    lithops_executor_close(fexec);
    snprintf(text, sizeof text, settings, "open barley");
    hosts_refused(text, "host1", "does not let this user in");
}

/* A file in the engine's hosts_folder on a host. @return its inode; 0: it does not exist */
static ino_t engine_file(const char *host, const char *name, char *path, size_t size)
{
    char engines[512];
    struct stat status;
    ino_t found = 0;
    snprintf(engines, sizeof engines, "%s/%s.home/.cache/lithops/engine", hosts_folder, host);
    DIR *dir = opendir(engines);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, size, "%s/%.64s/%s", engines, entry->d_name, name);
        found = stat(path, &status) == 0 ? status.st_ino : 0;
    }
    if (dir)
        closedir(dir);
    return found;
}

static void run_on(const char *host)
{
    char settings[128];
    snprintf(settings, sizeof settings, "{\"hosts\": [\"%s\"], \"worker_processes\": 1}", host);
    lithops_executor *fexec = hosts_open(settings, 0);
    fault_check_works(fexec, 10);
    lithops_executor_close(fexec);
}

FAULT_CASE(the_engine_is_sent_once_and_looked_at)
{
    char path[1024];
    run_on("host1");
    ino_t first = engine_file("host1", "bin/lithops", path, sizeof path);
    CHECK(first != 0);
    run_on("host1");
    CHECK_INT(engine_file("host1", "bin/lithops", path, sizeof path), first);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    CHECK(fd >= 0 && pwrite(fd, "spoiled", 7, 4096) == 7);
    close(fd);
    run_on("host1");
    char bytes[8] = "";
    fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && pread(fd, bytes, 7, 4096) == 7 && strcmp(bytes, "spoiled") != 0);
    close(fd);
}

FAULT_CASE(two_clients_at_once)
{
    pid_t clients[4];
    for (size_t i = 0; i < 4; i++) {
        clients[i] = fork();
        if (clients[i] == 0) {
            run_on("host3");
            _exit(0);
        }
    }
    for (size_t i = 0; i < 4; i++) {
        int status;
        CHECK_INT(waitpid(clients[i], &status, 0), clients[i]);
        CHECK_INT(status, 0);
    }
}

/* As docs/standalone.md says. */
FAULT_CASE(the_cache_is_cleaned)
{
    static const char command[] = "ssh host2 'for l in ~/.cache/lithops/engine/*/bin/lithops; do "
                                  "\"$l\" clean --cache; break; "
                                  "done'";
    char path[512], said[256] = "";
    run_on("host2");
    snprintf(path, sizeof path, "%s/host2.home/.cache/lithops/images", hosts_folder);
    DIR *before = opendir(path);
    CHECK(before && readdir(before) && readdir(before) && readdir(before)); /* not . and .. alone */
    closedir(before);
    FILE *ssh = popen(command, "re");
    CHECK(ssh && fgets(said, sizeof said, ssh));
    CHECK_INT(pclose(ssh), 0);
    if (!strstr(said, "MiB of the cache"))
        fault_fail(__FILE__, __LINE__, said);
    DIR *after = opendir(path);
    CHECK(after && readdir(after) && readdir(after) && !readdir(after));
    closedir(after);
    run_on("host2");
}

/* Start-up files of the login shell may print, to both streams. */
FAULT_CASE(a_talkative_shell)
{
    char path[512];
    snprintf(path, sizeof path, "%s/host2.home/.bashrc", hosts_folder);
    FILE *file = fopen(path, "we");
    CHECK(file && fputs("echo welcome; echo LITHOPS; echo hello >&2\n", file) >= 0);
    fclose(file);
    run_on("host2");
    unlink(path);
}

/* ---- what is refused ------------------------------------------------------------------------- */

FAULT_CASE(a_wrong_key)
{
    char settings[512];
    snprintf(settings, sizeof settings,
             "{\"hosts\": [\"10.77.0.1\"], \"ssh_key_filename\": \"%s/id.wrong\"}", hosts_folder);
    hosts_refused(settings, "host 10.77.0.1:", "does not let this user in: check the user's name");
}

FAULT_CASE(a_wrong_user)
{
    hosts_refused("{\"hosts\": [\"nobody-here@host1\"]}",
                  "host nobody-here@host1:", "does not let this user in");
}

FAULT_CASE(an_unknown_host_key)
{
    hosts_refused("{\"hosts\": [\"host1\"], \"ssh_options\": [\"UserKnownHostsFile=/dev/null\"]}",
                  "host host1:", "its host key is not known: connect once");
    lithops_executor *fexec =
        hosts_open("{\"hosts\": [\"host1\"], \"ssh_options\": [\"UserKnownHostsFile=/dev/null\", "
                   "\"StrictHostKeyChecking=accept-new\"]}",
                   0);
    fault_check_works(fexec, 10);
    lithops_executor_close(fexec);
}

FAULT_CASE(a_changed_host_key)
{
    char path[512], settings[1024], key[512] = "";
    snprintf(path, sizeof path, "%s/id.wrong.pub", hosts_folder);
    FILE *file = fopen(path, "re");
    CHECK(file && fgets(key, sizeof key, file));
    fclose(file);
    snprintf(path, sizeof path, "%s/changed", hosts_folder);
    file = fopen(path, "we");
    CHECK(file && fprintf(file, "host1 %s", key) > 0);
    fclose(file);
    snprintf(settings, sizeof settings,
             "{\"hosts\": [\"host1\"], \"ssh_options\": [\"UserKnownHostsFile=%s\"]}", path);
    hosts_refused(settings, "host host1:", "ssh-keygen -R host1");
}

FAULT_CASE(no_sshd)
{
    hosts_refused("{\"hosts\": [\"host1:2222\"]}", "host host1:2222:", "nobody listens there");
}

FAULT_CASE(no_such_name)
{
    hosts_refused("{\"hosts\": [\"nowhere.invalid\"]}", "host nowhere.invalid:", "of this name");
}

FAULT_CASE(no_route)
{
    double start = fault_now();
    hosts_refused("{\"hosts\": [\"10.77.0.99\"], \"connect_timeout\": 3}",
                  "host 10.77.0.99:", "is it up");
    CHECK(fault_now() - start < 60 * FAULT_SLOWER);
}

FAULT_CASE(a_home_that_is_read_only)
{
    hosts_refused("{\"hosts\": [\"readonly\"]}", "host readonly:", "Read-only file system");
}

FAULT_CASE(a_full_disk)
{
    hosts_refused("{\"hosts\": [\"full\"]}", "host full:", "is there room");
}

FAULT_CASE(a_host_that_is_stopped)
{
    pid_t sshd = hosts_pid("host2");
    CHECK_INT(kill(sshd, SIGSTOP), 0);
    hosts_refused("{\"hosts\": [\"host2\"], \"connect_timeout\": 2}", "host host2:", "is it up");
    CHECK_INT(kill(sshd, SIGCONT), 0);
}

/* ---- some hosts fail ------------------------------------------------------------------------- */

FAULT_CASE(the_rest_runs)
{
    char names[128];
    lithops_executor *fexec =
        hosts_open("{\"hosts\": [\"full\", \"host1\", \"host3:2222\", \"readonly\", \"host2\", "
                   "\"10.77.0.99\"], \"worker_processes\": 2, \"connect_timeout\": 3}",
                   0);
    while (true) { /* the first to be ready runs all while the other one starts */
        hosts_of(fexec, 100, names, sizeof names);
        if (strcmp(names, "host1 host2 ") == 0)
            break;
        CHECK(strcmp(names, "host1 ") == 0 || strcmp(names, "host2 ") == 0);
    }
    lithops_executor_close(fexec);
}

FAULT_CASE(too_few_hosts)
{
    hosts_refused("{\"hosts\": [\"full\", \"host1\", \"host2\"], \"min_hosts\": 3}",
                  "host full:", "(2 of 3 workers are there, 3 are needed)");
}

FAULT_CASE(closing_does_not_wait)
{
    double start = fault_now();
    lithops_executor *fexec =
        hosts_open("{\"hosts\": [\"10.77.0.99\", \"10.77.0.98\"], \"connect_timeout\": 60}", 0);
    lithops_executor_close(fexec);
    CHECK(fault_now() - start < 30);
    CHECK_INT(fault_children(NULL, 0), 0);
}

/* ---- during a job --------------------------------------------------------------------------- */

LITHOPS_FUNCTION(square_slowly)
{
    int64_t n = lithops_call_int(call);
    poll(NULL, 0, (int)(n % 7));
    return lithops_return_int(call, n * n);
}

/* Like a power failure: no process of it says another word. */
FAULT_CASE(a_host_is_killed)
{
    enum { CALLS = 600 };
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec =
        hosts_open("{\"hosts\": [\"host1\", \"host2\", \"host3\"], \"worker_processes\": 2, "
                   "\"min_hosts\": 3}",
                   2);
    lithops_wait_options options = LITHOPS_WAIT_OPTIONS_INIT;
    options.timeout_ms = FAULT_WAIT_MS;
    lithops_futures *futures =
        lithops_map(fexec, square_slowly, lithops_range(0, CALLS), NULL, &err);
    while (lithops_futures_done(futures) < CALLS / 4)
        sched_yield();
    CHECK_INT(kill(hosts_pid("host3"), SIGKILL), 0);
    CHECK_INT(lithops_wait(NULL, futures, &options, NULL, NULL, &err), 0);
    (void)fault_check_squares(futures, CALLS, 0);
    lithops_futures_unref(futures);
    lithops_executor_close(fexec);
}

/* Processes of a host, that is, in the process namespace of its first one. */
static size_t processes_of(const char *host)
{
    char path[300], own[64] = "", other[64];
    size_t count = 0;
    snprintf(path, sizeof path, "/proc/%ld/ns/pid", (long)hosts_pid(host));
    ssize_t len = readlink(path, own, sizeof own);
    DIR *dir = opendir("/proc");
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        snprintf(path, sizeof path, "/proc/%s/ns/pid", entry->d_name);
        if (strtol(entry->d_name, NULL, 10) > 0 && len > 0 &&
            readlink(path, other, sizeof other) == len && memcmp(own, other, (size_t)len) == 0)
            count++;
    }
    if (dir)
        closedir(dir);
    return count;
}

/* A client whose calls run for minutes. */
static pid_t start_client(const char *settings)
{
    int ready[2];
    CHECK_INT(pipe(ready), 0);
    pid_t client = fork();
    if (client == 0) {
        lithops_error err = LITHOPS_ERROR_INIT;
        lithops_executor *fexec = hosts_open(settings, 0);
        fault_check_works(fexec, 100);
        (void)lithops_map(fexec, fault_nap, lithops_range(600000, 600002), NULL, &err);
        fault_check_works(fexec, 1);
        (void)!write(ready[1], "!", 1);
        pause();
    }
    char byte;
    close(ready[1]);
    struct pollfd fd = {ready[0], POLLIN, 0};
    CHECK_INT(poll(&fd, 1, FAULT_WAIT_MS), 1);
    (void)!read(ready[0], &byte, 1);
    close(ready[0]);
    return client;
}

static void await_quiet(const char *host, double limit_s)
{
    double start = fault_now();
    while (processes_of(host) > 1) { /* sshd */
        CHECK(fault_now() - start < limit_s);
        poll(NULL, 0, 20);
    }
}

FAULT_CASE(the_client_is_killed)
{
    pid_t client = start_client(
        "{\"hosts\": [\"host1\", \"host2\"], \"worker_processes\": 4, \"min_hosts\": 2}");
    CHECK(processes_of("host1") > 1);
    CHECK_INT(kill(client, SIGKILL), 0);
    CHECK_INT(waitpid(client, NULL, 0), client);
    await_quiet("host1", 20 * FAULT_SLOWER);
    await_quiet("host2", 20 * FAULT_SLOWER);
}

/* A host that goes silent, as if a cable was cut: what it started ends by itself. */
FAULT_CASE(the_client_is_stopped)
{
    pid_t client = start_client("{\"hosts\": [\"host1\"], \"worker_processes\": 4, "
                                "\"worker_lost_timeout\": 2}");
    CHECK(processes_of("host1") > 2);
    CHECK_INT(kill(client, SIGSTOP), 0);
    double start = fault_now();
    while (processes_of("host1") > 4) { /* sshd, and those of the connection */
        CHECK(fault_now() - start < FAULT_WAIT_MS / 1000);
        poll(NULL, 0, 20);
    }
    CHECK_INT(kill(client, SIGKILL), 0);
    CHECK_INT(waitpid(client, NULL, 0), client);
    await_quiet("host1", 20 * FAULT_SLOWER);
}

/* The harm stays with the call; the host goes on. */
FAULT_CASE(hostile_functions)
{
    lithops_executor *fexec = hosts_open("{\"hosts\": [\"host1\"], \"worker_processes\": 2}", 0);
    hostile_run_all(fexec, 500 / FAULT_SLOWER);
    lithops_executor_close(fexec);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    hosts_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_hosts_run_calls),
        cmocka_unit_test(upstreams_keys),
        cmocka_unit_test(a_password),
        cmocka_unit_test(the_engine_is_sent_once_and_looked_at),
        cmocka_unit_test(two_clients_at_once),
        cmocka_unit_test(the_cache_is_cleaned),
        cmocka_unit_test(a_talkative_shell),
        cmocka_unit_test(a_wrong_key),
        cmocka_unit_test(a_wrong_user),
        cmocka_unit_test(an_unknown_host_key),
        cmocka_unit_test(a_changed_host_key),
        cmocka_unit_test(no_sshd),
        cmocka_unit_test(no_such_name),
        cmocka_unit_test(no_route),
        cmocka_unit_test(a_home_that_is_read_only),
        cmocka_unit_test(a_full_disk),
        cmocka_unit_test(a_host_that_is_stopped),
        cmocka_unit_test(the_rest_runs),
        cmocka_unit_test(too_few_hosts),
        cmocka_unit_test(closing_does_not_wait),
        cmocka_unit_test(hostile_functions),
        cmocka_unit_test(the_client_is_killed),
        cmocka_unit_test(the_client_is_stopped),
        cmocka_unit_test(a_host_is_killed), /* last, as the host does not come back */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
