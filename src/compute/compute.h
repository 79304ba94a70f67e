/* SPDX-License-Identifier: Apache-2.0 */
/* What a compute backend implements, and the table of those that are compiled in.
 *
 * Core makes ranges of a table and offers their calls; a backend has them run, and settles those
 * whose worker is gone. The table belongs to the client, on this machine. A backend with remote
 * workers takes calls out of it for them (ipc/take.h), and stores their outcomes and output
 * (ipc/slotlog.h); only localhost's workers map it themselves. It never calls back into core. Slots
 * that may be NULL say so. */
#ifndef LITHOPS_COMPUTE_H
#define LITHOPS_COMPUTE_H

#include "config/config.h"
#include "ipc/table.h"

/* What killed clients left behind, for tidy() to remove. */
struct lithops__tidied {
    uint64_t memory_groups;
    uint64_t process_groups; /* of what functions had started */
};

/* How much may run at a time; determines the size of the table. */
struct lithops__capacity {
    uint32_t hosts;        /* machines; 1: this one, or it does not matter */
    uint32_t workers;      /* worker processes on all of them: slots of the table */
    uint64_t memory_bytes; /* memory that inputs and results may take on this machine */
    char memory_key[64];   /* key of the configuration, for messages when memory runs out */
};

struct lithops__compute_driver;

/* What a probe found of one part of a backend, in one line. */
typedef void (*lithops__probe_say)(void *user, const char *name, bool is_there, const char *text);

struct lithops__compute_ops {
    /* capacity - what the configuration asks for, before anything is opened. ECONFIG; EBACKEND, if
     * a service must be asked. */
    int (*capacity)(const struct lithops__compute_driver *driver,
                    const struct lithops__config *config, struct lithops__capacity *ret_capacity,
                    lithops_error *err);
    /* open - make `state` (zeroed, state_size bytes) usable; may start threads and processes.
     * `table` outlives the state. `worker_command` is that of lithops_executor_options, borrowed;
     * NULL: the program itself. ECONFIG, ENOSPACE, EUSAGE. */
    int (*open)(const struct lithops__compute_driver *driver, void *state,
                struct lithops__table *table, const struct lithops__config *config,
                const char *const *worker_command, lithops_error *err);
    /* close - end all workers. On return no other process touches the table. */
    void (*close)(void *state);
    /* `offered` and `cancel` are the two slots that run with the table's lock held, and so must not
     * block: what they look at and change, which call is where, is guarded by that lock, and no
     * close() may come between the look whether the executor is open and the call. They only note
     * something and write to an eventfd; the work is done by a thread of the backend. */
    /* offered - `calls` calls of `range` were offered. [L] */
    void (*offered)(void *state, uint32_t range, uint64_t calls);
    /* cancel - end the running ones of calls [begin, end) of a range; they settle as CANCELED
     * unless done first. [L] */
    void (*cancel)(void *state, uint32_t range, uint64_t begin, uint64_t end);
    /* prepare_limits - called once, before the calls of the first job with a memory limit are
     * offered. May be NULL. Without a lock of the table: it may ask the file system. */
    void (*prepare_limits)(void *state);
    /* probe - reach what calls would run on, without running any, and say of each part what is
     * there. `start`: also send what is missing there, start a worker, and end it. May be NULL.
     * May block, as long as reaching may take. EBACKEND: too little is there. */
    int (*probe)(const struct lithops__compute_driver *driver, const struct lithops__config *config,
                 bool start, lithops__probe_say say, void *user, lithops_error *err);
    /* ask - have the engine that is kept on each machine elsewhere run `lithops ARGUMENTS`, which
     * are quoted for a shell, and say what each wrote. May be NULL: all is on this machine.
     * `machine`: only the one of this name; NULL: all. May block, as probe. EUSAGE: there is no
     * such machine. */
    int (*ask)(const struct lithops__config *config, const char *machine, const char *arguments,
               lithops__probe_say say, void *user, lithops_error *err);
    /* attach - become a shell on a machine elsewhere: this process is replaced, and returns only if
     * that fails. May be NULL: there is no such machine. `machine`: its name; NULL: the only one.
     * EUSAGE, EBACKEND. */
    int (*attach)(const struct lithops__config *config, const char *machine, lithops_error *err);
    /* tidy - remove (with dry_run: only count) what killed clients have left on this machine. May
     * be NULL. Needs no state: any process may call it. Adds to `tidied`. */
    void (*tidy)(bool (*is_alive)(const char *executor_id), bool dry_run,
                 struct lithops__tidied *tidied);
    /* clean - remove (with dry_run: only count) what killed clients of this user on this machine
     * have left elsewhere, where that can be told. May be NULL. Adds to *ret_removed. May block, as
     * probe. */
    int (*clean)(const struct lithops__compute_driver *driver, const struct lithops__config *config,
                 bool (*is_alive)(const char *executor_id), bool dry_run, uint64_t *ret_removed,
                 lithops_error *err);
};

