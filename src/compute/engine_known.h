/* SPDX-License-Identifier: Apache-2.0 */
/* What hosts are told of an engine, remembered between processes: its 50 MB are read and hashed
 * once, not at every start. What is remembered holds as long as each of its files, and the folder
 * that it lies in, is the same by device, inode, size and both times of change. */
#ifndef LITHOPS_COMPUTE_ENGINE_KNOWN_H
#define LITHOPS_COMPUTE_ENGINE_KNOWN_H

#include "base/buffer.h"
#include "compute/bootstrap.h"

/* Of the files that an engine is made of. Zeroed to begin with. */
struct lithops__engine_stamps {
    struct lithops__buffer text; /* a line for each */
    int64_t newest_s;            /* when one of them was changed last */
};

/* Take the stamp of a file, before it is read, and of its folder: a library that is put there may
 * be found before another one. */
void lithops__engine_stamp(struct lithops__engine_stamps *stamps, const char *path);

/* Keep the hash and glibc_minor of `engine`. Not where a file was changed within the last seconds,
 * so that the next change might have the same time, nor where nothing can be written. */
void lithops__engine_remember(const struct lithops__engine *engine,
                              const struct lithops__engine_stamps *stamps);

/* What was kept for the engine of this process, if it still holds: fills these two. */
bool lithops__engine_recall(struct lithops__engine *engine);

#endif
