/* SPDX-License-Identifier: Apache-2.0 */
/* The parser works in place: an element's text is moved up where decoded references are shorter.
 * Names of open elements are kept as one path. */
#include "net/xml.h"

#include <lithops/error.h>

#include <stdlib.h>
#include <string.h>

enum { PATH_SIZE = 512 };

struct reader {
    char *at, *end;
    const struct lithops__xml_visitor *visitor;
    char path[PATH_SIZE];
    size_t starts[LITHOPS__XML_DEPTH]; /* of the names in path */
    unsigned depth;
    char *text; /* of the innermost element, NULL once it has held another */
    bool has_root;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool begins_with(const struct reader *reader, const char *what)
{
    size_t len = strlen(what);
    return (size_t)(reader->end - reader->at) >= len && memcmp(reader->at, what, len) == 0;
}

/* Skip past `what`; false if it does not occur. */
static bool skip_to(struct reader *reader, const char *what)
{
    char *found = memmem(reader->at, (size_t)(reader->end - reader->at), what, strlen(what));
    if (found)
        reader->at = found + strlen(what);
    return found != NULL;
}

static size_t put_utf8(unsigned long c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned char first[] = {0, 0xc0, 0xe0, 0xf0};
    out[0] = (char)(first[more] | (c >> (6 * more)));
    for (size_t i = 1; i <= more; i++)
        out[i] = (char)(0x80 | ((c >> (6 * (more - i))) & 0x3f));
    return more + 1;
}

/* Decode the reference at `in`, whose text is never longer than itself; 0: unknown. */
static size_t decode_reference(const char *in, const char *end, char *out, size_t *ret_used)
{
    static const struct {
        const char *name;
        char c;
    } named[] = {{"&lt;", '<'}, {"&gt;", '>'}, {"&amp;", '&'}, {"&quot;", '"'}, {"&apos;", '\''}};
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        size_t len = strlen(named[i].name);
        if ((size_t)(end - in) >= len && memcmp(in, named[i].name, len) == 0) {
            *out = named[i].c;
            *ret_used = len;
            return 1;
        }
    }
    const char *semicolon = memchr(in, ';', (size_t)(end - in) < 12 ? (size_t)(end - in) : 12);
    if (end - in < 4 || in[1] != '#' || !semicolon)
        return 0;
    bool hex = in[2] == 'x';
    char *stop;
    const char *digits = in + 2 + hex;
    if (*digits == '-' || *digits == '+' || is_blank(*digits))
        return 0;
    unsigned long c = strtoul(digits, &stop, hex ? 16 : 10);
    if (stop != semicolon || stop == digits || c == 0 || c > 0x10ffff ||
        (c >= 0xd800 && c < 0xe000))
        return 0;
    *ret_used = (size_t)(semicolon + 1 - in);
    return put_utf8(c, out);
}

static bool decode(char *text, size_t *len)
{
    char *out = text;
    const char *in = text, *end = text + *len;
    while (in < end) {
        if (*in != '&') {
            *out++ = *in++;
            continue;
        }
        char piece[4];
        size_t used, made = decode_reference(in, end, piece, &used);
        if (!made || made > used)
            return false;
        memcpy(out, piece, made);
        out += made;
        in += used;
    }
    *len = (size_t)(out - text);
    return true;
}

static bool open_element(struct reader *reader)
{
    char *name = reader->at;
    while (reader->at < reader->end && !is_blank(*reader->at) && !strchr("/>", *reader->at))
        reader->at++;
    size_t name_len = (size_t)(reader->at - name);
    size_t used = reader->depth ? strlen(reader->path) : 0;
    if (!name_len || memchr(name, '<', name_len) || memchr(name, '\0', name_len) ||
        reader->depth == LITHOPS__XML_DEPTH || used + name_len + 2 > PATH_SIZE ||
        (!reader->depth && reader->has_root))
        return false;
    char quote = 0;
    bool is_empty = false;
    for (; reader->at < reader->end && (quote || *reader->at != '>'); reader->at++) {
        if (quote)
            quote = *reader->at == quote ? 0 : quote;
        else if (*reader->at == '"' || *reader->at == '\'')
            quote = *reader->at;
        is_empty = !quote && *reader->at == '/';
    }
    if (reader->at == reader->end)
        return false;
    reader->at++;
    reader->starts[reader->depth++] = used;
    if (used)
        reader->path[used++] = '/';
    memcpy(reader->path + used, name, name_len);
    reader->path[used + name_len] = '\0';
    reader->has_root = true;
    if (reader->visitor->begin)
        reader->visitor->begin(reader->path, reader->visitor->user);
    reader->text = reader->at;
    if (is_empty) {
        if (reader->visitor->text)
            reader->visitor->text(reader->path, "", 0, reader->visitor->user);
        if (reader->visitor->end)
            reader->visitor->end(reader->path, reader->visitor->user);
        reader->path[reader->starts[--reader->depth]] = '\0';
        reader->text = NULL;
    }
    return true;
}

/* `start` is where its "</" begins. */
static bool close_element(struct reader *reader, char *start)
{
    if (!reader->depth)
        return false;
    size_t from = reader->starts[reader->depth - 1];
    const char *name = reader->path + from + (from > 0);
    size_t len = strlen(name);
    if ((size_t)(reader->end - reader->at) < len || memcmp(reader->at, name, len) != 0)
        return false;
    reader->at += len;
    while (reader->at < reader->end && is_blank(*reader->at))
        reader->at++;
    if (reader->at == reader->end || *reader->at != '>')
        return false;
    reader->at++;
    if (reader->text) {
        size_t text_len = (size_t)(start - reader->text);
        if (!decode(reader->text, &text_len))
            return false;
        reader->text[text_len] = '\0';
        if (reader->visitor->text)
            reader->visitor->text(reader->path, reader->text, text_len, reader->visitor->user);
    }
    reader->text = NULL;
    if (reader->visitor->end)
        reader->visitor->end(reader->path, reader->visitor->user);
    reader->path[from] = '\0';
    reader->depth--;
    return true;
}

static bool read_markup(struct reader *reader)
{
    char *start = reader->at;
    if (begins_with(reader, "<?"))
        return !reader->depth && skip_to(reader, "?>");
    if (begins_with(reader, "<!--"))
        return !reader->depth && skip_to(reader, "-->");
    if (begins_with(reader, "</")) {
        reader->at += 2;
        return close_element(reader, start);
    }
    reader->at++;
    return !begins_with(reader, "!") && open_element(reader);
}

int lithops__xml_read(char *document, size_t len, const struct lithops__xml_visitor *visitor)
{
    struct reader reader = {.at = document, .end = document + len, .visitor = visitor};
    if (len >= 3 && memcmp(document, "\xef\xbb\xbf", 3) == 0)
        reader.at += 3;
    while (reader.at < reader.end) {
        if (*reader.at == '<') {
            if (!read_markup(&reader))
                return LITHOPS_EPARSE;
        } else if (reader.depth || is_blank(*reader.at)) {
            reader.at++;
        } else {
            return LITHOPS_EPARSE;
        }
    }
    return reader.has_root && !reader.depth ? 0 : LITHOPS_EPARSE;
}
