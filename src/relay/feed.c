/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/feed.h"

#include "relay/link.h"

#include <stdlib.h>

void lithops__feed_remove(struct lithops__link *link, struct lithops__feed **at)
{
    struct lithops__feed *feed = *at;
    *at = feed->next;
    link->feed_count--;
    free(feed);
}

void lithops__feed_end(struct lithops__link *link, uint32_t activation)
{
    struct lithops__feed **at = &link->feeds;
    while (*at && (*at)->activation != activation)
        at = &(*at)->next;
    if (*at)
        lithops__feed_remove(link, at);
}
