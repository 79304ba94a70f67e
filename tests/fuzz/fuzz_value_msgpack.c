/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzer of the MessagePack decoder: the input is what should be one encoded value.
 *
 * Whatever decodes must be the same after its own encoding, which is never longer than the input,
 * after copying, and after its JSON form, if it has one. Otherwise the error must say where. */
#include "fuzz.h"
#include "value/value.h"

static void check_encoding(const lithops_value *value, size_t size)
{
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    lithops_error err = LITHOPS_ERROR_INIT;
    must(lithops__value_encode(value, &out, &err) == 0, err.message);
    must(out.len <= size, "the shortest form is longer than the input");
    lithops_value *again = lithops__value_decode(out.data, out.len, &err);
    must(again != NULL, err.message);
    must(lithops_value_equal(value, again), "encoded and decoded, it differs");
    lithops_value_free(again);
    lithops__buffer_deinit(&out);
}

static void check_json(const lithops_value *value)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    char *text = NULL;
    int code = lithops_value_to_json(value, &text, &err);
    must(code == 0 || code == LITHOPS_ETYPE, err.message);
    if (code != 0)
        return;
    lithops_value *again = lithops_value_from_json(text, strlen(text), &err);
    must(again != NULL, err.message);
    must(lithops_value_equal(value, again), "written and read as JSON, it differs");
    lithops_value_free(again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_value *value = lithops__value_decode(data, size, &err);
    if (!value) {
        must(err.code == LITHOPS_EPARSE, err.message);
        must(strncmp(err.message, "MessagePack, byte ", 18) == 0, "no position");
        return 0;
    }
    check_encoding(value, size);
    check_json(value);
    lithops_value *copy = lithops_value_copy(value);
    must(lithops_value_equal(value, copy), "the copy differs");
    lithops_value_free(copy);
    lithops_value_free(value);
    return 0;
}
