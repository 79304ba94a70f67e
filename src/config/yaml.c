/* SPDX-License-Identifier: Apache-2.0 */
/* The module "yaml": from libyaml's events to a tree of nodes.
 *
 * Design. libyaml's events are used, not its documents, which forget whether a scalar had a tag.
 * One recursive descent, bounded by depth and by the number of nodes, builds the tree. An anchor
 * is known from the end of its node on, so an alias inside its own anchor is an error and the tree
 * has no cycle; an alias hangs the same node into a second place. `<<` adds what the map does not
 * have itself, as PyYAML does.
 *
 * Not here: what a scalar means (scalar.c), which keys there are (config.c).
 *
 * Invariant: no message holds text of the document, which may be a password without quotes. */
#include "config/yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct anchor {
    char *name;
    const struct lithops__yaml_node *node;
};

struct reader {
    yaml_parser_t parser;
    const char *name, *text;
    size_t len;
    struct lithops__yaml_document *document;
    size_t node_count;
    struct anchor *anchors;
    size_t anchor_count;
    lithops_error *err; /* never NULL */
};

typedef struct lithops__yaml_node node;

static int fail_at(struct reader *r, yaml_mark_t mark, const char *what)
{
    *r->err = (lithops_error)LITHOPS_ERROR_INIT;
    snprintf(r->err->message, sizeof r->err->message, "%s:%zu:%zu: %s", r->name, mark.line + 1,
             mark.column + 1, what);
    return r->err->code = LITHOPS_ECONFIG;
}

static int out_of_memory(struct reader *r)
{
    *r->err = (lithops_error)LITHOPS_ERROR_INIT;
    snprintf(r->err->message, sizeof r->err->message, "%s: out of memory", r->name);
    return r->err->code = LITHOPS_ENOMEM;
}

/* For bytes that are not text, libyaml gives their offset alone. */
static yaml_mark_t mark_of_offset(const struct reader *r, size_t offset)
{
    yaml_mark_t mark = {0, 0, 0};
    for (size_t i = 0; i < offset && i < r->len; i++) {
        bool newline = r->text[i] == '\n';
        mark.line += newline;
        mark.column = newline ? 0 : mark.column + 1;
    }
    return mark;
}

static bool is_indented_by_tab(const struct reader *r, size_t line)
{
    const char *s = r->text, *end = r->text + r->len;
    for (; line > 0 && s; line--)
        if ((s = memchr(s, '\n', (size_t)(end - s))))
            s++;
    while (s && s < end && *s == ' ')
        s++;
    return s && s < end && *s == '\t';
}

/* Report libyaml's finding, with a remedy where one is known. */
static int fail_of_parser(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    char what[400];
    if (p->error == YAML_MEMORY_ERROR)
        return out_of_memory(r);
    const char *problem = p->problem ? p->problem : "cannot be read";
    if (p->error == YAML_READER_ERROR) {
        snprintf(what, sizeof what, "this is not a YAML text: %s", problem);
        return fail_at(r, mark_of_offset(r, p->problem_offset), what);
    }
    yaml_mark_t at = p->problem_mark;
    if (is_indented_by_tab(r, at.line))
        return fail_at(r, at, "a tab cannot indent; use blanks");
    if (p->context && p->context_mark.line != at.line)
        snprintf(what, sizeof what, "not valid YAML: %s %s that starts in line %zu", problem,
                 p->context, p->context_mark.line + 1);
    else
        snprintf(what, sizeof what, "not valid YAML: %s%s%s", problem, p->context ? " " : "",
                 p->context ? p->context : "");
    return fail_at(r, at, what);
}

static int next_event(struct reader *r, yaml_event_t *event)
{
    return yaml_parser_parse(&r->parser, event) ? 0 : fail_of_parser(r);
}

static node *new_node(struct reader *r, enum lithops__yaml_kind kind, yaml_mark_t mark)
{
    if (r->node_count >= LITHOPS__YAML_MAX_NODES) {
        fail_at(r, mark, "too many values for a configuration; is this the right file?");
        return NULL;
    }
    node *n = calloc(1, sizeof *n);
    if (!n) {
        out_of_memory(r);
        return NULL;
    }
    n->kind = kind;
    n->line = (unsigned)mark.line + 1;
    n->column = (unsigned)mark.column + 1;
    n->previous = r->document->nodes;
    r->document->nodes = n;
    r->node_count++;
    return n;
}

