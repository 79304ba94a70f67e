/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/http_request.h"

#include <string.h>
#include <strings.h>

struct text {
    const char *at;
    size_t len;
};

static bool is(struct text text, const char *word)
{
    return text.len == strlen(word) && strncasecmp(text.at, word, text.len) == 0;
}

static struct text trimmed(struct text text)
{
    while (text.len && (*text.at == ' ' || *text.at == '\t'))
        text.at++, text.len--;
    while (text.len && (text.at[text.len - 1] == ' ' || text.at[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* The part before `end`, which is taken away; all of it where there is none. */
static struct text take(struct text *rest, char end)
{
    const char *found = memchr(rest->at, end, rest->len);
    struct text part = {rest->at, found ? (size_t)(found - rest->at) : rest->len};
    size_t used = part.len + (found ? 1 : 0);
    rest->at += used;
    rest->len -= used;
    return part;
}

static bool copy(struct text text, char *buf, size_t size)
{
    if (text.len >= size)
        return false;
    memcpy(buf, text.at, text.len);
    buf[text.len] = '\0';
    return true;
}

/* Letters, digits and signs that names are made of. */
static bool is_token(struct text text)
{
    static const char signs[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (c && strchr(signs, c))))
            return false;
    }
    return text.len > 0;
}

static int read_line(struct text line, struct lithops__http_head *head)
{
    struct text method = take(&line, ' '), target = take(&line, ' ');
    if (!is_token(method) || !copy(method, head->method, sizeof head->method))
        return 400;
    if (target.len == 0 || target.at[0] != '/')
        return 400;
    if (!copy(take(&target, '?'), head->path, sizeof head->path))
        return 400;
    if (line.len != 8 || memcmp(line.at, "HTTP/", 5) != 0)
        return 400;
    head->is_old = line.at[7] == '0';
    return memcmp(line.at, "HTTP/1.", 7) == 0 ? 0 : 505;
}

static int read_length(struct text value, bool *has_length, uint64_t *ret_len)
{
    uint64_t len = 0;
    if (value.len == 0 || value.len > 18)
        return 400;
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return 400;
        len = 10 * len + (uint64_t)(value.at[i] - '0');
    }
    if (*has_length && len != *ret_len)
        return 400;
    *has_length = true;
    *ret_len = len;
    return 0;
}

static int read_header(struct text line, const char *wanted, bool *has_length,
                       struct lithops__http_head *head)
{
    struct text name = take(&line, ':'), value = trimmed(line);
    if (!is_token(name) || memchr(value.at, '\0', value.len) || memchr(value.at, '\r', value.len))
        return 400;
    if (is(name, "content-length"))
        return read_length(value, has_length, &head->body_len);
    if (is(name, "transfer-encoding")) {
        head->is_chunked = is(value, "chunked");
        return head->is_chunked ? 0 : 501;
    }
    if (is(name, "expect"))
        head->wants_continue = is(value, "100-continue");
    if (!is(name, wanted))
        return 0;
    if (head->has_header || !copy(value, head->header, sizeof head->header))
        return 400;
    head->has_header = true;
    return 0;
}

int lithops__http_head_read(const char *bytes, size_t len, const char *name, uint64_t most_body,
                            struct lithops__http_head *ret_head)
{
    const char *end = memmem(bytes, len, "\r\n\r\n", 4);
    size_t head_len = end ? (size_t)(end - bytes) + 4 : len;
    if (head_len > LITHOPS__HTTP_HEAD_MAX)
        return 431;
    if (!end)
        return 0;
    *ret_head = (struct lithops__http_head){.len = head_len};
    struct text rest = {bytes, head_len - 4};
    bool has_length = false, is_first = true;
    do {
        struct text line = take(&rest, '\n');
        if (line.len && rest.len && line.at[line.len - 1] == '\r')
            line.len--; /* the last one has none */
        int status =
            is_first ? read_line(line, ret_head) : read_header(line, name, &has_length, ret_head);
        if (status != 0)
            return status;
        is_first = false;
    } while (rest.len);
    if (ret_head->is_chunked && (has_length || ret_head->is_old))
        return 400;
    if (!has_length && !ret_head->is_chunked && strcmp(ret_head->method, "POST") == 0)
        return 411;
    return ret_head->body_len > most_body ? 413 : 1;
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* 0: more is to come; 1: a chunk, the last of which is empty; or 400, 413 */
static int take_chunk(struct text *rest, uint64_t most, struct text *ret_data)
{
    enum { LINE_MAX = 256 };
    const char *end = memchr(rest->at, '\n', rest->len);
    uint64_t size = 0;
    size_t used = 0;
    if (!end)
        return rest->len > LINE_MAX ? 400 : 0;
    for (; digit_of(rest->at[used]) >= 0 && size <= most; used++)
        size = 16 * size + (unsigned)digit_of(rest->at[used]);
    if (size > most)
        return 413;
    if (used == 0 || !strchr("\r; \t", rest->at[used]))
        return 400;
    (void)take(rest, '\n');
    if (size > 0 && rest->len < size + 2)
        return 0;
    if (size > 0 && memcmp(rest->at + size, "\r\n", 2) != 0)
        return 400;
    *ret_data = (struct text){rest->at, (size_t)size};
    if (size > 0) {
        rest->at += size + 2;
        rest->len -= (size_t)size + 2;
    }
    return 1;
}

/* The empty line that ends it, after headers that say nothing. */
static bool has_ended(struct text rest)
{
    while (memchr(rest.at, '\n', rest.len)) {
        struct text line = take(&rest, '\n');
        if (line.len == 0 || (line.len == 1 && line.at[0] == '\r'))
            return true;
    }
    return false;
}

int lithops__http_chunks_read(char *bytes, size_t len, uint64_t most, size_t *ret_len)
{
    struct text rest = {bytes, len}, data;
    uint64_t total = 0;
    int status;
    do {
        status = take_chunk(&rest, most - total, &data);
        total += status == 1 ? data.len : 0;
    } while (status == 1 && data.len);
    if (status != 1 || !has_ended(rest))
        return status > 1 ? status : len > 8 * most + LITHOPS__HTTP_HEAD_MAX ? 413 : 0;
    rest = (struct text){bytes, len};
    *ret_len = 0;
    while (take_chunk(&rest, most, &data) == 1 && data.len) {
        memmove(bytes + *ret_len, data.at, data.len);
        *ret_len += data.len;
    }
    return 1;
}
