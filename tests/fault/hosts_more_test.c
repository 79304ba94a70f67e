/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts of the backend vm: what `lithops worker` says of them, hosts that are not like this
 * machine, and kills at random of whatever runs there. */
#include "hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- lithops worker -------------------------------------------------------------------------- */

static const char yaml[] = "lithops: {backend: vm}\nvm: {hosts: [host1, host2]}\n";

/* What `lithops ARGUMENTS` prints, with a configuration of two hosts. */
static void say_command(const char *arguments, char *buf, size_t size)
{
    if (fault_command(FAULT_COMMAND, hosts_folder, yaml, arguments, buf, size) != 0)
        fault_fail(__FILE__, __LINE__, buf);
}

/* The name of the worker that runs a call; "": none does, or not yet. */
static void find_busy(char *list, char *name, size_t size)
{
    char *rest = NULL;
    name[0] = '\0';
    for (char *line = strtok_r(list, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        long running = 0;
        if (sscanf(line, "%*s %*s %*s %*d %ld", &running) == 1 && running == 1)
            snprintf(name, size, "%.*s", (int)strcspn(line, " "), line);
    }
}

/* One is stopped by name: its call ends with the reason, and it is not started again. */
FAULT_CASE(workers_are_listed_and_stopped)
{
    char list[4096], name[64] = "", command[128];
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = hosts_open(
        "{\"hosts\": [\"host1\", \"host2\"], \"worker_processes\": 1, \"min_hosts\": 2}", 0);
    lithops_future *nap =
        lithops_call_async(fexec, fault_nap, lithops_value_int(600000), NULL, &err);
    fault_check_works(fexec, 10);
    while (!name[0]) {
        say_command("worker list", list, sizeof list);
        CHECK(strstr(list, "host1/") && strstr(list, "host2/") && strstr(list, "10.77.0.254"));
        find_busy(list, name, sizeof name);
    }
    snprintf(command, sizeof command, "worker stop %s", name);
    say_command(command, list, sizeof list);
    CHECK(strcmp(list, "1 workers stopped\n") == 0);
    CHECK_INT(fault_outcome(nap, &err), LITHOPS_ECRASH);
    if (!strstr(err.message, "it was stopped there by 'lithops worker stop'"))
        fault_fail(__FILE__, __LINE__, err.message);
    say_command("worker list", list, sizeof list);
    CHECK(!strstr(list, "host1/") != !strstr(list, "host2/"));
    fault_check_works(fexec, 100);
    lithops_executor_close(fexec);
}

/* Its running calls are stopped there, though another process says so. */
FAULT_CASE(a_job_is_stopped_from_another_terminal)
{
    lithops_executor *fexec =
        hosts_open("{\"hosts\": [\"host1\", \"host2\"], \"worker_processes\": 1}", 0);
    fault_check_works(fexec, 10);
    fault_stops_job(FAULT_COMMAND, hosts_folder, yaml, fexec, 5, 2);
    fault_check_works(fexec, 10);
    lithops_executor_close(fexec);
}

/* Of 20 calls hosts have a few. */
FAULT_CASE(a_job_is_stopped_from_another_machine)
{
    lithops_executor *fexec =
        hosts_open("{\"hosts\": [\"host1\", \"host2\"], \"worker_processes\": 1}", 0);
    fault_check_works(fexec, 10);
    fault_stops_job_elsewhere(FAULT_COMMAND, hosts_folder, yaml, fexec, 20, 2);
    fault_check_works(fexec, 10);
    lithops_executor_close(fexec);
}

/* What a worker needs is there afterwards, and nothing runs. */
FAULT_CASE(hosts_are_made_ready)
{
    char said[4096], command[600];
    snprintf(command, sizeof command, "rm -rf %s/host[12].home/.cache/lithops", hosts_folder);
    CHECK_INT(system(command), 0);
    say_command("worker start", said, sizeof said);
    CHECK(strstr(said, "host1: ready, ") != NULL);
    CHECK(strstr(said, "the engine was sent\nhost2: ready, ") != NULL);
    say_command("worker start", said, sizeof said);
    CHECK(strstr(said, "the engine was sent") == NULL);
    say_command("worker list --json", said, sizeof said);
    CHECK(strstr(said, "host1/") == NULL);
}

/* A shell on the host that reads what this one is told. */
FAULT_CASE(a_shell_on_a_host)
{
    static const char one[] = "lithops: {backend: vm}\nvm: {hosts: [host3]}\n";
    char path[512], attach[560], said[4096];
    snprintf(path, sizeof path, "%s/told", hosts_folder);
    FILE *file = fopen(path, "we");
    CHECK(file && fputs("echo on $(uname -n)\n", file) >= 0 && fclose(file) == 0);
    snprintf(attach, sizeof attach, "attach host2 <%s", path);
    say_command(attach, said, sizeof said);
    CHECK(strstr(said, "on host2\n") != NULL);
    snprintf(attach, sizeof attach, "attach --start <%s", path);
    CHECK_INT(fault_command(FAULT_COMMAND, hosts_folder, one, attach, said, sizeof said), 0);
    CHECK(strstr(said, "on host3\n") != NULL);
    CHECK_INT(fault_command(FAULT_COMMAND, hosts_folder, yaml, "attach", said, sizeof said), 2);
    CHECK(strstr(said, "vm.hosts has 2 hosts: name one, such as host1") != NULL);
    CHECK_INT(fault_command(FAULT_COMMAND, hosts_folder, yaml, "attach nix", said, sizeof said), 2);
    CHECK(strstr(said, "vm.hosts has no 'nix'") != NULL);
}

FAULT_CASE(the_command_tests_hosts)
{
    char said[4096];
    say_command("test", said, sizeof said);
    if (!strstr(said, "5 passed, 0 failed"))
        fault_fail(__FILE__, __LINE__, said);
}

LITHOPS_FUNCTION(say_host)
{
    char name[65] = "";
    (void)gethostname(name, sizeof name - 1);
    printf("this is %s\n", name);
    return lithops_return_int(call, 0);
}

/* What calls print there is in the log here. */
FAULT_CASE(logs_of_hosts)
{
    char said[4096], arguments[128];
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = hosts_open("{\"hosts\": [\"host1\"]}", 0);
    snprintf(arguments, sizeof arguments, "logs %s", lithops_executor_id(fexec));
    CHECK_INT(fault_call(fexec, say_host, lithops_value_int(0), &err), 0);
    lithops_executor_close(fexec);
    say_command(arguments, said, sizeof said);
    if (!strstr(said, "this is host1"))
        fault_fail(__FILE__, __LINE__, said);
}

/* ---- hosts that are not like this machine -----------------------------------------------------
 */

/* On a host a program is found first that says something else; NULL: no longer. */
static void doctor(const char *host, const char *program, const char *says)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s.home/%s", hosts_folder, host, program);
    (void)unlink(path);
    FILE *file = says ? fopen(path, "we") : NULL;
    if (says) {
        CHECK(file && fprintf(file, "#!/bin/sh\necho '%s'\n", says) > 0);
        fclose(file);
        CHECK_INT(chmod(path, 0700), 0);
    }
    snprintf(path, sizeof path, "%s/%s.home/.bashrc", hosts_folder, host);
    (void)unlink(path);
    if (says) {
        CHECK((file = fopen(path, "we")) && fputs("PATH=$HOME:$PATH\n", file) >= 0);
        fclose(file);
    }
}

