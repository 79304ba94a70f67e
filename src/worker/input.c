/* SPDX-License-Identifier: Apache-2.0 */
/* The input side of a call: inputs as values, bytes, arguments, objects; and what upstream injects.
 *
 * An input is looked at only when the function asks for it. */
#include "worker/input.h"

#include "base/error.h"
#include "config/config.h"
#include "config/storage.h"
#include "function/image.h"
#include "ipc/area.h"
#include "ipc/layout.h"
#include "ipc/payload.h"
#include "partition/partition.h"
#include "value/value.h"
#include "worker/call.h"
#include "worker/process.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

void lithops__call_find_input(lithops_call *call)
{
    const struct lithops__range *range = call->range;
    const struct lithops__area *area = &call->process->area;
    const struct lithops__slot *slot;
    switch (range->input_kind) {
    case LITHOPS__INPUT_RANGE:
        call->input_content = LITHOPS__CONTENT_INT;
        call->input_payload = (uint64_t)range->input_start + call->index;
        break;
    case LITHOPS__INPUT_INTS:
    case LITHOPS__INPUT_DOUBLES:
        call->input_content = range->input_kind == LITHOPS__INPUT_INTS ? LITHOPS__CONTENT_INT
                                                                       : LITHOPS__CONTENT_DOUBLE;
        call->input_payload = ((const uint64_t *)lithops__at(area, range->inputs))[call->index];
        break;
    case LITHOPS__INPUT_ITEMS:
        call->input_content = LITHOPS__CONTENT_BYTES;
        call->input_payload = range->inputs + call->index * range->input_bytes;
        break;
    case LITHOPS__INPUT_SLOTS:
        slot = (const struct lithops__slot *)lithops__at(area, range->inputs) + call->index;
        call->input_content = (enum lithops__content)slot->content;
        call->input_payload = slot->payload;
        break;
    }
    call->input_known = true;
}

lithops_bytes lithops_call_bytes(lithops_call *call)
{
    if (!call->input_known)
        lithops__call_find_input(call);
    const struct lithops__area *area = &call->process->area;
    if (call->input_content != LITHOPS__CONTENT_BYTES &&
        call->input_content != LITHOPS__CONTENT_STRING)
        return (lithops_bytes){NULL, 0};
    if (call->range->input_kind == LITHOPS__INPUT_ITEMS)
        return (lithops_bytes){lithops__at(area, call->input_payload), call->range->input_bytes};
    return lithops__payload_bytes(area, call->input_payload);
}

int64_t lithops_call_int(lithops_call *call)
{
    if (!call->input_known)
        lithops__call_find_input(call);
    return call->input_content == LITHOPS__CONTENT_INT ? (int64_t)call->input_payload : 0;
}

const lithops_value *lithops_call_input(lithops_call *call)
{
    if (call->input)
        return call->input;
    if (!call->input_known)
        lithops__call_find_input(call);
    call->used = true;
    if (call->range->input_kind == LITHOPS__INPUT_ITEMS)
        call->input = lithops__value_view(LITHOPS_BYTES, lithops_call_bytes(call));
    else if (call->input_content == LITHOPS__CONTENT_GATE)
        call->input = lithops_value_null();
    else
        call->input = lithops__payload_value(&call->process->area, call->input_content,
                                             call->input_payload, &call->error);
    return call->input;
}

int lithops_call_payload(lithops_call *call, lithops_payload *ret_payload)
{
    if (!call->input_known)
        lithops__call_find_input(call);
    *ret_payload = (lithops_payload){.content = LITHOPS_CONTENT_NULL};
    if (call->input_content == LITHOPS__CONTENT_GATE)
        return 0;
    if (call->range->input_kind == LITHOPS__INPUT_ITEMS) {
        ret_payload->content = LITHOPS_CONTENT_BYTES;
        ret_payload->bytes = lithops_call_bytes(call);
        return 0;
    }
    int rc = lithops__payload_read(&call->process->area, call->input_content, call->input_payload,
                                   ret_payload, &call->error);
    call->used |= rc != 0;
    return rc;
}

static const struct lithops__function_slot *function_of(const lithops_call *call)
{
    return &call->process->area.functions[call->range->function];
}

lithops_bytes lithops_call_code(lithops_call *call)
{
    const struct lithops__function_slot *slot = function_of(call);
    if (!slot->code_id)
        return (lithops_bytes){NULL, 0};
    return (lithops_bytes){lithops__at(&call->process->area, slot->code), slot->code_len};
}

