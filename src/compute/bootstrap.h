/* SPDX-License-Identifier: Apache-2.0 */
/* From a shell on another machine to a `lithops worker` there: shared by backends for machines that
 * see none of this one's files. The engine is sent once, and kept under its hash. */
#ifndef LITHOPS_COMPUTE_BOOTSTRAP_H
#define LITHOPS_COMPUTE_BOOTSTRAP_H

#include "base/buffer.h"
#include "compute/talk.h"

#include <lithops/error.h>
#include <lithops/value.h>

#include <stdbool.h>
#include <stdint.h>

/* ---- engine.c -------------------------------------------------------------------------------- */

/* What hosts are told of this engine. */
struct lithops__engine {
    char hash[65];    /* SHA-256 of its list of files */
    char machine[65]; /* uname -m of what it runs on */
    int glibc_minor;  /* it needs glibc 2.this, at least */
};
/* Known from the last time, else its files are read and packed, which takes a tenth of a second.
 * Thread-safe.
 * @return the engine, or NULL; never to be freed */
const struct lithops__engine *lithops__engine(lithops_error *err);

/* Its files, as a tar archive. */
struct lithops__engine_archive {
    int fd;        /* to be read with pread(), and to be closed */
    uint64_t size; /* in bytes */
};
/* Packed at the first call of a process. EBACKEND, retryable, where the files are others than
 * those that `engine` was made of: ask for the engine again. Thread-safe. */
int lithops__engine_archive(const struct lithops__engine *engine,
                            struct lithops__engine_archive *ret_archive, lithops_error *err);

/* ---- container.c ----------------------------------------------------------------------------- */

/* That the worker is to run in. */
struct lithops__container {
    const char *image;
    const lithops_value *folders; /* list of those that it sees as the machine does; or NULL */
    bool is_pulled;               /* anew, although the image is there */
    bool has_gpus;
};
/* With the shell of a machine: have docker or podman start a container, whose shell is what is
 * talked to next. `ret_by`: which of the two. Errors as of lithops__bootstrap(). */
int lithops__container_start(struct lithops__talk *talk, const struct lithops__container *container,
                             char *ret_by, size_t size, lithops_error *err);

/* What a `runtime` of other machines is. */
enum lithops__runtime_kind {
    LITHOPS__RUNTIME_ANY,         /* any Python of the version */
    LITHOPS__RUNTIME_INTERPRETER, /* the path or name of one */
    LITHOPS__RUNTIME_IMAGE,
    LITHOPS__RUNTIME_WRONG, /* none of these */
};
enum lithops__runtime_kind lithops__runtime_kind(const char *runtime);

/* ---- bootstrap.c ----------------------------------------------------------------------------- */

/* What is wanted of a machine. */
struct lithops__bootstrap {
    const char *python;      /* "3.11": also find that interpreter; NULL: none is needed */
    const char *python_path; /* as configured; NULL: search for it */
    const char *python_key;  /* the key that configures it, for messages */
    const char *leave_out;   /* how to leave out a machine, for messages: "leave it out of ..." */
    const struct lithops__container *container; /* NULL: on the machine itself */
    const char *where, *secret; /* the worker connects there (tcp/tcp.h), with that secret; else
                                 * NULL: the link is its standard input and output */
    bool is_test;               /* only ask: nothing is sent, and no worker runs */
    uint32_t timeout_s;         /* for each answer */
};
/* What the machine reported. */
struct lithops__bootstrap_answer {
    char machine[65], libc[65], python[256];
    int cpus;
    int64_t memory_mb;
    bool has_engine;    /* the engine was there already */
    char container[16]; /* "podman" or "docker" runs it; "": neither */
    /* Only for a test: */
    char pythons[128]; /* versions: "3.11, 3.12" */
    int64_t cache_mb, round_trip_ns;
};
/* The arguments of a `sh` at the other end, and the same as one command that any login shell takes.
 */
extern const char lithops__bootstrap_script[], lithops__bootstrap_command[];
/* Hold the dialogue over `fd` until the worker runs there: what is read next comes from it.
 * ECANCELED, once `cancel_fd` is readable; EIO: it hung up; ETIMEDOUT; else an error whose message
 * says what is wrong there. */
int lithops__bootstrap(int fd, int cancel_fd, const struct lithops__bootstrap *wanted,
                       struct lithops__bootstrap_answer *ret_answer, lithops_error *err);

/* Have the engine that is kept there run `lithops ARGUMENTS`, quoted for a shell, in place of a
 * worker. What it wrote is appended to *ret_said; nothing, where no engine is kept. 0; errors as
 * above, and EBACKEND with what it said where it failed. */
int lithops__bootstrap_ask(int fd, const char *arguments, uint32_t timeout_s,
                           struct lithops__buffer *ret_said, lithops_error *err);

#endif
