/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzer of what a client or a supervisor reads of detached jobs: handles, and journals with the
 * plans, inputs and outcomes in them. First byte: 0: a handle as JSON, 1: the records of a journal,
 * 2: those, with right checksums, type and bytes each. */
#include "core/draft.h"
#include "detached/handle.h"
#include "detached/journal.h"
#include "value/value.h"
#include "wire/message.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void try_handle(const uint8_t *data, size_t size)
{
    lithops_value *value = lithops_value_from_json((const char *)data, size, NULL);
    struct lithops__handle *handle;
    if (value && lithops__handle_read(value, &handle, NULL) == 0)
        free(handle);
    lithops_value_free(value);
}

struct read {
    lithops_value *plan;
    struct lithops__buffer inputs;
};

static void try_record(struct read *read, uint32_t type, lithops_bytes bytes)
{
    struct lithops__outcome outcome;
    lithops_error error;
    lithops_bytes data;
    if (type == LITHOPS__JOURNAL_PLAN && !read->plan)
        read->plan = lithops__value_decode(bytes.ptr, bytes.len, NULL);
    if (type == LITHOPS__JOURNAL_INPUTS && read->inputs.len == 0)
        lithops__buffer_append(&read->inputs, bytes.ptr, bytes.len);
    while (type == LITHOPS__JOURNAL_OUTCOMES && bytes.len &&
           lithops__outcome_read(&bytes, &outcome, NULL) == 0)
        if (outcome.result.how == LITHOPS__CARRIED_BYTES)
            (void)lithops__failure_read(outcome.result.bytes, &error, &data, NULL);
}

static void try_plan(struct read *read)
{
    static const uint64_t counts[] = {0, 1, 2, 1000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct lithops__redraft draft;
        lithops_error err = LITHOPS_ERROR_INIT;
        if (lithops__draft_read(read->plan, (lithops_bytes){read->inputs.data, read->inputs.len},
                                counts[i], &draft, &err) == 0) {
            if (draft.plan.inputs && lithops_value_size(draft.plan.inputs) != counts[i])
                abort();
            lithops__redraft_deinit(&draft);
        }
    }
    lithops_value_free(read->plan);
    lithops__buffer_deinit(&read->inputs);
}

static void try_journal(const uint8_t *data, size_t size, struct read *read)
{
    static struct lithops__journal_header header;
    struct lithops__journal journal = LITHOPS__JOURNAL_INIT;
    uint32_t type;
    lithops_bytes bytes;
    journal.fd = memfd_create("journal", MFD_CLOEXEC);
    journal.header = &header;
    if (journal.fd < 0 || write(journal.fd, data, size) != (ssize_t)size)
        abort();
    atomic_store(&header.end, size);
    while (lithops__journal_read(&journal, true, &type, &bytes, NULL) == 1)
        try_record(read, type, bytes);
    journal.header = NULL;
    lithops__journal_close(&journal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct read read = {NULL, LITHOPS__BUFFER_INIT};
    if (size == 0)
        return 0;
    if (data[0] == 0)
        try_handle(data + 1, size - 1);
    if (data[0] == 1)
        try_journal(data + 1, size - 1, &read);
    for (size_t at = 1; data[0] == 2 && at + 3 <= size;) {
        size_t len = data[at + 1] | (size_t)data[at + 2] << 8;
        len = len < size - at - 3 ? len : size - at - 3;
        try_record(&read, data[at] % 8, (lithops_bytes){data + at + 3, len});
        at += 3 + len;
    }
    try_plan(&read);
    return 0;
}