/* Room doubles at each power of two. */
static int push_item(struct reader *r, node *parent, node *item)
{
    if ((parent->count & (parent->count - 1)) == 0) {
        size_t room = parent->count ? 2 * parent->count : 1;
        node **items = realloc(parent->items, room * sizeof(node *));
        if (!items)
            return out_of_memory(r);
        parent->items = items;
    }
    parent->items[parent->count++] = item;
    return 0;
}

static int add_anchor(struct reader *r, const yaml_char_t *name, const node *n)
{
    if (!name)
        return 0;
    struct anchor *anchors = realloc(r->anchors, (r->anchor_count + 1) * sizeof *anchors);
    if (!anchors)
        return out_of_memory(r);
    r->anchors = anchors;
    anchors[r->anchor_count].node = n;
    anchors[r->anchor_count].name = strdup((const char *)name);
    return anchors[r->anchor_count++].name ? 0 : out_of_memory(r);
}

static node *find_anchor(struct reader *r, const yaml_char_t *name)
{
    for (size_t i = r->anchor_count; i > 0; i--) /* the latest of that name */
        if (strcmp(r->anchors[i - 1].name, (const char *)name) == 0)
            return (node *)r->anchors[i - 1].node;
    return NULL;
}

static bool map_has(const node *map, const node *key)
{
    for (size_t i = 0; i < map->count; i += 2)
        if (map->items[i]->len == key->len && memcmp(map->items[i]->text, key->text, key->len) == 0)
            return true;
    return false;
}

static yaml_mark_t mark_of(const node *n)
{
    return (yaml_mark_t){0, n->line - 1, n->column - 1};
}

/* `<<: *a` or `<<: [*a, *b]`: pairs whose key `map` has not; of two sources the first wins. */
static int merge(struct reader *r, node *map, const node *source)
{
    if (source->kind == LITHOPS__YAML_LIST) {
        for (size_t i = 0; i < source->count; i++) {
            if (source->items[i]->kind != LITHOPS__YAML_MAP)
                return fail_at(r, mark_of(source), "'<<' can only merge maps");
            int rc = merge(r, map, source->items[i]);
            if (rc != 0)
                return rc;
        }
        return 0;
    }
    if (source->kind != LITHOPS__YAML_MAP)
        return fail_at(r, mark_of(source), "'<<' can only merge maps");
    r->node_count += 1 + source->count; /* or merges of merges could take any time */
    if (r->node_count > LITHOPS__YAML_MAX_NODES)
        return fail_at(r, mark_of(source), "too many merged values for a configuration");
    for (size_t i = 0; i < source->count; i += 2) {
        if (map_has(map, source->items[i]))
            continue;
        int rc = push_item(r, map, source->items[i]);
        if (rc == 0 && (rc = push_item(r, map, source->items[i + 1])) != 0)
            map->count--; /* keys and values stay pairs */
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int read_node(struct reader *r, const yaml_event_t *event, unsigned depth, node **ret);

static int check_key(struct reader *r, const node *map, const node *key)
{
    if (key->kind != LITHOPS__YAML_SCALAR)
        return fail_at(r, mark_of(key), "a list or map cannot be a key");
    if (memchr(key->text, '\0', key->len))
        return fail_at(r, mark_of(key), "a key cannot hold a NUL byte");
    if (map_has(map, key))
        return fail_at(r, mark_of(key), "this key is there twice; keep one of the two");
    return 0;
}

/* The event that follows, as a node; *ret NULL at the end of the collection. */
static int read_next(struct reader *r, unsigned depth, node **ret)
{
    yaml_event_t event;
    int rc = next_event(r, &event);
    if (rc != 0)
        return rc;
    *ret = NULL;
    if (event.type != YAML_SEQUENCE_END_EVENT && event.type != YAML_MAPPING_END_EVENT)
        rc = read_node(r, &event, depth, ret);
    yaml_event_delete(&event);
    return rc;
}

static int read_list(struct reader *r, node *list, unsigned depth)
{
    node *item;
    int rc;
    while ((rc = read_next(r, depth, &item)) == 0 && item)
        if ((rc = push_item(r, list, item)) != 0)
            break;
    return rc;
}

static int read_map(struct reader *r, node *map, unsigned depth)
{
    node merges = {.kind = LITHOPS__YAML_LIST}; /* done last: the map's own keys win */
    node *key, *value;
    int rc;
    while ((rc = read_next(r, depth, &key)) == 0 && key) {
        if ((rc = check_key(r, map, key)) != 0 || (rc = read_next(r, depth, &value)) != 0)
            break;
        if (key->plain && strcmp(key->text, "<<") == 0) {
            rc = push_item(r, &merges, value);
        } else {
            rc = push_item(r, map, key);
            if (rc == 0 && (rc = push_item(r, map, value)) != 0)
                map->count--;
        }
        if (rc != 0)
            break;
    }
    for (size_t i = 0; rc == 0 && i < merges.count; i++)
        rc = merge(r, map, merges.items[i]);
    free(merges.items);
    return rc;
}

/* PyYAML's safe loader knows more tags; in a configuration only this one makes sense. */
static bool is_string_tag(const yaml_char_t *tag)
{
    return strcmp((const char *)tag, "!") == 0 || strcmp((const char *)tag, YAML_STR_TAG) == 0;
}

static int read_scalar(struct reader *r, const yaml_event_t *event, node **ret)
{
    const yaml_char_t *tag = event->data.scalar.tag;
    if (tag && !is_string_tag(tag))
        return fail_at(r, event->start_mark,
                       "tags other than !!str are not supported; put text that starts with '!' "
                       "in quotes");
    node *n = new_node(r, LITHOPS__YAML_SCALAR, event->start_mark);
    if (!n)
        return r->err->code;
    n->plain = !tag && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    n->len = event->data.scalar.length;
    n->text = malloc(n->len + 1);
    if (!n->text)
        return out_of_memory(r);
    memcpy(n->text, event->data.scalar.value, n->len);
    n->text[n->len] = '\0';
    *ret = n;
    return add_anchor(r, event->data.scalar.anchor, n);
}

static int read_collection(struct reader *r, const yaml_event_t *event, unsigned depth, node **ret)
{
    bool is_map = event->type == YAML_MAPPING_START_EVENT;
    const yaml_char_t *tag =
        is_map ? event->data.mapping_start.tag : event->data.sequence_start.tag;
    if (tag)
        return fail_at(r, event->start_mark, "tags on lists and maps are not supported");
    if (depth == LITHOPS__YAML_MAX_DEPTH)
        return fail_at(r, event->start_mark, "nested too deeply for a configuration");
    node *n = new_node(r, is_map ? LITHOPS__YAML_MAP : LITHOPS__YAML_LIST, event->start_mark);
    if (!n)
        return r->err->code;
    int rc = is_map ? read_map(r, n, depth + 1) : read_list(r, n, depth + 1);
    if (rc != 0)
        return rc;
    *ret = n;
    return add_anchor(
        r, is_map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor, n);
}

static int read_node(struct reader *r, const yaml_event_t *event, unsigned depth, node **ret)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(r, event, ret);
    case YAML_ALIAS_EVENT:
        *ret = find_anchor(r, event->data.alias.anchor);
        return *ret ? 0
                    : fail_at(r, event->start_mark,
                              "an alias (*) without an anchor (&) before it; put text that starts "
                              "with '*' in quotes");
    default:
        return read_collection(r, event, depth, ret);
    }
}

