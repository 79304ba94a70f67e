/* SPDX-License-Identifier: Apache-2.0 */
/* The last of a link whose worker nothing ends but what it is told: BYE is in the storage, and the
 * worker has not read it, or may still write.
 *
 * A worker that was told BYE deletes what it has written, and then the object that has told it. So
 * as long as that is there somebody may come for it, and when it is gone nothing comes after. */
#ifndef LITHOPS_CARRIER_GOODBYE_H
#define LITHOPS_CARRIER_GOODBYE_H

#include "carrier/end.h"

struct lithops__goodbye {
    char link[LITHOPS__CARRIER_LINK];       /* "": there is none */
    char token[LITHOPS__CARRIER_TOKEN + 1]; /* "": its worker has said nothing yet */
    bool has_hello, is_unread;              /* as the last look has shown */
    uint64_t until_ns; /* nobody had read the hello, which is deleted: wait until then; 0: it was */
};

/* Write BYE for the worker with this token, as object `number` of what it is told. */
int lithops__goodbye_say(lithops_storage *storage, const char *folder, const char *link,
                         const char *token, uint32_t number);
/* BYE was said over `end`, which is finished: where it was written before the worker's token was
 * known, write it where the worker looks now. */
struct lithops__goodbye lithops__goodbye_of(const struct lithops__end *end, const char *folder,
                                            const char *link, const char *token);
/* A worker with this token has said hello, and was sent away. */
void lithops__goodbye_meet(struct lithops__goodbye *goodbyes, uint32_t count, const char *link,
                           size_t link_len, const char *token);
/* Whether there is one whose worker has come, and has not yet gone. A hello that nobody has read is
 * deleted, so that none comes any more; one that has read it in that moment has half a second to
 * say so. False, too, where the storage fails. */
bool lithops__goodbye_is_open(lithops_storage *storage, const char *folder,
                              struct lithops__goodbye *goodbyes, uint32_t count);

#endif
