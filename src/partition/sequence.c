/* SPDX-License-Identifier: Apache-2.0 */
/* Sequences: what can only be read from front to back.
 *
 * A compressed file is one or more members, each decompressed by itself, as gzip, zstd, bzip2 and
 * their parallel kin write them and as `cat a.gz b.gz` does; zero bytes behind a member are padding
 * (tapes, tar). Content goes from the decompressor into the reader's buffer: nothing here grows
 * with it, so that a file which unpacks to a million times its size costs time and no memory.
 *
 * The last bytes given are kept, since finding where a line starts looks back: at most 64 KiB in
 * one step (see stream.c). */
#include "partition/sequence.h"
#include "partition/packing.h"

#include "base/error.h"
#include "base/module.h"
#include "partition/decoder.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[] = {
    [LITHOPS__PACKING_NONE] = "none",   [LITHOPS__PACKING_GZIP] = "gzip",
    [LITHOPS__PACKING_ZSTD] = "zstd",   [LITHOPS__PACKING_BZIP2] = "bzip2",
    [LITHOPS__PACKING_OTHER] = "other",
};

const char *lithops__packing_name(enum lithops__packing packing)
{
    return names[packing];
}

int lithops__packing_from_name(lithops_bytes name, enum lithops__packing *ret_packing,
                               lithops_error *err)
{
    for (int i = LITHOPS__PACKING_GZIP; i <= LITHOPS__PACKING_BZIP2; i++) {
        if (name.len == strlen(names[i]) && memcmp(name.ptr, names[i], name.len) == 0) {
            *ret_packing = (enum lithops__packing)i;
            return 0;
        }
    }
    return lithops__fail(err, LITHOPS_EPARSE, "not the partition of an object");
}

enum { KEPT_BYTES = 128 << 10, INPUT_BYTES = 64 << 10 };

struct lithops__sequence {
    lithops__sequence_input *input;
    void *user;
    bool once;
    uint64_t pos; /* of the next byte that is made */

    enum lithops__packing packing;
    const struct lithops__decoder_api *api; /* NULL: the input itself */
    void *state;
    bool in_member, input_ended, any_member;
    uint64_t input_pos; /* behind what is in `packed` */
    size_t packed_start, packed_len;
    unsigned char packed[INPUT_BYTES];

    size_t kept_len; /* the bytes before `pos` */
    unsigned char kept[2 * KEPT_BYTES];
};

int lithops__sequence_open(enum lithops__packing packing, bool once, lithops__sequence_input *input,
                           void *user, struct lithops__sequence **ret_sequence, lithops_error *err)
{
    const struct lithops__decoder_api *api = NULL;
    if (packing != LITHOPS__PACKING_NONE) {
        api = lithops__module_symbol(lithops__packing_name(packing), "lithops__decoder", err);
        if (!api)
            return LITHOPS_EUNSUPPORTED;
    }
    struct lithops__sequence *sequence = malloc(sizeof *sequence);
    void *state = sequence && api ? api->open() : NULL;
    if (!sequence || (api && !state)) {
        free(sequence);
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for an object");
    }
    sequence->input = input;
    sequence->user = user;
    sequence->once = once;
    sequence->pos = sequence->input_pos = 0;
    sequence->packing = packing;
    sequence->api = api;
    sequence->state = state;
    sequence->in_member = sequence->input_ended = sequence->any_member = false;
    sequence->packed_start = sequence->packed_len = sequence->kept_len = 0;
    *ret_sequence = sequence;
    return 0;
}

void lithops__sequence_close(struct lithops__sequence *sequence)
{
    if (!sequence)
        return;
    if (sequence->state)
        sequence->api->close(sequence->state);
    free(sequence);
}

/* ---- decompressing --------------------------------------------------------------------------- */

static int fail_corrupt(const struct lithops__sequence *s, lithops_error *err)
{
    return lithops__fail(err, LITHOPS_EPARSE,
                         "the %s data is corrupt, %llu bytes into its content; to get the object "
                         "as it is, give no obj_newline",
                         lithops__packing_name(s->packing), (unsigned long long)s->pos);
}

static int fill_packed(struct lithops__sequence *s, lithops_error *err)
{
    if (s->packed_len > 0 || s->input_ended)
        return 0;
    size_t got = 0;
    int rc = s->input(s->user, s->input_pos, s->packed, INPUT_BYTES, &got, err);
    if (rc)
        return rc;
    s->packed_start = 0;
    s->packed_len = got;
    s->input_pos += got;
    s->input_ended = got < INPUT_BYTES;
    return 0;
}

