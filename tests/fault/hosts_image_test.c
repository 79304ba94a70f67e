/* SPDX-License-Identifier: Apache-2.0 */
/* Workers in containers of hosts, of podman or docker: `runtime` names an image. Whatever ends the
 * link ends the container, and errors name the host and say what to do. */
#include "hosts.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define ON_HOST1 "\"hosts\": [\"host1\"], \"worker_processes\": 2, \"min_hosts\": 1, "

static const char *engine; /* "podman" or "docker" */

LITHOPS_FUNCTION(in_container)
{
    char folder[256];
    bool is_there = access("/run/.containerenv", F_OK) == 0 || access("/.dockerenv", F_OK) == 0;
    return lithops_return(call, "s", is_there && getcwd(folder, sizeof folder) ? folder : "none");
}

/* What a command on the host prints; it must work. */
static void say_host(const char *command, char *buf, size_t size)
{
    char line[1024];
    snprintf(line, sizeof line, "ssh host1 '%s'", command);
    FILE *said = popen(line, "re");
    CHECK(said);
    size_t len = fread(buf, 1, size - 1, said);
    buf[len] = '\0';
    CHECK_INT(pclose(said), 0);
}

static bool is_called(pid_t pid, const char *name)
{
    char path[64], text[64] = "";
    snprintf(path, sizeof path, "/proc/%ld/comm", (long)pid);
    FILE *file = fopen(path, "re");
    if (file) {
        (void)!fgets(text, sizeof text, file);
        fclose(file);
    }
    text[strcspn(text, "\n")] = '\0';
    return strcmp(text, name) == 0;
}

static size_t count_left(void)
{
    pid_t pids[64];
    size_t count = fault_children_of(hosts_pid("host1"), pids, 64), left = 0;
    for (size_t i = 0; i < count && i < 64; i++)
        left += !is_called(pids[i], "dockerd");
    return left;
}

/* No process is left but sshd and a daemon, and the engine knows of no container. */
static void await_nothing_left(void)
{
    double start = fault_now();
    char containers[256], list[64];
    while (count_left() > 0) {
        CHECK(fault_now() - start < 20 * FAULT_SLOWER);
        usleep(20000);
    }
    snprintf(list, sizeof list, "%s ps --all --quiet", engine);
    say_host(list, containers, sizeof containers);
    if (containers[0])
        fault_fail(__FILE__, __LINE__, containers);
}

FAULT_CASE(calls_run_in_the_image)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = hosts_open("{" ON_HOST1 "\"runtime\": \"localhost/bare:1\"}", 0);
    lithops_future *future =
        lithops_call_async(fexec, in_container, lithops_value_int(0), NULL, &err);
    const char *folder = NULL;
    if (lithops_future_result(future, FAULT_WAIT_MS, &err, "s", &folder) != 0)
        fault_fail(__FILE__, __LINE__, err.message);
    CHECK(strcmp(folder, "none") != 0);
    lithops_future_unref(future);
    fault_check_works(fexec, 1000);
    lithops_executor_close(fexec);
    await_nothing_left();
}

/* ---- ends ------------------------------------------------------------------------------------ */

/* The outermost process of the host that has this name; 0: there is none. */
static pid_t find_process(const char *name)
{
    pid_t pids[64], found = 0;
    size_t count = fault_children_of(hosts_pid("host1"), pids, 64);
    for (size_t i = 0; i < count && count < 64; i++)
        count += fault_children_of(pids[i], pids + count, 64 - count);
    for (size_t i = 0; i < count && !found; i++)
        if (is_called(pids[i], name))
            found = pids[i];
    return found;
}

/* The calls of what was killed fail, others go on in a new container, and the old one is gone. */
static void survives_kill_of(const char *process)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = hosts_open("{" ON_HOST1 "\"runtime\": \"localhost/bare:1\"}", 0);
    lithops_future *nap =
        lithops_call_async(fexec, fault_nap, lithops_value_int(600000), NULL, &err);
    fault_check_works(fexec, 100);
    pid_t pid = find_process(process);
    CHECK(pid > 0 && kill(pid, SIGKILL) == 0);
    CHECK_INT(fault_outcome(nap, &err), LITHOPS_ECRASH);
    if (!strstr(err.message, "host1"))
        fault_fail(__FILE__, __LINE__, err.message);
    fault_check_works(fexec, 100);
    lithops_executor_close(fexec);
    await_nothing_left();
}

FAULT_CASE(the_engine_is_killed)
{
    survives_kill_of(engine);
}

FAULT_CASE(the_connection_is_killed)
{
    survives_kill_of("sshd");
}

FAULT_CASE(the_worker_is_killed)
{
    survives_kill_of("lithops");
}

