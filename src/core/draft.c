/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs, written down and read again. The inputs are what a range would have of them: numbers and
 * items as arrays, everything else one by one. */
#include "core/draft.h"

#include "base/error.h"
#include "function/code.h"
#include "value/value.h"
#include "wire/message.h"

#include <lithops/plugin/runtime.h>

#include <stdlib.h>
#include <string.h>

struct inputs_head {
    uint32_t kind; /* enum lithops__list_kind; VALUES: all that is no array */
    uint32_t item_bytes;
    uint64_t count;
    int64_t start;
};

/* ---- writing --------------------------------------------------------------------------------- */

static void append_payload(struct lithops__buffer *out, const lithops_payload *payload)
{
    struct lithops__carried carried = {.content = (uint8_t)payload->content};
    if (payload->content == LITHOPS_CONTENT_BOOL) {
        carried.payload = payload->b;
    } else if (payload->content == LITHOPS_CONTENT_INT ||
               payload->content == LITHOPS_CONTENT_DOUBLE) {
        memcpy(&carried.payload, &payload->i, sizeof carried.payload);
    } else if (payload->content == LITHOPS_CONTENT_PIECES) {
        struct lithops__buffer whole = LITHOPS__BUFFER_INIT;
        const lithops_bytes *pieces = payload->bytes.ptr;
        for (size_t i = 0; i < payload->bytes.len; i++)
            lithops__buffer_append(&whole, pieces[i].ptr, pieces[i].len);
        carried = (struct lithops__carried){
            LITHOPS_CONTENT_PICKLE, LITHOPS__CARRIED_BYTES, 0, {whole.data, whole.len}};
        lithops__carried_write(out, &carried);
        out->failed |= whole.failed;
        lithops__buffer_deinit(&whole);
        return;
    } else if (payload->content > LITHOPS_CONTENT_DOUBLE) {
        carried.how = LITHOPS__CARRIED_BYTES;
        carried.bytes = payload->bytes;
    }
    lithops__carried_write(out, &carried);
}

static int append_value(struct lithops__buffer *out, const lithops_value *value, lithops_error *err)
{
    lithops_payload payload;
    struct lithops__buffer packed = LITHOPS__BUFFER_INIT;
    int rc = 0;
    if (!value)
        return lithops__fail(err, LITHOPS_EUSAGE, "an input is NULL");
    if (!lithops__value_payload(value, &payload)) {
        rc = lithops__value_encode(value, &packed, err);
        payload = (lithops_payload){.content = LITHOPS_CONTENT_PACKED};
        payload.bytes = (lithops_bytes){packed.data, packed.len};
    }
    if (rc == 0)
        append_payload(out, &payload);
    lithops__buffer_deinit(&packed);
    return rc;
}

static int append_inputs(struct lithops__buffer *out, const lithops_value *inputs,
                         lithops_error *err)
{
    struct lithops__list_view view;
    (void)lithops__value_list_view(inputs, &view);
    bool is_array = view.kind == LITHOPS__LIST_INTS || view.kind == LITHOPS__LIST_DOUBLES ||
                    view.kind == LITHOPS__LIST_ITEMS;
    size_t item_bytes = view.kind == LITHOPS__LIST_ITEMS ? view.item_bytes : 8;
    struct inputs_head head = {.kind = view.kind == LITHOPS__LIST_PAYLOADS ? LITHOPS__LIST_VALUES
                                                                           : view.kind,
                               .item_bytes = (uint32_t)item_bytes,
                               .count = view.count,
                               .start = view.start};
    if (item_bytes > UINT32_MAX)
        return lithops__fail(err, LITHOPS_EUSAGE, "items of %zu bytes are too large", item_bytes);
    lithops__buffer_append(out, &head, sizeof head);
    int rc = 0;
    if (is_array)
        lithops__buffer_append(out, view.data, view.count * item_bytes);
    for (size_t i = 0; rc == 0 && view.kind == LITHOPS__LIST_PAYLOADS && i < view.count; i++)
        append_payload(out, (const lithops_payload *)view.data + i);
    for (size_t i = 0; rc == 0 && view.kind == LITHOPS__LIST_VALUES && i < view.count; i++)
        rc = append_value(out, lithops_value_at(inputs, i), err);
    return rc;
}

