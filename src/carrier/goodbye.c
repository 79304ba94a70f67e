/* SPDX-License-Identifier: Apache-2.0 */
#include "carrier/goodbye.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "wire/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t grace_ns = 500000000; /* from reading the hello to writing one */

struct look {
    struct lithops__goodbye *goodbyes;
    uint32_t count;
    size_t skip; /* bytes of keys */
};

int lithops__goodbye_say(lithops_storage *storage, const char *folder, const char *link,
                         const char *token, uint32_t number)
{
    char key[2 * LITHOPS__CARRIER_KEY];
    struct lithops__buffer bye = LITHOPS__BUFFER_INIT;
    snprintf(key, sizeof key, "%s/to/%s/%s/%010u", folder, link, token, number);
    lithops__frame_end(&bye, lithops__frame_begin(&bye, LITHOPS__MESSAGE_BYE, 0, 0));
    int rc = bye.failed ? LITHOPS_ENOMEM
                        : lithops_storage_put(storage, lithops_storage_bucket(storage), key,
                                              (lithops_bytes){bye.data, bye.len}, NULL);
    lithops__buffer_deinit(&bye);
    return rc;
}

struct lithops__goodbye lithops__goodbye_of(const struct lithops__end *end, const char *folder,
                                            const char *link, const char *token)
{
    const char *number = strrchr(end->last, '/');
    struct lithops__goodbye goodbye = {.link = ""};
    if (!number || end->broken.code)
        return goodbye;
    if (token[0] && strncmp(end->last, end->out, strlen(end->out)) != 0 &&
        lithops__goodbye_say(end->storage, folder, link, token,
                             (uint32_t)strtoul(number + 1, NULL, 10)) != 0)
        return goodbye;
    snprintf(goodbye.link, sizeof goodbye.link, "%s", link);
    snprintf(goodbye.token, sizeof goodbye.token, "%s", token);
    return goodbye;
}

static struct lithops__goodbye *find(struct lithops__goodbye *goodbyes, uint32_t count,
                                     const char *link, size_t len)
{
    unsigned long worker = strtoul(link, NULL, 10); /* its number comes first */
    struct lithops__goodbye *goodbye = worker < count ? &goodbyes[worker] : NULL;
    return goodbye && goodbye->link[0] && strlen(goodbye->link) == len &&
                   memcmp(goodbye->link, link, len) == 0
               ? goodbye
               : NULL;
}

void lithops__goodbye_meet(struct lithops__goodbye *goodbyes, uint32_t count, const char *link,
                           size_t link_len, const char *token)
{
    struct lithops__goodbye *goodbye = find(goodbyes, count, link, link_len);
    if (goodbye && !goodbye->token[0])
        snprintf(goodbye->token, sizeof goodbye->token, "%.*s", LITHOPS__CARRIER_TOKEN, token);
}

/* <link>/<token>/<number>, or <link>/hello/<number>. The first number of the latter is the hello
 * itself: nobody has come for it. */
static int note(const lithops_object_info *info, void *user)
{
    static const char hello[] = LITHOPS__CARRIER_HELLO "/";
    const struct look *look = user;
    const char *at = strlen(info->key) > look->skip ? info->key + look->skip : "";
    size_t len = strcspn(at, "/");
    struct lithops__goodbye *goodbye = find(look->goodbyes, look->count, at, len);
    if (!goodbye || !at[len])
        return 0;
    at += len + 1;
    if (goodbye->token[0])
        goodbye->is_unread |= strncmp(at, goodbye->token, strlen(goodbye->token)) == 0;
    else if (strncmp(at, hello, sizeof hello - 1) != 0)
        return 0;
    else if (strtoul(at + sizeof hello - 1, NULL, 10) == 0)
        goodbye->has_hello = true;
    else
        goodbye->is_unread = true;
    return 0;
}

static void take_hello_back(lithops_storage *storage, const char *folder,
                            struct lithops__goodbye *goodbye)
{
    char key[2 * LITHOPS__CARRIER_KEY];
    snprintf(key, sizeof key, "%s/to/%s/" LITHOPS__CARRIER_HELLO "/%010u", folder, goodbye->link,
             0u);
    (void)lithops_storage_delete(storage, lithops_storage_bucket(storage), key, NULL);
    if (goodbye->until_ns == 0)
        goodbye->until_ns = lithops__now_ns() + grace_ns;
}

bool lithops__goodbye_is_open(lithops_storage *storage, const char *folder,
                              struct lithops__goodbye *goodbyes, uint32_t count)
{
    char prefix[LITHOPS__CARRIER_KEY];
    struct look look = {goodbyes, count, 0};
    bool any = false;
    for (uint32_t i = 0; i < count; i++) {
        goodbyes[i].has_hello = goodbyes[i].is_unread = false;
        any |= goodbyes[i].link[0] != '\0';
    }
    look.skip = (size_t)snprintf(prefix, sizeof prefix, "%s/to/", folder);
    if (!any || lithops_storage_list(storage, lithops_storage_bucket(storage), prefix, note, &look,
                                     NULL) != 0)
        return false;
    any = false;
    for (uint32_t i = 0; i < count; i++) {
        struct lithops__goodbye *goodbye = &goodbyes[i];
        if (goodbye->has_hello)
            take_hello_back(storage, folder, goodbye);
        bool is_over =
            !goodbye->token[0] && goodbye->until_ns != 0 && lithops__now_ns() >= goodbye->until_ns;
        any |= (goodbye->is_unread || goodbye->has_hello) && !is_over;
    }
    return any;
}
