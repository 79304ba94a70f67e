/* SPDX-License-Identifier: Apache-2.0 */
/* The messages in the frames of a link. docs/remote.md describes the whole conversation; here are
 * the parts that are read and written a million times, and so are plain structs instead of maps.
 *
 * Everything read here was written by someone else: reading checks all lengths and numbers that can
 * be checked without knowing the table. */
#ifndef LITHOPS_WIRE_MESSAGE_H
#define LITHOPS_WIRE_MESSAGE_H

#include "wire/frame.h"

enum { LITHOPS__WIRE_PROTOCOL = 1 };

enum lithops__message {
    /* both ways */
    LITHOPS__MESSAGE_HELLO = 1, /* map */
    LITHOPS__MESSAGE_BEAT,      /* struct lithops__beat */
    LITHOPS__MESSAGE_BLOB,      /* a piece; stream: number of the blob, from 1 */
    /* to the worker */
    LITHOPS__MESSAGE_FILE,   /* a piece; stream: as in NEED; EMPTY at its end */
    LITHOPS__MESSAGE_JOB,    /* map; stream: number of the job */
    LITHOPS__MESSAGE_RUN,    /* struct lithops__run and inputs; stream: number of the activation */
    LITHOPS__MESSAGE_MIRROR, /* records; stream: of the activation whose reducer reads them */
    LITHOPS__MESSAGE_CANCEL, /* calls, 4 bytes each; stream: of their activation */
    LITHOPS__MESSAGE_FORGET, /* stream: of the job */
    LITHOPS__MESSAGE_BYE,
    /* to the client */
    LITHOPS__MESSAGE_NEED,     /* map; stream: of the job, 0: of the program */
    LITHOPS__MESSAGE_OUTCOMES, /* credit, 8 bytes, and records; see FRAME_SPENT */
    LITHOPS__MESSAGE_END,      /* after the last one */
    /* objects of the client, for worker processes; stream: the connection that asks */
    LITHOPS__MESSAGE_ASK,    /* to the client: map, and bytes to store; LAST: hung up */
    LITHOPS__MESSAGE_ANSWER, /* to the worker, in the order of the questions: map, and bytes */
    /* to the worker, where the client is short of memory */
    LITHOPS__MESSAGE_HOLD, /* results of so many bytes and more are not to be sent; 8 bytes */
    LITHOPS__MESSAGE_WANT, /* but for those of calls up to this one; 4 bytes; stream: activation */
};

/* Limits of one question about objects of the client. */
enum {
    LITHOPS__OBJECT_PIECE = 508 << 10, /* bytes that are read or stored; a header makes it 512 */
    LITHOPS__OBJECT_ASKED = 8,         /* unanswered questions of one connection */
    LITHOPS__OBJECT_LISTED = 1000,     /* names */
};

/* Flags of frames. */
enum {
    LITHOPS__FRAME_FIRST = 1,  /* of a blob: its length, 8 bytes, comes first */
    LITHOPS__FRAME_LAST = 2,   /* of a file; of a connection that asks */
    LITHOPS__FRAME_WHOLE = 4,  /* of a cancel: the whole job was cancelled */
    LITHOPS__FRAME_BACK = 8,   /* of a cancel: give back calls that have not begun */
    LITHOPS__FRAME_SOON = 16,  /* of outcomes: the worker will soon have nothing to do */
    LITHOPS__FRAME_SPENT = 64, /* of outcomes: behind the credit stands how many requests the worker
                                * has made to the storage: 8 bytes those that read, 8 that write */
    LITHOPS__FRAME_STORED = 32, /* of a need: they are to be put into the storage; of a file: all
                                 * of one need have been, or cannot */
};

/* The sender's clock, and the receiver's as last heard; ns. */
struct lithops__beat {
    uint64_t sent, heard;
};

/* The bytes sent with a call or an outcome: 8 bytes, or a length and that many bytes, or the number
 * of a blob sent before. `content` is an enum lithops__content of the engine. */
enum lithops__carriage { LITHOPS__CARRIED_VALUE, LITHOPS__CARRIED_BYTES, LITHOPS__CARRIED_BLOB };
struct lithops__carried {
    uint8_t content;
    uint8_t how;         /* enum lithops__carriage */
    uint64_t payload;    /* the value; or the number of the blob */
    lithops_bytes bytes; /* of CARRIED_BYTES */
};

/* An activation: calls [first, first + count) of a job. */
struct lithops__run {
    uint32_t job, count;
    uint64_t first;
    uint8_t input_kind;    /* an enum lithops__input_kind of the engine */
    bool has_numbers;      /* a job number of its own per call */
    uint32_t input_bytes;  /* of INPUT_ITEMS */
    int64_t input_start;   /* of INPUT_RANGE; of a reducer: its first map call */
    lithops_bytes numbers; /* 4 bytes each */
    lithops_bytes inputs;  /* an array of numbers or items; else what lithops__carried_read() takes
                            * `count` times */
};
enum { LITHOPS__RUN_MOST = 1 << 16 }; /* calls of one activation */

void lithops__run_write(struct lithops__buffer *out, const struct lithops__run *run);
int lithops__run_read(lithops_bytes payload, struct lithops__run *ret_run, lithops_error *err);

void lithops__carried_write(struct lithops__buffer *out, const struct lithops__carried *carried);
/* Removes what it reads from the front of *bytes. */
int lithops__carried_read(lithops_bytes *bytes, struct lithops__carried *ret_carried,
                          lithops_error *err);

struct lithops__usage_record {
    uint64_t user_us, system_us, peak_start_kb, peak_end_kb, rss_kb, vms_kb, uss_kb, net_sent,
        net_received;
};

/* The outcome of a call, or its progress. */
struct lithops__outcome {
    uint32_t activation, call; /* of an activation: from 0 */
    uint8_t state; /* an enum of the engine: RUNNING (it has begun), done, or PENDING: it
                    * is given back */
    bool is_cold, has_usage, never_ran;
    uint64_t start_ns, end_ns; /* by the sender's clock */
    struct lithops__carried result;
    struct lithops__usage_record usage;
    struct lithops__carried output; /* its output: bytes or a blob */
};
void lithops__outcome_write(struct lithops__buffer *out, const struct lithops__outcome *outcome);
int lithops__outcome_read(lithops_bytes *bytes, struct lithops__outcome *ret_outcome,
                          lithops_error *err);

/* An error of a call; the strings of `ret_error` are cut to what it holds, data is borrowed. */
void lithops__failure_write(struct lithops__buffer *out, const lithops_error *error,
                            lithops_bytes data);
int lithops__failure_read(lithops_bytes bytes, lithops_error *ret_error, lithops_bytes *ret_data,
                          lithops_error *err);

/* A piece of a blob. `ret_length` is set in the first one. */
int lithops__blob_read(const struct lithops__frame *frame, uint64_t *ret_length,
                       lithops_bytes *ret_piece, lithops_error *err);

#endif