uint64_t lithops_call_code_id(lithops_call *call)
{
    return function_of(call)->code_id;
}

const lithops_value *lithops_call_extra_args(lithops_call *call)
{
    return call->job->extra_args;
}

/* ---- arguments ------------------------------------------------------------------------------- */

struct binding {
    lithops_call *call;
    const lithops_value *input, *extra;
    size_t position; /* of the next argument */
    size_t taken;    /* values used */
};

/* How many arguments a source gives by position: -1 when it gives them by name. */
static int64_t positional(const lithops_value *source, bool is_input)
{
    if (!source)
        return 0;
    switch (lithops_value_type(source)) {
    case LITHOPS_MAP:
        return lithops_value_is_cloudobject(source) || lithops__is_partition(source) ? 1 : -1;
    case LITHOPS_LIST:
        return (int64_t)lithops_value_size(source);
    case LITHOPS_NULL:
        return is_input ? 0 : 1;
    default:
        return 1;
    }
}

static const lithops_value *nth(const lithops_value *source, size_t index)
{
    return lithops_value_type(source) == LITHOPS_LIST ? lithops_value_at(source, index) : source;
}

static const lithops_value *find_argument(const struct binding *binding, const char *name)
{
    int64_t from_input = positional(binding->input, true);
    int64_t from_extra = positional(binding->extra, false);
    const lithops_value *value = NULL;
    if (from_input < 0)
        value = lithops_value_get(binding->input, name);
    else if (binding->position < (size_t)from_input)
        return nth(binding->input, binding->position);
    if (!value && from_extra < 0)
        value = lithops_value_get(binding->extra, name);
    else if (!value && from_extra > 0) {
        size_t before = from_input > 0 ? (size_t)from_input : 0;
        /* by name first, then the list: its items are for the arguments that come after */
        if (from_input < 0)
            before = lithops_value_size(binding->input);
        if (binding->position >= before && binding->position - before < (size_t)from_extra)
            value = nth(binding->extra, binding->position - before);
    }
    return value;
}

static size_t arguments_given(const struct binding *binding)
{
    int64_t from_input = positional(binding->input, true);
    int64_t from_extra = positional(binding->extra, false);
    size_t given = from_input < 0 ? lithops_value_size(binding->input) : (size_t)from_input;
    return given + (from_extra < 0 ? lithops_value_size(binding->extra) : (size_t)from_extra);
}

static int skip_pointer(const char **format, va_list *args)
{
    bool two = (*format)[0] == 's' && (*format)[1] == '%';
    (void)va_arg(*args, void *);
    if (two)
        (void)va_arg(*args, void *);
    *format += two ? 2 : 1;
    return 0;
}

/* A given name that no argument has, for the message. */
static const char *unknown_name(const lithops_value *source, const char *const *names, size_t count)
{
    if (!source || positional(source, true) >= 0)
        return NULL;
    const char *key;
    for (size_t i = 0; lithops_value_pair(source, i, &key); i++) {
        bool known = false;
        for (size_t n = 0; n < count && !known; n++)
            known = strcmp(names[n], key) == 0;
        if (!known)
            return key;
    }
    return NULL;
}

static int bind(struct binding *binding, const char *format, va_list *args)
{
    enum { MOST = 32 };
    const char *names[MOST];
    size_t count = 0;
    bool optional = false;
    lithops_error *err = &binding->call->error;
    while (*format) {
        if (isspace((unsigned char)*format) || *format == ',') {
            format++;
            continue;
        }
        if (*format == '|') {
            optional = true;
            format++;
            continue;
        }
        const char *name = va_arg(*args, const char *);
        if (count < MOST)
            names[count++] = name;
        const lithops_value *value = find_argument(binding, name);
        if (!value && !optional)
            return lithops__fail(err, LITHOPS_EARG, "argument '%s' (number %zu) is missing", name,
                                 binding->position + 1);
        if (value && positional(binding->extra, false) < 0) {
            const lithops_value *again = lithops_value_get(binding->extra, name);
            if (again && again != value)
                return lithops__fail(err, LITHOPS_EARG,
                                     "argument '%s' is in the input and in extra_args", name);
        }
        if (!value)
            skip_pointer(&format, args);
        else if (lithops__unpack_one(value, err, &format, args) != 0) {
            lithops__error_prefix(err, "argument '%s'", name);
            return err->code = LITHOPS_EARG;
        } else
            binding->taken++;
        binding->position++;
    }
    const char *unknown = unknown_name(binding->input, names, count);
    if (!unknown)
        unknown = unknown_name(binding->extra, names, count);
    if (unknown)
        return lithops__fail(err, LITHOPS_EARG, "the function has no argument '%s'", unknown);
    size_t given = arguments_given(binding);
    if (given > binding->taken)
        return lithops__fail(err, LITHOPS_EARG, "%zu arguments given, the function takes %zu",
                             given, binding->position);
    return 0;
}

