/* SPDX-License-Identifier: Apache-2.0 */
/* Azure Queue Storage. Requests are made and signed as those of the storage azure_storage; the
 * section, too, is the same but for the endpoint. The service does not wait with its answers. */
#include "base/error.h"
#include "broker/queue.h"
#include "net/xml.h"
#include "storage/backends/azure/azure.h"
#include "storage/drivers.h"

#include <stdlib.h>
#include <string.h>

/* 64 KiB of text at most, in base64. */
enum { LONGEST = 48 << 10 };
/* A message that was taken is not seen by others so long; one that nobody takes is gone then. */
#define VISIBLE_S "300"
#define LIFE_S "3600"

struct azure_queue {
    struct lithops__azure azure;
    struct lithops__credentials used; /* by the last request */
    bool is_open;
};

static lithops_storage_op op_of(lithops_error *err)
{
    static _Thread_local unsigned pause; /* never asked for when opening */
    return (lithops_storage_op){.deadline_ns = UINT64_MAX, .err = err, .retry_after_s = &pause};
}

/* The storage's section, with the endpoint of the queues. */
static lithops_value *storage_section(const lithops_value *settings, const char *account)
{
    lithops_value *section = lithops_value_copy(settings);
    const char *given = lithops_value_get_string(lithops_value_get(settings, "endpoint"));
    struct lithops__buffer endpoint = LITHOPS__BUFFER_INIT;
    if (!section || (given && *given))
        return section;
    lithops__buffer_printf(&endpoint, "https://%s.queue.core.windows.net", account);
    char *text = lithops__buffer_steal(&endpoint);
    if (text && lithops_value_set(section, "endpoint", lithops_value_string(text)) == 0) {
        free(text);
        return section;
    }
    free(text);
    lithops_value_free(section);
    return NULL;
}

static int azure_open(void *state, const lithops_value *settings, lithops_error *err)
{
    struct azure_queue *queue = state;
    const lithops_storage_op op = op_of(err);
    const char *account =
        lithops_value_get_string(lithops_value_get(settings, "storage_account_name"));
    if (!account || !*account)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "'monitoring: azure_queue' needs storage_account_name: set it in the "
                             "section 'azure_queue', 'azure_storage' or 'azure'");
    lithops_value *section = storage_section(settings, account);
    if (!section)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a broker");
    queue->azure.section = "azure_queue";
    queue->is_open = true; /* it is closed whatever comes */
    int rc = lithops__storage_azure.ops->open(&queue->azure, section, &op);
    lithops_value_free(section);
    return rc;
}

static void azure_close(void *state)
{
    struct azure_queue *queue = state;
    if (queue->is_open)
        lithops__storage_azure.ops->close(&queue->azure);
    lithops__credentials_deinit(&queue->used);
}

static const char *azure_where(const void *state)
{
    return ((const struct azure_queue *)state)->azure.endpoint;
}

/* ---- requests -------------------------------------------------------------------------------- */

/* "<id>\n<receipt>" of a message. False: out of memory. */
static bool split_receipt(const char *receipt, char **ret_key, const char **ret_receipt)
{
    struct lithops__buffer key = LITHOPS__BUFFER_INIT;
    const char *line = strchr(receipt, '\n');
    lithops__buffer_printf(&key, "messages/%.*s", (int)(line - receipt), receipt);
    *ret_receipt = line + 1;
    *ret_key = lithops__buffer_steal(&key);
    return *ret_key != NULL;
}