FAULT_CASE(the_client_is_killed)
{
    int ready[2];
    char byte;
    CHECK_INT(pipe(ready), 0);
    pid_t client = fork();
    if (client == 0) {
        lithops_executor *fexec = hosts_open("{" ON_HOST1 "\"runtime\": \"localhost/bare:1\"}", 0);
        fault_check_works(fexec, 100);
        (void)!write(ready[1], "!", 1);
        pause();
    }
    CHECK_INT(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    CHECK_INT(kill(client, SIGKILL), 0);
    await_nothing_left();
}

/* ---- lithops worker -------------------------------------------------------------------------- */

FAULT_CASE(workers_are_listed_and_stopped)
{
    char path[512], line[1024], list[2048], name[64];
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = hosts_open("{" ON_HOST1 "\"runtime\": \"localhost/bare:1\"}", 0);
    fault_check_works(fexec, 10);
    snprintf(path, sizeof path, "%s/hosts.yaml", hosts_folder);
    FILE *file = fopen(path, "we");
    CHECK(file && fputs("lithops: {backend: vm}\nvm: {hosts: [host1]}\n", file) >= 0);
    fclose(file);
    snprintf(line, sizeof line, FAULT_COMMAND " worker list -c %s", path);
    FILE *said = popen(line, "re");
    CHECK(said);
    list[fread(list, 1, sizeof list - 1, said)] = '\0';
    CHECK_INT(pclose(said), 0);
    const char *at = strstr(list, "host1/");
    if (!at || !strstr(at, "10.77.0.254"))
        fault_fail(__FILE__, __LINE__, list);
    lithops_future *nap =
        lithops_call_async(fexec, fault_nap, lithops_value_int(600000), NULL, &err);
    fault_check_works(fexec, 10);
    snprintf(name, sizeof name, "%.*s", (int)strcspn(at, " "), at);
    snprintf(line, sizeof line, FAULT_COMMAND " worker stop %s -c %s >/dev/null", name, path);
    said = popen(line, "re");
    CHECK(said);
    CHECK_INT(pclose(said), 0);
    CHECK_INT(fault_outcome(nap, &err), LITHOPS_ECRASH);
    if (!strstr(err.message, "'lithops worker stop'"))
        fault_fail(__FILE__, __LINE__, err.message);
    lithops_executor_close(fexec);
    await_nothing_left();
}

static const char yaml[] = "lithops: {backend: vm}\nvm: {hosts: [host1]}\n";

FAULT_CASE(jobs_are_listed_and_stopped)
{
    lithops_executor *fexec = hosts_open("{" ON_HOST1 "\"runtime\": \"localhost/bare:1\"}", 0);
    fault_check_works(fexec, 10);
    fault_stops_job_elsewhere(FAULT_COMMAND, hosts_folder, yaml, fexec, 20, 2);
    fault_check_works(fexec, 10);
    lithops_executor_close(fexec);
    await_nothing_left();
}

/* ---- what is refused ------------------------------------------------------------------------- */

FAULT_CASE(no_such_image)
{
    hosts_refused("{" ON_HOST1 "\"runtime\": \"localhost/nothing:1\"}",
                  "host host1:", "it has no image 'localhost/nothing:1' (");
}

FAULT_CASE(an_image_of_another_architecture)
{
    hosts_refused("{" ON_HOST1 "\"runtime\": \"localhost/foreign:1\"}",
                  "host host1:", "the image is of another architecture");
}

FAULT_CASE(an_image_without_a_shell)
{
    hosts_refused("{" ON_HOST1 "\"runtime\": \"localhost/empty:1\"}",
                  "host host1:", "the image has no sh");
}

FAULT_CASE(no_image_at_all)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = NULL;
    lithops_value *settings = lithops_pack("{s:[s],s:s}", "hosts", "host1", "runtime", "./here");
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    options.backend = "vm";
    options.settings = settings;
    fexec = lithops_executor_open(&options, &err);
    CHECK(fexec == NULL);
    CHECK_INT(err.code, LITHOPS_ECONFIG);
    if (!strstr(err.message, "vm.runtime is './here': name an image, or an interpreter"))
        fault_fail(__FILE__, __LINE__, err.message);
    lithops_value_free(settings);
}

/* On a host these are all programs that there are. */
FAULT_CASE(neither_docker_nor_podman)
{
    char path[512], kept[520];
    snprintf(path, sizeof path, "%s/host1.home/.bashrc", hosts_folder);
    snprintf(kept, sizeof kept, "%s.kept", path);
    CHECK_INT(rename(path, kept), 0);
    FILE *file = fopen(path, "we");
    CHECK(file && fputs("mkdir -p ~/few; for i in sh mkdir id; do ln -sf /usr/bin/$i ~/few/$i; "
                        "done; PATH=~/few\n",
                        file) >= 0);
    fclose(file);
    hosts_refused("{" ON_HOST1 "\"runtime\": \"localhost/bare:1\"}", "host host1:",
                  "there is neither docker nor podman for image 'localhost/bare:1': install one");
    CHECK_INT(rename(kept, path), 0);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    hosts_init();
    engine = getenv("LITHOPS_TEST_ENGINE");
    if (!engine)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_run_in_the_image),
        cmocka_unit_test(the_engine_is_killed),
        cmocka_unit_test(the_connection_is_killed),
        cmocka_unit_test(the_worker_is_killed),
        cmocka_unit_test(the_client_is_killed),
        cmocka_unit_test(workers_are_listed_and_stopped),
        cmocka_unit_test(jobs_are_listed_and_stopped),
        cmocka_unit_test(no_such_image),
        cmocka_unit_test(an_image_of_another_architecture),
        cmocka_unit_test(an_image_without_a_shell),
        cmocka_unit_test(no_image_at_all),
        cmocka_unit_test(neither_docker_nor_podman),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
