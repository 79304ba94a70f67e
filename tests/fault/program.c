/* SPDX-License-Identifier: Apache-2.0 */
/* A defective program, for client_test. Its argument names the defect:
 *     forgot       it does not call lithops_init()
 *     exit crash   its worker processes end in a constructor, before main()
 *     exit-but-0   all but that of slot 0
 *     return       main() returns in a worker process without coming to lithops_init()
 *     deleted      it runs from a copy of its file that is deleted
 * It prints "error: ..." if its calls fail, how many worker processes were started, and for how
 * long it ran. */
#include <lithops/lithops.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static bool is_worker(int argc, char **argv)
{
    return argc == 2 && strncmp(argv[1], "--lithops-worker=", 17) == 0;
}

/* glibc gives a constructor the arguments of main(). */
__attribute__((constructor)) static void begin(int argc, char **argv)
{
    const char *how = getenv("FAULT_PROGRAM_HOW"), *count = getenv("FAULT_PROGRAM_COUNT");
    if (!is_worker(argc, argv) || !how || !count)
        return;
    int fd = open(count, O_WRONLY | O_APPEND | O_CLOEXEC);
    (void)!write(fd, "x", 1);
    close(fd);
    if (strcmp(how, "crash") == 0)
        abort();
    if (strcmp(how, "exit") == 0 ||
        (strcmp(how, "exit-but-0") == 0 && strcmp(argv[1] + 17, "0") != 0))
        _exit(7);
}

LITHOPS_FUNCTION(nap)
{
    nanosleep(&(struct timespec){0, 10000000}, NULL);
    return lithops_return_int(call, 1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int report(const lithops_error *err)
{
    printf("error: %d %s\n", err->code, err->message);
    return 1;
}

/* Run some maps, one after the other. */
static int run(void)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_value *config = lithops_pack("{s:{s:i}}", "localhost", "worker_processes", 3);
    options.config = config;
    lithops_executor *fexec = lithops_executor_open(&options, &err);
    lithops_value_free(config);
    if (!fexec)
        return report(&err);
    int rc = 0;
    for (int i = 0; i < 4; i++) {
        lithops_wait_options wait = LITHOPS_WAIT_OPTIONS_INIT;
        wait.timeout_ms = 20000;
        lithops_futures *futures = lithops_map(fexec, nap, lithops_range(0, 12), NULL, &err);
        if (!futures || lithops_wait(NULL, futures, &wait, NULL, NULL, &err) != 0)
            rc = report(&err);
        lithops_futures_unref(futures);
    }
    lithops_executor_close(fexec);
    return rc;
}

static void run_from_copy(const char *own)
{
    char path[] = "/tmp/lithops-fault-XXXXXX", block[65536];
    int from = open(own, O_RDONLY | O_CLOEXEC), to = mkstemp(path);
    ssize_t len;
    while ((len = read(from, block, sizeof block)) > 0)
        (void)!write(to, block, (size_t)len);
    fchmod(to, 0700);
    close(to);
    close(from);
    execl(path, path, "deleted-now", (char *)NULL);
    _exit(127);
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "";
    if (strcmp(how, "deleted") == 0)
        run_from_copy(argv[0]);
    if (strcmp(how, "deleted-now") == 0)
        unlink(argv[0]);
    if (strcmp(how, "forgot") == 0) {
        lithops_error err = LITHOPS_ERROR_INIT;
        if (lithops_executor_open(NULL, &err))
            return 0;
        return lithops_error_print(&err, stdout);
    }
    const char *worker_of = getenv("FAULT_PROGRAM_HOW");
    if (worker_of && strcmp(worker_of, "return") == 0 && is_worker(argc, argv))
        return 5;
    lithops_init(&argc, &argv);
    char path[] = "/tmp/lithops-fault-XXXXXX";
    int fd = mkstemp(path);
    setenv("FAULT_PROGRAM_COUNT", path, 1);
    setenv("FAULT_PROGRAM_HOW", how, 1);
    double start = now();
    (void)run();
    struct stat status = {.st_size = 0};
    fstat(fd, &status);
    unlink(path);
    printf("started %d seconds %.3f\n", (int)status.st_size, now() - start);
    return 0;
}
