/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of one executor's detached jobs, and its supervisor.
 *
 *     ~/.local/state/lithops/jobs/<executor>/     ($XDG_STATE_HOME in place of ~/.local/state)
 *         executor    how to run calls: configuration, command, working directory, environment, and
 *                     what a runtime's workers are made of on other machines
 *         M000, R000  a journal each; NAME.new while the client writes it
 *         page        a counter that rings when outcomes have been written
 *         bell        a pipe that wakes the supervisor; whoever can open it to write knows that
 *                     there is one
 *         lock        the supervisor holds it
 *         log         what the supervisor and its programs have written
 *
 * The folder is the queue: what is in it is to be done, and a supervisor that ends, however it
 * does, leaves it so that the next one can go on. All of it is the user's alone (0700), and a
 * folder of somebody else's is refused, so what can be read there can be trusted. */
#ifndef LITHOPS_DETACHED_HOME_H
#define LITHOPS_DETACHED_HOME_H

#include <lithops/error.h>
#include <lithops/value.h>

#include <limits.h>
#include <stdatomic.h>

struct lithops__home_page {
    char magic[8];
    uint32_t version;
    _Atomic uint32_t bell, waiting; /* futex: counts; somebody sleeps */
    _Atomic int32_t supervisor;     /* process, once there was one */
};

struct lithops__home {
    int fd;
    char path[PATH_MAX], id[32]; /* of the executor */
    struct lithops__home_page *page;
};
#define LITHOPS__HOME_INIT                                                                         \
    {                                                                                              \
        -1, "", "", NULL                                                                           \
    }

enum lithops__home_order {
    LITHOPS__HOME_LOOK = 1, /* there is something new, or a job is marked `stop` */
    LITHOPS__HOME_CANCEL,   /* calls [begin, end) */
};
struct lithops__home_message {
    uint32_t order, number;
    uint64_t begin, end;
    char kind;
};

/* Where the folders of all executors are; the parents are made. EDENIED: they are not this user's
 * alone. */
int lithops__home_root(char *buf, size_t size, bool make, lithops_error *err);
/* Make one for this executor, with its file `executor`. */
int lithops__home_make(struct lithops__home *home, const char *id, const lithops_value *executor,
                       lithops_error *err);
bool lithops__home_exists(const char *id);
/* ENOTFOUND: it is not there (any more); EDENIED: another user's. */
int lithops__home_open(struct lithops__home *home, const char *path, lithops_error *err);
/* The same for a folder that may be incomplete, as its maker was killed: without `page`. */
int lithops__home_open_remains(struct lithops__home *home, const char *path, lithops_error *err);
void lithops__home_close(struct lithops__home *home);
/* The content of the file `executor`, for lithops_value_free(). */
lithops_value *lithops__home_executor(const struct lithops__home *home, lithops_error *err);

/* "M003" */
void lithops__home_job_name(char kind, uint32_t number, char buf[16]);
/* The journal of the reducers of a map gets its name, unless it has it. False: there is none. */
bool lithops__home_name_reducer(const struct lithops__home *home, uint32_t number);
/* Whether a file's name is a job's. */
bool lithops__home_is_job(const char *name);
/* Visit the names of its jobs; not 0: ends it and is returned. */
int lithops__home_visit(const struct lithops__home *home,
                        int (*visit)(const struct lithops__home *home, const char *name,
                                     void *user),
                        void *user);
/* True: nobody else has the folder open, nor can open it until it is shared again. */
bool lithops__home_seize(const struct lithops__home *home);
void lithops__home_share(const struct lithops__home *home);
/* The folder goes, if there is no job in it, no supervisor, and nobody else has it open. */
bool lithops__home_remove(struct lithops__home *home);

/* Tell the supervisor. False: there is none. */
bool lithops__home_tell(const struct lithops__home *home,
                        const struct lithops__home_message *message);
bool lithops__home_is_supervised(const struct lithops__home *home);
/* Start one. It may find that there is one already, and ends. EBACKEND */
int lithops__home_supervise(const struct lithops__home *home, lithops_error *err);

/* The supervisor: take the lock. 1: another one has it and is at work, 0, or an error. */
int lithops__home_lock(const struct lithops__home *home, int *ret_fd, lithops_error *err);
/* The same for who is no supervisor, and keeps one from beginning. False: there is one. */
bool lithops__home_try_lock(const struct lithops__home *home, int *ret_fd);
/* Somebody has it, who may be beginning or ending and hear no bell. */
bool lithops__home_is_locked(const struct lithops__home *home);
/* Its end of the bell. */
int lithops__home_hear(const struct lithops__home *home, lithops_error *err);
void lithops__home_ring(const struct lithops__home *home);

/* Until the page's bell has rung since `seen` was read, or the time has passed. */
void lithops__home_wait(const struct lithops__home *home, uint32_t seen, int timeout_ms);

#endif