static lithops_value *list_of(const char *const *names)
{
    lithops_value *list = lithops_value_list();
    for (size_t i = 0; names[i]; i++)
        if (lithops_value_append(list, lithops__value_text(names[i], strlen(names[i]))) != 0)
            break;
    return list;
}

/* A member that is there. */
static bool set(lithops_value *map, const char *key, lithops_value *value)
{
    return lithops_value_set(map, key, value) == 0;
}

static bool set_text(lithops_value *map, const char *key, const char *text)
{
    return !text || set(map, key, lithops__value_text(text, strlen(text)));
}

static lithops_value *write_plan(const struct lithops__job_plan *plan)
{
    const lithops_function *function = plan->function;
    lithops_value *map = lithops_value_map(), *of = lithops_value_map();
    bool ok = set_text(of, "name", function->name) && set_text(of, "symbol", function->symbol) &&
              set_text(of, "library", function->library) &&
              set_text(of, "signature", function->signature) &&
              (!function->code ||
               set(of, "code", lithops_value_bytes(function->code->bytes, function->code->len)));
    ok &= set(map, "function", of);
    ok = ok && set(map, "timeout_ms", lithops_value_int(plan->timeout_ms)) &&
         set(map, "memory_mb", lithops_value_int(plan->runtime_memory_mb)) &&
         set(map, "chunksize", lithops_value_int(plan->chunksize)) &&
         set(map, "retries", lithops_value_int(plan->call_retries)) &&
         (!plan->extra_args || set(map, "args", lithops_value_copy(plan->extra_args))) &&
         (!plan->extra_env || set(map, "env", lithops_value_copy(plan->extra_env))) &&
         (!plan->include_modules || set(map, "include", list_of(plan->include_modules))) &&
         (!plan->exclude_modules || set(map, "exclude", list_of(plan->exclude_modules)));
    if (ok)
        return map;
    lithops_value_free(map);
    return NULL;
}

struct lithops__draft *lithops__draft_new(const struct lithops__job_plan *plan, lithops_error *err)
{
    struct lithops__draft *draft = calloc(1, sizeof *draft);
    int rc = draft && (draft->plan = write_plan(plan))
                 ? 0
                 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc == 0 && plan->inputs)
        rc = append_inputs(&draft->inputs, plan->inputs, err);
    if (rc == 0 && draft->inputs.failed)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory for the inputs");
    if (rc == 0)
        return draft;
    lithops__draft_free(draft);
    return NULL;
}

void lithops__draft_free(struct lithops__draft *draft)
{
    if (!draft)
        return;
    lithops_value_free(draft->plan);
    lithops__buffer_deinit(&draft->inputs);
    free(draft);
}

/* ---- reading --------------------------------------------------------------------------------- */

static int fail_draft(lithops_error *err)
{
    return lithops__fail(err, LITHOPS_EPARSE, "what was written down of the job is damaged");
}

static lithops_value *read_payloads(lithops_bytes bytes, uint64_t count,
                                    struct lithops__redraft *ret, lithops_error *err)
{
    if (count > bytes.len) /* each takes more */
        return NULL;
    ret->payloads = calloc(count + 1, sizeof *ret->payloads);
    for (uint64_t i = 0; ret->payloads && i < count; i++) {
        struct lithops__carried carried;
        if (lithops__carried_read(&bytes, &carried, err) != 0 ||
            carried.content > LITHOPS_CONTENT_PICKLE)
            return NULL;
        lithops_payload *payload = &ret->payloads[i];
        payload->content = (lithops_content)carried.content;
        if (payload->content == LITHOPS_CONTENT_BOOL)
            payload->b = carried.payload != 0;
        else if (payload->content <= LITHOPS_CONTENT_DOUBLE)
            memcpy(&payload->i, &carried.payload, sizeof payload->i);
        else
            payload->bytes = carried.bytes;
    }
    return ret->payloads ? lithops_payloads(ret->payloads, count) : NULL;
}

