/* SPDX-License-Identifier: Apache-2.0 */
/* The backend vm: the user's own hosts, over SSH.
 *
 * For each host it starts the user's `ssh`, whose standard input and output are the link: so
 * whatever works for the user on a terminal works here (agent, ~/.ssh/config, jump hosts, shared
 * connections, certificates). On the host a line of shell reports what kind of machine it is,
 * receives the engine if it is missing, and becomes `lithops worker`.
 *
 * All but hosts.c and vm.c serve the machines of clouds, too (compute/backends/machines).
 *
 *     options.c    what the configuration says of ssh and of the runtime
 *     hosts.c      what it says of the hosts
 *     ssh.c        the child, and how it ended
 *     probe.c      what lithops config check --online and lithops worker ask
 *     explain.c    what ssh and the host say, as errors that say what to do
 *     vm.c         the driver */
#ifndef LITHOPS_VM_H
#define LITHOPS_VM_H

#include "base/buffer.h"
#include "compute/bootstrap.h"
#include "compute/child.h"
#include "compute/compute.h"

#include <lithops/plugin/compute.h>
#include <lithops/value.h>

#include <pthread.h>

/* ---- hosts.c --------------------------------------------------------------------------------- */

struct lithops__vm_host {
    char *name;   /* for ssh: of DNS, an address, or of ~/.ssh/config */
    char *label;  /* for messages: as the configuration has it */
    char *user;   /* NULL: ssh's choice */
    char *python; /* interpreter there; NULL: search for it */
    int port;     /* 0: ssh's choice */
    /* What its key has in known_hosts; NULL: its name. Borrowed. */
    const char *key_name;
};
struct lithops__vm_hosts {
    struct lithops__vm_host *hosts;
    lithops_worker *each;
    uint32_t count;
};
/* The hosts of a section `vm`. ECONFIG says which one is wrong. */
int lithops__vm_read_hosts(const lithops_value *settings, struct lithops__vm_hosts *ret_hosts,
                           lithops_error *err);
void lithops__vm_hosts_deinit(struct lithops__vm_hosts *hosts);

/* ---- options.c, ssh.c -------------------------------------------------------------------------
 */

struct lithops__vm_options {
    const char *section;                 /* of the configuration, for messages: "vm" */
    const char *key, *password;          /* or NULL */
    char **options;                      /* each as after `ssh -o`; ends with NULL */
    const char *python;                  /* of hosts that name none; NULL: search for it */
    struct lithops__container container; /* its image is NULL: workers run on the hosts */
    uint32_t connect_timeout_s;
};
/* What a section says of them; `settings` and `section` are borrowed until the deinit, which is
 * also for after a failure. ECONFIG, ENOMEM */
int lithops__vm_options_read(const lithops_value *settings, const char *section,
                             struct lithops__vm_options *options, lithops_error *err);
void lithops__vm_options_deinit(struct lithops__vm_options *options);
/* Start `ssh HOST COMMAND`; *ret_fd is its standard input and output. */
int lithops__vm_spawn(const struct lithops__vm_options *options,
                      const struct lithops__vm_host *host, const char *command,
                      struct lithops__child *child, int *ret_fd, lithops_error *err);
/* Become an ssh that gives the user a shell there. Returns only if that fails. EBACKEND */
int lithops__vm_attach(const struct lithops__vm_options *options,
                       const struct lithops__vm_host *host, lithops_error *err);

/* What is wanted of a host; its strings live as long as the host. */
struct lithops__bootstrap lithops__vm_wants(const struct lithops__vm_options *options,
                                            const struct lithops__vm_host *host, const char *python,
                                            bool is_test);

/* ---- explain.c ------------------------------------------------------------------------------- */

/* The child ended, or is killed here, before a worker ran: make an error of `err`, of ssh's
 * messages and of how it ended. */
int lithops__vm_give_up(const struct lithops__vm_options *options,
                        const struct lithops__vm_host *host, struct lithops__child *child,
                        lithops_error *err);

/* ---- probe.c --------------------------------------------------------------------------------- */

/* Ask all hosts what they have; `start`: have them start a worker, which ends at once, and what it
 * needs is kept there. @return how many have answered */
uint32_t lithops__vm_probe(const struct lithops__vm_options *options,
                           const struct lithops__vm_hosts *hosts, bool start,
                           lithops__probe_say say, void *user);
/* Ask all hosts what `lithops ARGUMENTS` says there. */
void lithops__vm_ask(const struct lithops__vm_options *options,
                     const struct lithops__vm_hosts *hosts, const char *arguments,
                     lithops__probe_say say, void *user);

#endif
