/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzer of the JSON reader: the input is a JSON text, or not.
 *
 * Whatever is read must survive being written and read again, as JSON and as MessagePack. Otherwise
 * the error must say where, in one line. */
#include "fuzz.h"
#include "value/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_value *value = lithops_value_from_json((const char *)data, size, &err);
    if (!value) {
        must(err.code == LITHOPS_EPARSE, err.message);
        must(strncmp(err.message, "JSON, line ", 11) == 0, "no position");
        must(!strchr(err.message, '\n'), "more than one line");
        return 0;
    }
    char *text = NULL;
    must(lithops_value_to_json(value, &text, &err) == 0, err.message);
    lithops_value *again = lithops_value_from_json(text, strlen(text), &err);
    must(again != NULL, err.message);
    must(lithops_value_equal(value, again), "written and read again, it differs");
    lithops_value_free(again);
    free(text);

    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    must(lithops__value_encode(value, &out, &err) == 0, err.message);
    again = lithops__value_decode(out.data, out.len, &err);
    must(again != NULL, err.message);
    must(lithops_value_equal(value, again), "encoded and decoded, it differs");
    lithops_value_free(again);
    lithops_value_free(value);
    lithops__buffer_deinit(&out);
    return 0;
}
