/* SPDX-License-Identifier: Apache-2.0 */
/* YAML text as a tree that remembers lines. In the module "yaml", so that only a program with a
 * configuration to read loads libyaml.
 *
 * The tree is plain data, without values of the engine: a module cannot call back into it. Aliases
 * and merges (`<<`) are resolved, so a node can hang in several places of the tree, never in
 * itself. */
#ifndef LITHOPS_CONFIG_YAML_H
#define LITHOPS_CONFIG_YAML_H

#include <lithops/error.h>

enum lithops__yaml_kind { LITHOPS__YAML_SCALAR, LITHOPS__YAML_LIST, LITHOPS__YAML_MAP };

struct lithops__yaml_node {
    enum lithops__yaml_kind kind;
    bool plain;            /* a scalar without quotes and tag: its text decides its type */
    unsigned line, column; /* where it starts, from 1 */
    char *text;            /* of a scalar: UTF-8, NUL-terminated */
    size_t len;            /* bytes of text */
    struct lithops__yaml_node **items;   /* list: items; map: key, value, key, value, ...; keys are
                                            scalars without NUL bytes, each once */
    size_t count;                        /* of items */
    struct lithops__yaml_node *previous; /* all nodes, for freeing them */
};

/* Sizes that no configuration has; they bound time and memory on hostile text. */
enum { LITHOPS__YAML_MAX_NODES = 10000, LITHOPS__YAML_MAX_DEPTH = 32 };

struct lithops__yaml_document {
    struct lithops__yaml_node *root; /* NULL: nothing but blanks and comments */
    struct lithops__yaml_node *nodes;
};

/* Symbols of the module. Parsing gives 0, or LITHOPS_ECONFIG with "<name>:<line>:<column>: what is
 * wrong"; messages never hold text of the document. Free in every case. */
typedef int lithops__yaml_parse_function(const char *name, const char *text, size_t len,
                                         struct lithops__yaml_document *ret, lithops_error *err);
typedef void lithops__yaml_free_function(struct lithops__yaml_document *document);
lithops__yaml_parse_function lithops__yaml_parse;
lithops__yaml_free_function lithops__yaml_free;

#endif
