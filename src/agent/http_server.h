/* SPDX-License-Identifier: Apache-2.0 */
/* Workers that are started by HTTP requests, as `lithops worker --http` does: what a service runs
 * that gives a container requests and scales by their number. docs/serverless.md has the contract.
 *
 * A request with an activation (net/activation.h) starts `lithops worker --through KEY`. It stays
 * open as long as that worker works, and its answer says how it ended. When the other side hangs
 * up, the worker is told to end. One thread, and a process without others. */
#ifndef LITHOPS_AGENT_HTTP_SERVER_H
#define LITHOPS_AGENT_HTTP_SERVER_H

#include <lithops/error.h>

#include <stdint.h>

struct lithops__http_server;

struct lithops__http_server_options {
    const char *command; /* the path of the lithops command */
    const char *secret;  /* at least LITHOPS__ACTIVATION_SECRET_MIN characters */
    bool is_whisk; /* as the container of an action of OpenWhisk (agent/whisk.h): then `secret`
                    * may be "", and what starts it says one */
    bool any_path; /* what is in front keeps the path of the service's URL: any is fine, and
                    * `health` may be below it */
    const char *fn_path; /* as the container of a function of Fn (agent/fn.h), whose socket it is;
                          * NULL: no */
    uint32_t port;       /* 0: the system chooses */
    uint32_t limit;      /* workers at a time; at least 1 */
    uint64_t drain_ms;   /* when it is to end: for which workers may go on */
};

/* Listen on all addresses of this machine. `options` is borrowed until close. ECONFIG: the secret
 * is too short; EUNSUPPORTED: built without libcrypto; EBACKEND: the port is not free */
int lithops__http_server_open(const struct lithops__http_server_options *options,
                              struct lithops__http_server **ret, lithops_error *err);
uint32_t lithops__http_server_port(const struct lithops__http_server *server);
/* Serve until `stop_fd` is readable, and then until all workers have ended. When it is readable
 * again they are killed. */
int lithops__http_server_run(struct lithops__http_server *server, int stop_fd, lithops_error *err);
void lithops__http_server_close(struct lithops__http_server *server);

#endif