int lithops_args(lithops_call *call, const char *format, ...)
{
    struct binding binding = {
        .call = call, .input = lithops_call_input(call), .extra = call->job->extra_args};
    if (!binding.input)
        return LITHOPS_EARG;
    if (!format)
        return lithops__fail(&call->error, LITHOPS_EUSAGE, "the format of lithops_args() is NULL");
    va_list args;
    va_start(args, format);
    int rc = bind(&binding, format, &args);
    va_end(args);
    return rc;
}

/* ---- objects, storage, and the rest ---------------------------------------------------------- */

static struct lithops__config *config_of(struct lithops__worker_process *process,
                                         lithops_error *err)
{
    const struct lithops__control *control = process->area.control;
    if (process->config || !control->config)
        return process->config;
    lithops_value *value = lithops__value_decode(lithops__at(&process->area, control->config),
                                                 control->config_len, err);
    if (!value)
        return NULL;
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    options.config = value;
    (void)lithops__config_load(&options, &process->config, err);
    lithops_value_free(value);
    return process->config;
}

lithops_storage *lithops_call_storage(lithops_call *call)
{
    struct lithops__worker_process *process = call->process;
    if (process->storage)
        return process->storage;
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__config *config = config_of(process, &err);
    if (config)
        process->storage = lithops__storage_open(config, NULL, &err);
    if (!process->storage) {
        call->error = err;
        call->used = true;
    }
    return process->storage;
}

lithops_stream *lithops_call_object(lithops_call *call)
{
    if (call->stream)
        return call->stream;
    const lithops_value *input = lithops_call_input(call);
    if (!input)
        return NULL;
    if (lithops_value_type(input) == LITHOPS_LIST && lithops_value_size(input) > 0)
        input = lithops_value_at(input, 0);
    lithops_type type = lithops_value_type(input);
    if (!lithops__is_partition(input) && !lithops_value_is_cloudobject(input) &&
        type != LITHOPS_STRING && type != LITHOPS_BYTES) {
        lithops__fail(&call->error, LITHOPS_EARG,
                      "the input is a %s, not an object: name objects with lithops_objects() or "
                      "set obj_chunk_size",
                      lithops_type_name(type));
        return NULL;
    }
    call->used = true;
    lithops_storage *storage = lithops_call_storage(call);
    int rc = storage ? 0 : LITHOPS_EIO;
    if (rc == 0)
        rc = call->process->area.control->is_elsewhere
                 ? lithops__stream_open_of_client(input, storage, &call->stream, &call->error)
                 : lithops__stream_open(input, storage, &call->stream, &call->error);
    call->input_failed = rc != 0;
    return call->stream;
}

const char *lithops_call_rabbitmq(lithops_call *call)
{
    struct lithops__config *config = config_of(call->process, NULL);
    return config ? lithops__config_string(config, "rabbitmq", "amqp_url") : NULL;
}

const char *lithops_call_file(lithops_call *call, const char *name)
{
    return lithops__image_file(call->job->manifest, name);
}

int64_t lithops_call_id(lithops_call *call)
{
    return (int64_t)(call->range->first_id + (call->range->numbers ? 0 : call->index));
}

const char *lithops_call_job_key(lithops_call *call)
{
    static _Thread_local char key[64]; /* the function may have threads */
    const struct lithops__range *range = call->range;
    const uint32_t *numbers = lithops__at(&call->process->area, range->numbers);
    uint32_t number =
        range->numbers ? numbers[call->index] & LITHOPS__NUMBER_MASK : range->job_number;
    snprintf(key, sizeof key, "%s-%c%03u", range->executor_id, range->job_kind, number);
    return key;
}

bool lithops_call_is_canceled(lithops_call *call)
{
    return atomic_load_explicit(&((struct lithops__range *)call->range)->canceled,
                                memory_order_relaxed) != 0;
}