FAULT_CASE(another_architecture)
{
    doctor("host3", "uname", "riscv64");
    hosts_refused("{\"hosts\": [\"host3\"]}",
                  "host host3:", "its architecture is riscv64, and this machine's is ");
    doctor("host3", "uname", NULL);
}

FAULT_CASE(an_older_glibc)
{
    doctor("host3", "getconf", "glibc 2.17");
    hosts_refused("{\"hosts\": [\"host3\"]}", "host host3:", "it has glibc 2.17, and this engine");
    doctor("host3", "getconf", "musl");
    hosts_refused("{\"hosts\": [\"host3\"]}", "host host3:", "its C library is 'musl'");
    doctor("host3", "getconf", NULL);
}

/* ---- kills at random ------------------------------------------------------------------------- */

/* The processes of hosts: workers, what they have started, and sshd's of their connections. The
 * first ones stay, which would take their hosts with them. */
static size_t processes_of_hosts(pid_t *pids, size_t most)
{
    static const char *const hosts[] = {"host1", "host2"};
    size_t count = 0;
    for (size_t h = 0; h < 2; h++)
        count += fault_children_of(hosts_pid(hosts[h]), pids + count, most - count);
    for (size_t i = 0; i < count && count < most; i++)
        count += fault_children_of(pids[i], pids + count, most - count);
    return count;
}

/* As when it loses power: all of its processes at once, but the sshd that it comes back with. */
static bool kill_host(const char *host)
{
    char path[64];
    int status = -1;
    snprintf(path, sizeof path, "/proc/%ld/ns/pid", (long)hosts_pid(host));
    pid_t helper = fork();
    if (helper == 0) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || setns(fd, CLONE_NEWPID) != 0)
            _exit(1);
        pid_t inside = fork(); /* spared, as it is the one that kills */
        if (inside == 0)
            _exit(kill(-1, SIGKILL) == 0 || errno == ESRCH ? 0 : 1);
        _exit(inside > 0 && waitpid(inside, &status, 0) == inside && status == 0 ? 0 : 1);
    }
    return helper > 0 && waitpid(helper, &status, 0) == helper && status == 0;
}

static bool kill_one(unsigned *seed)
{
    if (rand_r(seed) % 8 == 0)
        return kill_host(rand_r(seed) % 2 ? "host1" : "host2");
    pid_t pids[64];
    size_t count = processes_of_hosts(pids, 64);
    return count > 0 && kill(pids[(size_t)rand_r(seed) % count], SIGKILL) == 0;
}

FAULT_CASE(many_kills)
{
    lithops_executor *fexec = hosts_open(
        "{\"hosts\": [\"host1\", \"host2\"], \"worker_processes\": 2, \"min_hosts\": 1}", 0);
    fault_many_kills(fexec, 10000, 20, kill_one);
    lithops_executor_close(fexec);
    pid_t left[64];
    double start = fault_now();
    while (processes_of_hosts(left, 64) > 0) {
        CHECK(fault_now() - start < 20 * FAULT_SLOWER);
        usleep(20000);
    }
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    hosts_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_are_listed_and_stopped),
        cmocka_unit_test(a_job_is_stopped_from_another_terminal),
        cmocka_unit_test(a_job_is_stopped_from_another_machine),
        cmocka_unit_test(hosts_are_made_ready),
        cmocka_unit_test(a_shell_on_a_host),
        cmocka_unit_test(the_command_tests_hosts),
        cmocka_unit_test(logs_of_hosts),
        cmocka_unit_test(another_architecture),
        cmocka_unit_test(an_older_glibc),
        cmocka_unit_test(many_kills),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