/* What is to be done with a runtime: what is made ready before a backend can run calls in it. */
struct lithops__runtime_wish {
    const char *name;             /* of the runtime; NULL: the configured one */
    int64_t memory_mb, timeout_s; /* 0: as configured */
    const char *file;             /* build: where the package goes; or NULL */
    const char *dockerfile;       /* build: of an image; or NULL */
    const char *base;             /* the image that an image is made over; or NULL */
};
/* One runtime that is there. Borrowed by the visitor. */
struct lithops__runtime_seen {
    const char *name, *where; /* as deployed; what the platform calls it */
    const char *engine;       /* version of the engine in it */
    int64_t memory_mb, timeout_s;
};
struct lithops__runtime_ops {
    /* build - make the package, or the image, without deploying it. *ret_text, for free(), says
     * where it is. All block, and may take minutes. */
    int (*build)(const struct lithops__config *config, const struct lithops__runtime_wish *wish,
                 char **ret_text, lithops_error *err);
    /* deploy - make the runtime, or bring one that is there up to date, until it can run calls.
     * *ret_name, for free(), is its name; *ret_meta says what is in it: a map with `version`,
     * `protocol` and what else the worker there has said. `must_exist`: ENOTFOUND if there is none.
     */
    int (*deploy)(const struct lithops__config *config, const struct lithops__runtime_wish *wish,
                  bool must_exist, char **ret_name, lithops_value **ret_meta, lithops_error *err);
    /* list - those that this engine, of any version, has deployed, whatever their names. NULL:
     * nobody but the records in the storage knows (core/runtimes.h), and workers may be of another
     * engine than they say; so executors look there before they start any. */
    int (*list)(const struct lithops__config *config,
                int (*visit)(const struct lithops__runtime_seen *seen, void *user), void *user,
                lithops_error *err);
    /* remove - the runtime of that name and memory. ENOTFOUND. NULL: only its record is deleted. */
    int (*remove)(const struct lithops__config *config, const struct lithops__runtime_wish *wish,
                  char **ret_name, lithops_error *err);
};

struct lithops__compute_driver {
    const char *name;
    const char *mode;    /* "localhost", "serverless", "standalone" */
    const char *summary; /* one sentence */
    bool is_direct;      /* outcomes arrive unasked: `monitoring` has no effect */
    bool is_elsewhere;   /* the key `runtime` names what other machines have */
    bool untested; /* it has met its own workers, but never the service that it is named after */
    size_t state_size;
    const struct lithops__compute_ops *ops;
    const struct lithops__runtime_ops *runtimes; /* NULL: nothing is made ready before */

    /* Of backends whose workers are reached over links, for the slots of compute/linked.h: */
    const struct lithops_link_driver *links;
    const char *workers_key; /* key of the section: how many workers there are */
    /* Before the links are opened: whether the configuration can be right. May be NULL. */
    int (*check)(const struct lithops__compute_driver *driver, const struct lithops__config *config,
                 lithops_error *err);
};

extern const struct lithops__compute_driver lithops__compute_aliyun_fc;
extern const struct lithops__compute_driver lithops__compute_aws_batch;
extern const struct lithops__compute_driver lithops__compute_aws_ec2;
extern const struct lithops__compute_driver lithops__compute_aws_lambda;
extern const struct lithops__compute_driver lithops__compute_azure_containers;
extern const struct lithops__compute_driver lithops__compute_azure_functions;
extern const struct lithops__compute_driver lithops__compute_azure_vms;
extern const struct lithops__compute_driver lithops__compute_code_engine;
extern const struct lithops__compute_driver lithops__compute_code_engine_apps;
extern const struct lithops__compute_driver lithops__compute_gcp_cloudrun;
extern const struct lithops__compute_driver lithops__compute_gcp_compute_engine;
extern const struct lithops__compute_driver lithops__compute_gcp_functions;
extern const struct lithops__compute_driver lithops__compute_ibm_cf;
extern const struct lithops__compute_driver lithops__compute_ibm_vpc;
extern const struct lithops__compute_driver lithops__compute_knative;
extern const struct lithops__compute_driver lithops__compute_k8s;
extern const struct lithops__compute_driver lithops__compute_localhost;
extern const struct lithops__compute_driver lithops__compute_openwhisk;
extern const struct lithops__compute_driver lithops__compute_oracle_f;
extern const struct lithops__compute_driver lithops__compute_process;
extern const struct lithops__compute_driver lithops__compute_singularity;
extern const struct lithops__compute_driver lithops__compute_slurm;
extern const struct lithops__compute_driver lithops__compute_vm;

/* All drivers; ends with NULL. */
extern const struct lithops__compute_driver *const lithops__compute_drivers[];

#endif