static int azure_ask(void *state, const struct lithops__queue_question *question,
                     const struct lithops__bounds *bounds, struct lithops__queue_request *out,
                     lithops_error *err)
{
    struct azure_queue *queue = state;
    struct lithops__azure *azure = &queue->azure;
    struct lithops__azure_request request = {.bucket = question->name};
    struct lithops__credentials now = {.expires = 0};
    char *key = NULL;
    bool good = true;
    switch (question->step) {
    case LITHOPS__QUEUE_RECEIVE:
        request.method = "GET";
        request.key = "messages";
        request.query[0] = (struct lithops__azure_parameter){"numofmessages", "32"};
        request.query[1] = (struct lithops__azure_parameter){"visibilitytimeout", VISIBLE_S};
        break;
    case LITHOPS__QUEUE_SEND:
        request.method = "POST";
        request.key = "messages";
        request.query[0] = (struct lithops__azure_parameter){"messagettl", LIFE_S};
        request.content_type = "application/xml";
        lithops__buffer_printf(&out->body,
                               "<QueueMessage><MessageText>%s</MessageText></QueueMessage>",
                               question->text);
        request.has_body = true;
        request.body = (lithops_bytes){out->body.data, out->body.len};
        break;
    case LITHOPS__QUEUE_FORGET:
        request.method = "DELETE";
        request.query[0].name = "popreceipt";
        good = split_receipt(question->receipts[0], &key, &request.query[0].value);
        request.key = key;
        break;
    case LITHOPS__QUEUE_LIST:
        request.method = "GET";
        request.bucket = "";
        request.query[0] = (struct lithops__azure_parameter){"comp", "list"};
        request.query[1] = question->after
                               ? (struct lithops__azure_parameter){"marker", question->after}
                               : (struct lithops__azure_parameter){"prefix", question->name};
        request.query[2].name = question->after ? "prefix" : NULL;
        request.query[2].value = question->name;
        break;
    case LITHOPS__QUEUE_DROP:
        request.method = "DELETE";
        break;
    default:
        request.method = "PUT";
        break;
    }
    int rc = azure->tokens ? lithops__credential_store_get(azure->tokens, bounds, &now, err) : 0;
    out->web.method = request.method;
    if (rc == 0 && (!good || !lithops__azure_prepare(azure, &request, now.bearer, &out->web)))
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a request to Azure");
    lithops__credentials_deinit(&queue->used);
    queue->used = now;
    free(key);
    return rc;
}

static bool azure_renew(void *state, const char *code, const char *header)
{
    const struct azure_queue *queue = state;
    (void)header;
    return queue->azure.tokens && strstr(code, "Authentication") &&
           lithops__credential_store_expire(queue->azure.tokens, &queue->used);
}

/* ---- answers --------------------------------------------------------------------------------- */

struct reading {
    const struct lithops__queue_reader *reader;
    struct lithops__buffer receipt; /* of the message, as far as it was read */
    char *text;                     /* in the document */
    bool is_one;                    /* what it should be has begun */
};

static void begin_element(const char *path, void *user)
{
    struct reading *reading = user;
    if (strcmp(path, "QueueMessagesList") == 0 || strcmp(path, "EnumerationResults") == 0)
        reading->is_one = true;
    if (strcmp(path, "QueueMessagesList/QueueMessage") == 0) {
        reading->receipt.len = 0;
        reading->text = NULL;
    }
}

static void read_text(const char *path, const char *text, size_t len, void *user)
{
    struct reading *reading = user;
    const struct lithops__queue_reader *reader = reading->reader;
    if (strcmp(path, "QueueMessagesList") == 0)
        reading->is_one = true; /* an empty list */
    else if (strcmp(path, "QueueMessagesList/QueueMessage/MessageId") == 0)
        lithops__buffer_printf(&reading->receipt, "%s\n", text);
    else if (strcmp(path, "QueueMessagesList/QueueMessage/PopReceipt") == 0)
        lithops__buffer_append(&reading->receipt, text, len + 1);
    else if (strcmp(path, "QueueMessagesList/QueueMessage/MessageText") == 0)
        reading->text = (char *)text; /* which is ours */
    else if (strcmp(path, "EnumerationResults/Queues/Queue/Name") == 0 && reader->name)
        reader->name(text, reader->user);
    else if (strcmp(path, "EnumerationResults/NextMarker") == 0 && reader->after)
        reader->after(text, reader->user);
}

