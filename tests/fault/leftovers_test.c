/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that calls started, with their own output and process groups: they end when the call is
 * killed, the executor closes, or the client is killed; those that left the session stay. */
#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum where { SAME_GROUP, NO_ENVIRONMENT, OWN_GROUP, OWN_SESSION, BARE_GROUP };

static void run_program(int where)
{
    if (where == OWN_GROUP || where == BARE_GROUP)
        setpgid(0, 0);
    if (where == OWN_SESSION)
        setsid();
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    if (where == NO_ENVIRONMENT || where == BARE_GROUP)
        clearenv();
    execlp("sleep", "sleep", "600", (char *)NULL);
    _exit(127);
}

/* Start a program, write its process id to a file, and go on for `ms`. */
LITHOPS_FUNCTION(start_program)
{
    const char *path;
    int64_t where, ms;
    if (lithops_args(call, "sII", "path", &path, "where", &where, "ms", &ms) != 0)
        return LITHOPS_EARG;
    pid_t pid = fork();
    if (pid == 0)
        run_program((int)where);
    /* Here too, as shells do: so it is in effect before the file exists. */
    if (where == OWN_GROUP || where == BARE_GROUP)
        setpgid(pid, pid);
    while (where == OWN_SESSION && getsid(pid) != pid)
        usleep(100);
    char temporary[256];
    snprintf(temporary, sizeof temporary, "%s.new", path);
    FILE *file = fopen(temporary, "w");
    fprintf(file, "%d\n", (int)pid);
    fclose(file);
    rename(temporary, path);
    usleep((useconds_t)ms * 1000);
    if (ms == 7)
        raise(SIGKILL);
    return 0;
}

static char path[64];

static lithops_value *input(int where, int ms)
{
    return lithops_pack("[sii]", path, where, ms);
}

static void make_path(void)
{
    snprintf(path, sizeof path, "/tmp/lithops-leftovers-%d", (int)getpid());
    unlink(path);
}

/* The program's process id, once it is written. */
static pid_t started(void)
{
    int pid = 0;
    FILE *file;
    while (!(file = fopen(path, "r")))
        usleep(1000);
    CHECK(fscanf(file, "%d", &pid) == 1);
    fclose(file);
    unlink(path);
    return pid;
}

static bool is_running(pid_t pid)
{
    return kill(pid, 0) == 0;
}

static void ends(pid_t pid)
{
    CHECK(fault_is_gone(pid, 10000 * FAULT_SLOWER));
}

FAULT_CASE(end_with_the_kill_of_their_call)
{
    make_path();
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(2, NULL);
    for (int where = SAME_GROUP; where <= OWN_GROUP; where++) {
        CHECK_INT(fault_call_limited(fexec, start_program, input(where, 600000), 300,
                                     LITHOPS_DEFAULT, &err),
                  LITHOPS_ETIMEOUT);
        ends(started());
        CHECK_INT(fault_call(fexec, start_program, input(where, 7), &err), LITHOPS_ECRASH);
        ends(started());
        lithops_future *f =
            lithops_call_async(fexec, start_program, input(where, 600000), NULL, &err);
        pid_t pid = started();
        CHECK(is_running(pid));
        CHECK(lithops_future_cancel(f));
        ends(pid);
        lithops_future_unref(f);
    }
    lithops_executor_close(fexec);
}

FAULT_CASE(end_with_the_executor)
{
    make_path();
    lithops_error err = LITHOPS_ERROR_INIT;
    for (int where = SAME_GROUP; where <= OWN_GROUP; where++) {
        lithops_executor *fexec = fault_open(1, NULL);
        lithops_executor *other = fault_open(1, NULL);
        CHECK_INT(fault_call(fexec, start_program, input(where, 0), &err), 0);
        pid_t pid = started();
        lithops_executor_close(other);
        CHECK(is_running(pid)); /* the call succeeded, its process lives */
        lithops_executor_close(fexec);
        ends(pid);
    }
}

/* Such a client has its first worker in the old session, and the next one in the new session. */
FAULT_CASE(end_though_the_client_has_left_its_session)
{
    make_path();
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(1, NULL);
    fault_check_works(fexec, 1);
    CHECK(setsid() > 0);
    CHECK_INT(fault_call(fexec, start_program, input(OWN_GROUP, 7), &err), LITHOPS_ECRASH);
    ends(started());
    CHECK_INT(fault_call(fexec, start_program, input(OWN_GROUP, 0), &err), 0);
    pid_t pid = started();
    CHECK(is_running(pid));
    lithops_executor_close(fexec);
    ends(pid);
}

FAULT_CASE(what_has_a_session_of_its_own_stays)
{
    make_path();
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(1, NULL);
    CHECK_INT(fault_call(fexec, start_program, input(OWN_SESSION, 0), &err), 0);
    pid_t pid = started();
    lithops_executor_close(fexec);
    CHECK(is_running(pid));
    kill(pid, SIGKILL);
}

/* Kill the client with each signal that ends it at once. The runner of the cases adopts the program
 * it leaves, which becomes a zombie there once it ends. */
FAULT_CASE(end_with_a_killed_client)
{
    static const int signals[] = {SIGKILL, SIGTERM, SIGHUP, SIGINT};
    make_path();
    for (int i = 0; i < 12; i++) {
        pid_t client = fork();
        if (client == 0) {
            lithops_error err = LITHOPS_ERROR_INIT;
            lithops_executor *fexec = fault_open(2, NULL);
            (void)lithops_call_async(fexec, start_program, input(i / 4, 600000), NULL, &err);
            for (;;)
                pause();
        }
        pid_t pid = started();
        CHECK(is_running(pid));
        kill(client, signals[i % 4]);
        waitpid(client, NULL, 0);
        ends(pid);
    }
}

/* Until exec it has its worker's environment. */
static bool is_sleep(pid_t pid)
{
    char name[64], text[16] = "";
    snprintf(name, sizeof name, "/proc/%d/comm", (int)pid);
    FILE *file = fopen(name, "r");
    CHECK(file && fgets(text, sizeof text, file));
    fclose(file);
    return strcmp(text, "sleep\n") == 0;
}

/* Neither its group nor its environment shows its owner: as docs/coming-from-lithops.md says, it
 * outlives a killed client. All others have ended once it is the only orphan left. */
FAULT_CASE(what_nothing_marks_outlives_a_killed_client)
{
    make_path();
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    pid_t client = fork();
    if (client == 0) {
        lithops_error err = LITHOPS_ERROR_INIT;
        lithops_executor *fexec = fault_open(1, NULL);
        (void)lithops_call_async(fexec, start_program, input(BARE_GROUP, 600000), NULL, &err);
        for (;;)
            pause();
    }
    pid_t pid = started(), one = 0, other = 0;
    while (!is_sleep(pid))
        usleep(1000);
    kill(client, SIGKILL);
    do {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        FILE *children = fopen("/proc/thread-self/children", "r");
        int count = fscanf(children, "%d %d", &one, &other);
        fclose(children);
        if (count < 1 || (count == 1 && one == pid))
            break;
        usleep(1000);
    } while (true);
    CHECK_INT(one, pid);
    CHECK(is_running(pid));
    kill(pid, SIGKILL);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(end_with_the_kill_of_their_call),
        cmocka_unit_test(end_with_the_executor),
        cmocka_unit_test(end_though_the_client_has_left_its_session),
        cmocka_unit_test(what_has_a_session_of_its_own_stays),
        cmocka_unit_test(end_with_a_killed_client),
        cmocka_unit_test(what_nothing_marks_outlives_a_killed_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
