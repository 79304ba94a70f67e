/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzer of what the queues of clouds answer: messages, lists, errors. The first byte says of which
 * service, and of which request. */
#include "broker/queue.h"
#include "net/sign.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static size_t seen;

static void take(char *text, const char *receipt, void *user)
{
    (void)user;
    seen += lithops__base64_decode(text) + strlen(receipt);
}

static void note(const char *text, void *user)
{
    (void)user;
    seen += strlen(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct lithops__queue_service *const services[] = {
        &lithops__queue_azure_queue, &lithops__queue_aws_sqs, &lithops__queue_gcp_pubsub};
    static const enum lithops__queue_step steps[] = {LITHOPS__QUEUE_MAKE, LITHOPS__QUEUE_RECEIVE,
                                                     LITHOPS__QUEUE_LIST};
    const struct lithops__queue_reader reader = {take, note, note, NULL};
    char code[LITHOPS__QUEUE_CODE];
    if (size == 0)
        return 0;
    const struct lithops__queue_service *service = services[data[0] % 3];
    void *state = calloc(1, service->state_size);
    char *text = malloc(size);
    if (!state || !text)
        abort();
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0'; /* as posts end it */
    service->explain(text, text, code);
    (void)service->read(state, steps[data[0] / 3 % 3], text, size - 1, &reader);
    service->close(state);
    free(text);
    free(state);
    return 0;
}
