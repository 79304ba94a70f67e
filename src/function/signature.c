/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing signatures: `result(argument, ...)`, with blanks anywhere between words; `()` and
 * `(void)` take nothing. Or the one word `call`. */
#include "function/signature.h"

#include "base/error.h"
#include "base/near.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const char *const type_words[] = {
#define TYPE_WORD(word, name) word,
    LITHOPS__C_TYPES(TYPE_WORD)
#undef TYPE_WORD
};
#define TYPE_LIST                                                                                  \
    "void int uint long ulong int32 int64 uint32 uint64 float double string bytes (pointer and "   \
    "size_t)"

static const char *skip_blanks(const char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    return text;
}

/* Skip `c` and the blanks around it. */
static bool eat(const char **at, char c)
{
    const char *text = skip_blanks(*at);
    if (*text != c)
        return false;
    *at = skip_blanks(text + 1);
    return true;
}

static int parse_type(const char **at, const char *whole, enum lithops__c_type *ret_type,
                      lithops_error *err)
{
    enum { COUNT = sizeof type_words / sizeof type_words[0] };
    char word[32], text[128];
    size_t len = 0;
    *at = skip_blanks(*at);
    while (isalnum((unsigned char)(*at)[len]) || (*at)[len] == '_')
        len++;
    snprintf(word, sizeof word, "%.*s", (int)(len < sizeof word ? len : sizeof word - 1), *at);
    *at += len;
    for (int i = 0; i < COUNT; i++)
        if (strcmp(word, type_words[i]) == 0) {
            *ret_type = (enum lithops__c_type)i;
            return 0;
        }
    if (len == 0)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "signature '%s': a type is missing; write result(arguments), as in "
                             "double(double,double)",
                             whole);
    struct lithops__near near;
    lithops__near_init(&near, word, LITHOPS__NEAR_MAX);
    for (int i = 0; i < COUNT; i++)
        lithops__near_offer(&near, type_words[i]);
    return lithops__fail(err, LITHOPS_EUSAGE,
                         "signature '%s': no type '%s'%s (types: " TYPE_LIST ")", whole, word,
                         lithops__near_text(&near, text, sizeof text));
}

static int parse_arguments(const char **at, const char *whole, struct lithops__signature *signature,
                           lithops_error *err)
{
    if (eat(at, ')'))
        return 0;
    do {
        enum lithops__c_type type;
        int code = parse_type(at, whole, &type, err);
        if (code != 0)
            return code;
        if (type == LITHOPS__C_VOID) {
            if (signature->count == 0 && eat(at, ')'))
                return 0;
            return lithops__fail(err, LITHOPS_EUSAGE,
                                 "signature '%s': void is not allowed as the type of an argument",
                                 whole);
        }
        if (signature->count == LITHOPS__SIGNATURE_MAX)
            return lithops__fail(err, LITHOPS_EUSAGE, "signature '%s': more than %d arguments",
                                 whole, LITHOPS__SIGNATURE_MAX);
        signature->arguments[signature->count++] = type;
    } while (eat(at, ','));
    if (!eat(at, ')'))
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "signature '%s': ',' or ')' expected at '%s'; write "
                             "result(arguments), as in double(double,double)",
                             whole, *at);
    return 0;
}

int lithops__signature_parse(const char *text, struct lithops__signature *ret_signature,
                             lithops_error *err)
{
    struct lithops__signature signature = {0};
    const char *at = text;
    int code;
    if (strcmp(text, "call") == 0) {
        signature.takes_call = true;
        *ret_signature = signature;
        return 0;
    }
    if ((code = parse_type(&at, text, &signature.result, err)) != 0)
        return code;
    if (signature.result == LITHOPS__C_BYTES)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "signature '%s': a plain C function cannot return bytes; declare one "
                             "with LITHOPS_FUNCTION",
                             text);
    if (!eat(&at, '('))
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "signature '%s': '(' expected behind the result; write "
                             "result(arguments), as in double(double,double), or call",
                             text);
    if ((code = parse_arguments(&at, text, &signature, err)) != 0)
        return code;
    if (*at)
        return lithops__fail(err, LITHOPS_EUSAGE, "signature '%s': '%s' behind the last ')'", text,
                             at);
    *ret_signature = signature;
    return 0;
}