/* A message without a receipt cannot be deleted; it comes again. */
static void end_element(const char *path, void *user)
{
    struct reading *reading = user;
    const char *receipt = (const char *)reading->receipt.data;
    bool is_message = strcmp(path, "QueueMessagesList/QueueMessage") == 0 && reading->text &&
                      reading->receipt.len && !reading->receipt.failed &&
                      receipt[reading->receipt.len - 1] == '\0' && strchr(receipt, '\n');
    if (is_message && reading->reader->message)
        reading->reader->message(reading->text, receipt, reading->reader->user);
}

static bool azure_read(void *state, enum lithops__queue_step step, char *text, size_t len,
                       const struct lithops__queue_reader *reader)
{
    struct reading reading = {.reader = reader, .receipt = LITHOPS__BUFFER_INIT};
    const struct lithops__xml_visitor visitor = {begin_element, end_element, read_text, &reading};
    (void)state;
    if (step == LITHOPS__QUEUE_MAKE)
        return true;
    int rc = lithops__xml_read(text, len, &visitor);
    lithops__buffer_deinit(&reading.receipt);
    return rc == 0 && reading.is_one;
}

static void azure_explain(const char *header, const char *text, char ret_code[LITHOPS__QUEUE_CODE])
{
    (void)text;
    snprintf(ret_code, LITHOPS__QUEUE_CODE, "%.*s", LITHOPS__QUEUE_CODE - 1, header);
}

static const struct lithops__web_code codes[] = {
    {"QueueNotFound", LITHOPS_ENOTFOUND, false, NULL},
    {"MessageNotFound", LITHOPS_ENOTFOUND, false, NULL},
    {"PopReceiptMismatch", LITHOPS_ENOTFOUND, false, NULL},
    {"QueueAlreadyExists", LITHOPS_EEXIST, false, NULL},
    {"QueueBeingDeleted", LITHOPS_EBACKEND, true, NULL},
    {"AuthenticationFailed", LITHOPS_EDENIED, false,
     "; check the account's name and key, or the token, and this machine's clock"},
    {"InvalidAuthenticationInfo", LITHOPS_EDENIED, false,
     "; check the account's name and key, or the token, which may have expired"},
    {"AuthorizationServiceMismatch", LITHOPS_EDENIED, false,
     "; the SAS is not for queues: its 'ss' must have 'q' in it"},
    {"ServerBusy", LITHOPS_ETHROTTLED, true, NULL},
    {"InternalError", LITHOPS_EBACKEND, true, NULL},
    {"OperationTimedOut", LITHOPS_EBACKEND, true, NULL},
    {.code = NULL},
};

#define NEEDS(letter_) ("of the role Storage Queue Data Contributor, or '" letter_ "' in the SAS")

const struct lithops__queue_service lithops__queue_azure_queue = {
    .name = "azure_queue",
    .state_size = sizeof(struct azure_queue),
    .receipts = 1,
    .wanted = "x-ms-error-code",
    .codes = codes,
    .needs = {[LITHOPS__QUEUE_MAKE] = NEEDS("c"),
              [LITHOPS__QUEUE_RECEIVE] = NEEDS("p"),
              [LITHOPS__QUEUE_SEND] = NEEDS("a"),
              [LITHOPS__QUEUE_FORGET] = NEEDS("p"),
              [LITHOPS__QUEUE_DROP] = NEEDS("d"),
              [LITHOPS__QUEUE_LIST] = NEEDS("l")},
    .open = azure_open,
    .close = azure_close,
    .where = azure_where,
    .ask = azure_ask,
    .read = azure_read,
    .explain = azure_explain,
    .renew = azure_renew,
};

LITHOPS__QUEUE_DRIVER(azure_queue, LONGEST, "azure_storage", "azure")
