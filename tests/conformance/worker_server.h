/* SPDX-License-Identifier: Apache-2.0 */
/* `lithops worker --http` for tests: a process on a port of its own; and what containers of other
 * services run. Each goes with the thread that has started it. */
#ifndef LITHOPS_TESTS_WORKER_SERVER_H
#define LITHOPS_TESTS_WORKER_SERVER_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#define WORKER_SERVER_SECRET "c0ffee00c0ffee00c0ffee00c0ffee00"

struct worker_server {
    pid_t pid;
    int port;
    FILE *said; /* what it prints */
    char url[64];
};

/* `concurrency`: workers at a time. Fails the program where it does not start. */
void worker_server_start(struct worker_server *server, int concurrency);
/* `lithops worker --openwhisk`, which waits for /init. */
void worker_server_start_action(struct worker_server *server);
/* `lithops worker --lambda`, with the Runtime API at this port; it has none of its own. */
void worker_server_start_runtime(struct worker_server *server, int api_port);
/* SIGTERM, and wait. @return its exit status, or minus a signal */
int worker_server_stop(struct worker_server *server);
/* Kill one of the workers that it has started. False: there is none. */
bool worker_server_kill_worker(const struct worker_server *server);
/* Signal the process that waits to become one. @return its id; 0: there is none */
pid_t worker_server_signal_waiting(const struct worker_server *server, int number);
/* Whether the process runs: it is there, and not one that nobody has waited for. */
bool worker_server_is_alive(pid_t pid);
/* How many of them there are. */
int worker_server_count(const struct worker_server *server);
/* The answer to a request that is sent as it is, for free(): all until the connection ends. */
char *worker_server_ask(int port, const void *request, size_t len);
/* The number behind `"name": ` in the answer to GET /health; -1: it has none. */
long worker_server_health(const struct worker_server *server, const char *name);

#endif
