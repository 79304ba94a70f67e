/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the XML of AWS's answers: a visitor is called for each element that holds text.
 *
 * Those documents are elements in elements with text in the innermost. This reads nothing else:
 * attributes are skipped; a document type, a CDATA section and anything unknown are errors, so only
 * XML's five entities and character references are ever expanded. */
#ifndef LITHOPS_NET_XML_H
#define LITHOPS_NET_XML_H

#include <lithops/base.h>

enum { LITHOPS__XML_DEPTH = 16 };

struct lithops__xml_visitor {
    /* A beginning or an end of an element; `path` as in "ListBucketResult/Contents". May be NULL.
     */
    void (*begin)(const char *path, void *user);
    void (*end)(const char *path, void *user);
    /* The text of an element that holds no others, "" too; a NUL follows its `len` bytes. */
    void (*text)(const char *path, const char *text, size_t len, void *user);
    void *user;
};

/* `document` is changed: text is decoded in place. 0 or LITHOPS_EPARSE. A document that ends early
 * is an error, but its beginning was visited. */
int lithops__xml_read(char *document, size_t len, const struct lithops__xml_visitor *visitor);

#endif
