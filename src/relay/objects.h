/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of the client, served to workers: separate threads answer the questions from links, since
 * a disk may be slow. */
#ifndef LITHOPS_RELAY_OBJECTS_H
#define LITHOPS_RELAY_OBJECTS_H

#include "relay/link.h"

struct lithops__objects;

/* All by the relay's thread. */
struct lithops__objects *lithops__objects_new(struct lithops__relay *relay);
void lithops__objects_free(struct lithops__objects *objects); /* NULL is fine */
int lithops__objects_asked(struct lithops__link *link, const struct lithops__frame *frame,
                           lithops_error *err);
/* Append the next answer for this link. False: there is none. */
bool lithops__objects_answer(struct lithops__link *link);
bool lithops__objects_has_answer(const struct lithops__link *link);
/* The link is lost: drop its questions and answers. */
void lithops__objects_drop(struct lithops__link *link);

#endif
