/* SPDX-License-Identifier: Apache-2.0 */
/* Our JSON reader against jansson's: on texts that are JSON, nearly JSON, and damaged, both must
 * say the same, and read the same values. */
#include "value/value.h"

#include "value/random_value.h"

#include <jansson.h>

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static lithops_value *from_jansson(json_t *json)
{
    lithops_value *value;
    switch (json_typeof(json)) {
    case JSON_INTEGER:
        return lithops_value_int(json_integer_value(json));
    case JSON_REAL:
        return lithops_value_double(json_real_value(json));
    case JSON_STRING:
        return lithops_value_string_n(json_string_value(json), json_string_length(json));
    case JSON_ARRAY:
        value = lithops_value_list();
        for (size_t i = 0; i < json_array_size(json); i++)
            lithops_value_append(value, from_jansson(json_array_get(json, i)));
        return value;
    case JSON_OBJECT:
        value = lithops_value_map();
        for (void *at = json_object_iter(json); at; at = json_object_iter_next(json, at))
            lithops_value_set(value, json_object_iter_key(at),
                              from_jansson(json_object_iter_value(at)));
        return value;
    case JSON_NULL:
        return lithops_value_null();
    default:
        return lithops_value_bool(json_is_true(json));
    }
}

/* Whether both took it for JSON. */
static bool agree(const char *text, size_t len)
{
    json_error_t error;
    lithops_error err = LITHOPS_ERROR_INIT;
    json_t *json = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    lithops_value *ours = lithops_value_from_json(text, len, &err);
    if (!json != !ours)
        fail_msg("%.*s\njansson: %s\nlithops: %s", (int)len, text, json ? "good" : error.text,
                 ours ? "good" : err.message);
    if (json) {
        lithops_value *theirs = from_jansson(json);
        assert_true(lithops_value_equal(ours, theirs));
        for (size_t i = 0; i < lithops_value_size(theirs); i++) {
            const char *our_key = NULL, *their_key = NULL;
            lithops_value_pair(ours, i, &our_key);
            lithops_value_pair(theirs, i, &their_key);
            if (their_key)
                assert_string_equal(our_key, their_key); /* the same order */
        }
        lithops_value_free(theirs);
    }
    bool is_json = json != NULL;
    json_decref(json);
    lithops_value_free(ours);
    return is_json;
}

/* A value's text, with the one form that is ours alone made unlike it. Freed with free(). */
static char *random_text(void)
{
    lithops_value *v = random_value(4);
    char *text = NULL;
    assert_int_equal(lithops_value_to_json(v, &text, NULL), 0);
    for (char *p = text; (p = strstr(p, "$bytes")) != NULL;)
        *p = '_';
    lithops_value_free(v);
    return text;
}

static void both_read_what_we_write(void **state)
{
    (void)state;
    for (int i = 0; i < 3000; i++) {
        char *text = random_text();
        assert_true(agree(text, strlen(text)));
        free(text);
    }
}

static void both_judge_damaged_texts_alike(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "\"",      "\\",     "[",       "]",       "{",       "}",
        ",",       ":",      "-",       "0",       ".",       "e",
        "E+",      "1",      "\\u0041", "\\ud800", "\\n",     " ",
        "\n",      "\t",     "\x01",    "\x7f",    "\xc3",    "\xa9",
        "true",    "null",   "nul",     "1e999",   "//",      "'",
        "é",       "\xff",   "-0",      "\\u0000", "\\udc00", "9223372036854775808",
        "\"a\":1", "1e-999", "{}",      "[]"};
    size_t good = 0, bad = 0;
    for (int i = 0; i < 60000; i++) {
        struct lithops__buffer text = LITHOPS__BUFFER_INIT;
        char *start = random_text();
        size_t len = strlen(start) < 60 ? strlen(start) : 60, at = random_below(len + 1);
        const char *piece = pieces[random_below(sizeof pieces / sizeof *pieces)];
        size_t skipped = random_below(3) < len - at ? random_below(3) : 0;
        if (skipped > len - at)
            skipped = len - at;
        lithops__buffer_append(&text, start, at);
        if (random_below(4))
            lithops__buffer_append_string(&text, piece);
        if (strlen(start) <= 60)
            lithops__buffer_append(&text, start + at + skipped, len - at - skipped);
        if (agree(text.len ? (char *)text.data : "", text.len))
            good++;
        else
            bad++;
        lithops__buffer_deinit(&text);
        free(start);
    }
    assert_true(good > 3000 && bad > 3000);
}

static void both_read_numbers_alike(void **state)
{
    (void)state;
    for (int i = 0; i < 30000; i++) {
        char text[64];
        size_t len = 0;
        static const char letters[] = "0123456789012345678901234567890.eE+-";
        for (size_t wanted = 1 + random_below(24); len < wanted; len++)
            text[len] = letters[random_below(sizeof letters - 1)];
        agree(text, len);
        len = (size_t)snprintf(text, sizeof text, "%lld.%llue%d", (long long)random_int(),
                               (unsigned long long)random_bits(), (int)random_below(600) - 300);
        agree(text, len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_read_what_we_write),
        cmocka_unit_test(both_judge_damaged_texts_alike),
        cmocka_unit_test(both_read_numbers_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