/* stream start, then for each document: start, root, end; stream end. */
static int read_document(struct reader *r)
{
    for (;;) {
        yaml_event_t event;
        int rc = next_event(r, &event);
        if (rc != 0)
            return rc;
        yaml_event_type_t type = event.type;
        if (type == YAML_DOCUMENT_START_EVENT && r->document->root)
            rc = fail_at(r, event.start_mark,
                         "a second document starts here; a configuration is one document");
        else if (type == YAML_SCALAR_EVENT || type == YAML_ALIAS_EVENT ||
                 type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT)
            rc = read_node(r, &event, 0, &r->document->root);
        yaml_event_delete(&event);
        if (rc != 0 || type == YAML_STREAM_END_EVENT)
            return rc;
    }
}

LITHOPS_PUBLIC int lithops__yaml_parse(const char *name, const char *text, size_t len,
                                       struct lithops__yaml_document *ret, lithops_error *err)
{
    lithops_error unasked = LITHOPS_ERROR_INIT;
    struct reader r = {
        .name = name, .text = text, .len = len, .document = ret, .err = err ? err : &unasked};
    *ret = (struct lithops__yaml_document){NULL, NULL};
    if (!yaml_parser_initialize(&r.parser))
        return out_of_memory(&r);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
    int rc = read_document(&r);
    yaml_parser_delete(&r.parser);
    for (size_t i = 0; i < r.anchor_count; i++)
        free(r.anchors[i].name);
    free(r.anchors);
    return rc;
}

LITHOPS_PUBLIC void lithops__yaml_free(struct lithops__yaml_document *document)
{
    while (document->nodes) {
        node *n = document->nodes;
        document->nodes = n->previous;
        free(n->text);
        free(n->items);
        free(n);
    }
    document->root = NULL;
}
