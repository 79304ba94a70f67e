/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the programs that use Lithops: opening an executor, and errors. */
#ifndef LITHOPS_BENCH_OURS_H
#define LITHOPS_BENCH_OURS_H

#include "bench.h"

#include <lithops/lithops.h>

static lithops_error ours_error = LITHOPS_ERROR_INIT;

/* End the program unless rc is 0. */
static inline void ours_check(int code)
{
    if (code != 0) {
        lithops_error_print(&ours_error, stderr);
        exit(1);
    }
}

static inline void *ours_have(void *made)
{
    if (!made)
        ours_check(ours_error.code ? ours_error.code : LITHOPS_ENOMEM);
    return made;
}

/* An executor with the defaults, whatever configuration files this machine has. */
static inline lithops_executor *ours_open(void)
{
    lithops_value *config = ours_have(lithops_value_map());
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    options.mode = "localhost";
    options.config = config;
    lithops_executor *fexec = ours_have(lithops_executor_open(&options, &ours_error));
    lithops_value_free(config);
    return fexec;
}

/* With a backend and what its section of the configuration has; takes `settings`. */
static inline lithops_executor *ours_open_backend(const char *backend, lithops_value *settings)
{
    lithops_value *config = ours_have(lithops_value_map());
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    options.backend = backend;
    options.config = config;
    options.settings = settings;
    lithops_executor *fexec = ours_have(lithops_executor_open(&options, &ours_error));
    lithops_value_free(config);
    lithops_value_free(settings);
    return fexec;
}

/* Over links: workers of this machine at the other end of socket pairs. */
static inline lithops_executor *ours_open_links(int links, int processes)
{
    return ours_open_backend("process", ours_have(lithops_pack("{s:i,s:i}", "workers", links,
                                                               "worker_processes", processes)));
}

/* The same, over TCP. */
static inline lithops_executor *ours_open_tcp(int links, int processes)
{
    return ours_open_backend("process",
                             ours_have(lithops_pack("{s:s,s:i,s:i}", "transport", "tcp", "workers",
                                                    links, "worker_processes", processes)));
}

/* Over SSH: host1 to hostN of tests/servers/with-hosts, with a process each. */
static inline lithops_executor *ours_open_hosts(int count)
{
    lithops_value *names = ours_have(lithops_value_list());
    for (int i = 1; i <= count; i++) {
        char name[16];
        snprintf(name, sizeof name, "host%d", i);
        ours_check(lithops_value_append(names, ours_have(lithops_value_string(name))));
    }
    return ours_open_backend(
        "vm", ours_have(lithops_pack("{s:o,s:i}", "hosts", names, "worker_processes", 1)));
}

/* On this machine; or over N links, links over TCP or hosts with a process each if the first
 * argument is links=N, tcp=N or hosts=N, which is then removed. */
static inline lithops_executor *ours_open_over(int *argc, char **argv)
{
    const char *what = *argc > 1 ? argv[1] : "";
    bool over_hosts = strncmp(what, "hosts=", 6) == 0, over_tcp = strncmp(what, "tcp=", 4) == 0;
    if (!over_hosts && !over_tcp && strncmp(what, "links=", 6) != 0)
        return ours_open();
    int count = atoi(strchr(what, '=') + 1);
    lithops_executor *fexec = over_hosts ? ours_open_hosts(count)
                              : over_tcp ? ours_open_tcp(count, 1)
                                         : ours_open_links(count, 1);
    for (int i = 1; i < *argc; i++) /* and the NULL */
        argv[i] = argv[i + 1];
    --*argc;
    return fexec;
}

/* Map `calls` no-op calls and wait, so that all worker processes have started and are warm. */
static inline void ours_warm_up(lithops_executor *fexec, const lithops_function *func, int calls)
{
    lithops_futures *fs =
        ours_have(lithops_map(fexec, func, lithops_range(0, calls), NULL, &ours_error));
    ours_check(lithops_wait(fexec, fs, NULL, NULL, NULL, &ours_error));
    ours_check(lithops_clean(fexec, fs, NULL, &ours_error));
    lithops_futures_unref(fs);
}

#endif