static int read_inputs(lithops_bytes bytes, uint64_t count, struct lithops__redraft *ret,
                       lithops_error *err)
{
    struct inputs_head head;
    lithops_value *list = NULL;
    if (bytes.len < sizeof head)
        return fail_draft(err);
    memcpy(&head, bytes.ptr, sizeof head);
    bytes = (lithops_bytes){(const char *)bytes.ptr + sizeof head, bytes.len - sizeof head};
    bool is_array = head.kind == LITHOPS__LIST_INTS || head.kind == LITHOPS__LIST_DOUBLES ||
                    head.kind == LITHOPS__LIST_ITEMS;
    uint64_t each = head.kind == LITHOPS__LIST_ITEMS ? head.item_bytes : 8;
    if (head.count != count ||
        (is_array && (each ? bytes.len / each != count || bytes.len % each : bytes.len != 0)))
        return fail_draft(err);
    if (head.kind == LITHOPS__LIST_RANGE)
        list = head.start <= INT64_MAX - (int64_t)count
                   ? lithops_range(head.start, head.start + (int64_t)count)
                   : NULL;
    else if (head.kind == LITHOPS__LIST_INTS)
        list = lithops_ints(bytes.ptr, count);
    else if (head.kind == LITHOPS__LIST_DOUBLES)
        list = lithops_doubles(bytes.ptr, count);
    else if (head.kind == LITHOPS__LIST_ITEMS)
        list = lithops_items(bytes.ptr, count, each);
    else if (head.kind == LITHOPS__LIST_VALUES)
        list = read_payloads(bytes, count, ret, err);
    ret->plan.inputs = list;
    return list ? 0 : fail_draft(err);
}

static const char *text_of(const lithops_value *map, const char *key)
{
    return lithops_value_get_string(lithops_value_get(map, key));
}

static int read_function(const lithops_value *map, struct lithops__redraft *ret, lithops_error *err)
{
    const char *name = text_of(map, "name"), *symbol = text_of(map, "symbol");
    const lithops_value *code = lithops_value_get(map, "code");
    if (!name || !symbol)
        return fail_draft(err);
    if (code) {
        ret->function = lithops_code_function(symbol, name, lithops_value_get_bytes(code), err);
        return ret->function ? 0 : err->code;
    }
    ret->function = calloc(1, sizeof *ret->function);
    if (!ret->function)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    *ret->function = (lithops_function){.magic = LITHOPS_FUNCTION_MAGIC,
                                        .name = name,
                                        .symbol = symbol,
                                        .library = text_of(map, "library"),
                                        .signature = text_of(map, "signature")};
    return 0;
}

static const char **read_list(const lithops_value *list)
{
    size_t count = lithops_value_size(list), kept = 0;
    const char **names = list ? calloc(count + 1, sizeof *names) : NULL;
    for (size_t i = 0; names && i < count; i++) {
        names[kept] = lithops_value_get_string(lithops_value_at(list, i));
        kept += names[kept] != NULL;
    }
    return names;
}

static int64_t number_of(const lithops_value *map, const char *key)
{
    const lithops_value *value = lithops_value_get(map, key);
    return value ? lithops_value_get_int(value) : LITHOPS_DEFAULT;
}

int lithops__draft_read(const lithops_value *map, lithops_bytes inputs, uint64_t count,
                        struct lithops__redraft *ret, lithops_error *err)
{
    *ret = (struct lithops__redraft){.plan = {.count = count}};
    int rc = read_function(lithops_value_get(map, "function"), ret, err);
    if (rc == 0 && inputs.len)
        rc = read_inputs(inputs, count, ret, err);
    if (rc != 0) {
        lithops__redraft_deinit(ret);
        return rc;
    }
    ret->include = read_list(lithops_value_get(map, "include"));
    ret->exclude = read_list(lithops_value_get(map, "exclude"));
    ret->plan.function = ret->function;
    ret->plan.include_modules = ret->include;
    ret->plan.exclude_modules = ret->exclude;
    ret->plan.extra_args = lithops_value_get(map, "args");
    ret->plan.extra_env = lithops_value_get(map, "env");
    ret->plan.timeout_ms = number_of(map, "timeout_ms");
    ret->plan.runtime_memory_mb = number_of(map, "memory_mb");
    ret->plan.chunksize = number_of(map, "chunksize");
    ret->plan.call_retries = number_of(map, "retries");
    return 0;
}

/* Of a function of code, name and symbol are its own; else they are the plan's. */
void lithops__redraft_deinit(struct lithops__redraft *redraft)
{
    if (redraft->function && redraft->function->code)
        lithops_function_free(redraft->function);
    else
        free(redraft->function);
    lithops_value_free(redraft->plan.inputs);
    free(redraft->include);
    free(redraft->exclude);
    free(redraft->payloads);
    *redraft = (struct lithops__redraft){.function = NULL};
}