/* Between members: go to the next one. *ret_over: there is none. */
static int begin_member(struct lithops__sequence *s, bool *ret_over, lithops_error *err)
{
    *ret_over = false;
    for (;;) {
        int rc = fill_packed(s, err);
        if (rc)
            return rc;
        while (s->any_member && s->packed_len > 0 && s->packed[s->packed_start] == 0) {
            s->packed_start++;
            s->packed_len--;
        }
        if (s->packed_len > 0)
            break;
        if (s->input_ended) {
            *ret_over = true;
            return 0;
        }
    }
    if (!s->api->restart(s->state))
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for decompressing");
    s->in_member = s->any_member = true;
    return 0;
}

/* Make some bytes; 0 bytes at the end. */
static int decompress(struct lithops__sequence *s, unsigned char *buf, size_t len, size_t *ret_len,
                      lithops_error *err)
{
    *ret_len = 0;
    while (*ret_len == 0) {
        bool over = false, end;
        int rc = s->in_member ? fill_packed(s, err) : begin_member(s, &over, err);
        if (rc || over)
            return rc;
        size_t used = 0, made = 0;
        lithops_bytes packed = {s->packed + s->packed_start, s->packed_len};
        rc = s->api->step(s->state, packed, &used, buf, len, &made, &end);
        if (rc == LITHOPS_ENOMEM)
            return lithops__fail(err, rc, "out of memory for decompressing");
        if (rc)
            return fail_corrupt(s, err);
        s->packed_start += used;
        s->packed_len -= used;
        s->in_member = !end;
        *ret_len = made;
        if (made || used || end)
            continue;
        if (s->packed_len > 0)
            return fail_corrupt(s, err);
        if (s->input_ended)
            return lithops__fail(err, LITHOPS_EIO,
                                 "the %s data is cut off, %llu bytes into its content",
                                 lithops__packing_name(s->packing), (unsigned long long)s->pos);
    }
    return 0;
}

/* ---- reading --------------------------------------------------------------------------------- */

static void keep(struct lithops__sequence *s, const unsigned char *bytes, size_t len)
{
    if (len > KEPT_BYTES) {
        bytes += len - KEPT_BYTES;
        len = KEPT_BYTES;
    }
    if (s->kept_len + len > sizeof s->kept) {
        size_t stay = KEPT_BYTES;
        memmove(s->kept, s->kept + s->kept_len - stay, stay);
        s->kept_len = stay;
    }
    memcpy(s->kept + s->kept_len, bytes, len);
    s->kept_len += len;
}

/* Make up to `len` bytes; less only at the end. */
static int make(struct lithops__sequence *s, unsigned char *buf, size_t len, size_t *ret_len,
                lithops_error *err)
{
    size_t done = 0, got = 1;
    while (done < len && got > 0) {
        int rc = s->api ? decompress(s, buf + done, len - done, &got, err)
                        : s->input(s->user, s->pos, buf + done, len - done, &got, err);
        if (rc)
            return rc;
        if (s->pos + got < s->pos || got == 0)
            break;
        keep(s, buf + done, got);
        s->pos += got;
        done += got;
    }
    *ret_len = done;
    return 0;
}

static int go_back(struct lithops__sequence *s, lithops_error *err)
{
    if (s->once)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "a pipe can be read once, from its beginning to its end");
    s->pos = s->input_pos = 0;
    s->packed_start = s->packed_len = s->kept_len = 0;
    s->in_member = s->input_ended = s->any_member = false;
    return 0;
}

int lithops__sequence_read(struct lithops__sequence *s, uint64_t offset, void *buf, size_t len,
                           size_t *ret_len, lithops_error *err)
{
    size_t done = 0, got = 0;
    int rc = offset + s->kept_len < s->pos ? go_back(s, err) : 0;
    while (rc == 0 && s->pos < offset) { /* all over again, up to there */
        uint64_t ahead = offset - s->pos;
        rc = make(s, buf, ahead < len ? (size_t)ahead : len, &got, err);
        if (rc == 0 && got == 0)
            break;
    }
    if (rc == 0 && offset < s->pos) {
        size_t behind = (size_t)(s->pos - offset);
        done = behind < len ? behind : len;
        memcpy(buf, s->kept + s->kept_len - behind, done);
    }
    if (rc == 0 && done < len && s->pos == offset + done) {
        rc = make(s, (unsigned char *)buf + done, len - done, &got, err);
        done += rc == 0 ? got : 0;
    }
    *ret_len = rc == 0 ? done : 0;
    return rc;
}
