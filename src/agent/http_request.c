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
    if (is(name, "transfer-encoding"))
        return 501;
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
    if (!has_length && strcmp(ret_head->method, "POST") == 0)
        return 411;
    return ret_head->body_len > most_body ? 413 : 1;
}
