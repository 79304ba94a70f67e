/* SPDX-License-Identifier: Apache-2.0 */
/* Amazon SQS, by its JSON protocol. Credentials are those that AWS's tools would find, as for the
 * storage aws_s3. A queue is named by a URL, which the service gives when it is made or listed:
 * those of other queues of the account differ from it in the last part alone. */
#include "base/error.h"
#include "base/module.h"
#include "broker/queue.h"
#include "net/aws_chain.h"
#include "net/http.h"
#include "net/sign.h"
#include "net/skew.h"

#include <stdlib.h>
#include <string.h>

enum { REGION = 64, WAIT_S = 20, RECEIPTS = 10 };
enum { SKEW_S = 240 }; /* signatures are good for five minutes at least */
/* A message that was taken is not seen by others so long; one that nobody takes is gone then. */
#define VISIBLE_S "300"
#define LIFE_S "3600"

struct aws_sqs {
    const struct lithops__crypto_api *crypto;
    struct lithops__credential_store *credentials;
    struct lithops__credentials used; /* by the last request */
    struct lithops__skew skew;
    char region[REGION];
    char *endpoint; /* without '/' at its end */
    char *base;     /* the URL of a queue without its name; NULL: none is known yet */
};

static int fail_memory(lithops_error *err)
{
    return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a request to Amazon SQS");
}

static const char *text_of(const lithops_value *settings, const char *name)
{
    const char *text = lithops_value_get_string(lithops_value_get(settings, name));
    return text && *text ? text : NULL;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int find_region(struct aws_sqs *sqs, const lithops_value *settings, lithops_error *err)
{
    const char *region = text_of(settings, "region");
    region = region ? region : text_of(settings, "region_name");
    if (region && strlen(region) < sizeof sqs->region)
        snprintf(sqs->region, sizeof sqs->region, "%s", region);
    else if (!region)
        lithops__aws_region(sqs->region, sizeof sqs->region);
    if (!sqs->region[0])
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "'monitoring: aws_sqs' needs a region: set it in the section "
                             "'aws_sqs' or 'aws'");
    return strpbrk(sqs->region, "\r\n/")
               ? lithops__fail(err, LITHOPS_ECONFIG,
                               "the region of 'aws_sqs' contains an invalid character")
               : 0;
}

static int find_endpoint(struct aws_sqs *sqs, const lithops_value *settings, lithops_error *err)
{
    struct lithops__buffer text = LITHOPS__BUFFER_INIT;
    const char *given = text_of(settings, "endpoint");
    given = given ? given : lithops__environment("AWS_ENDPOINT_URL_SQS");
    given = given ? given : lithops__environment("AWS_ENDPOINT_URL");
    size_t len = given ? strlen(given) : 0;
    while (len && given[len - 1] == '/')
        len--;
    if (given)
        lithops__buffer_append(&text, given, len);
    else
        lithops__buffer_printf(&text, "https://sqs.%s.amazonaws.com", sqs->region);
    sqs->endpoint = lithops__buffer_steal(&text);
    if (!sqs->endpoint)
        return fail_memory(err);
    return strncmp(sqs->endpoint, "http://", 7) == 0 || strncmp(sqs->endpoint, "https://", 8) == 0
               ? 0
               : lithops__fail(err, LITHOPS_ECONFIG,
                               "the endpoint of 'aws_sqs' must begin with http:// or https://");
}

static int find_credentials(struct aws_sqs *sqs, const lithops_value *settings,
                            const struct lithops__transfer_api *http, lithops_error *err)
{
    const char *access_key = text_of(settings, "access_key_id"),
               *secret_key = text_of(settings, "secret_access_key");
    if (!access_key && !secret_key)
        return lithops__aws_chain_open(http, sqs->crypto, sqs->region, &sqs->credentials, err);
    if (!access_key || !secret_key || strpbrk(access_key, "\r\n"))
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "'aws_sqs' needs access_key_id and secret_access_key, or neither: "
                             "then they are what AWS's tools would use");
    sqs->credentials =
        lithops__credential_store_of(access_key, secret_key, text_of(settings, "session_token"));
    return sqs->credentials ? 0 : fail_memory(err);
}

static int sqs_open(void *state, const lithops_value *settings, lithops_error *err)
{
    struct aws_sqs *sqs = state;
    const struct lithops__http_api *http = lithops__module_symbol("http", "lithops__http", err);
    sqs->crypto = http ? lithops__module_symbol("crypto", "lithops__crypto", err) : NULL;
    if (!sqs->crypto)
        return LITHOPS_EUNSUPPORTED;
    int rc = find_region(sqs, settings, err);
    if (rc == 0)
        rc = find_endpoint(sqs, settings, err);
    return rc ? rc : find_credentials(sqs, settings, &http->transfer, err);
}

static void sqs_close(void *state)
{
    struct aws_sqs *sqs = state;
    lithops__credential_store_free(sqs->credentials);
    lithops__credentials_deinit(&sqs->used);
    free(sqs->endpoint);
    free(sqs->base);
}

static const char *sqs_where(const void *state)
{
    return ((const struct aws_sqs *)state)->endpoint;
}

/* ---- requests -------------------------------------------------------------------------------- */

static const char *const actions[LITHOPS__QUEUE_STEPS] = {
    [LITHOPS__QUEUE_MAKE] = "CreateQueue",          [LITHOPS__QUEUE_RECEIVE] = "ReceiveMessage",
    [LITHOPS__QUEUE_SEND] = "SendMessage",          [LITHOPS__QUEUE_DROP] = "DeleteQueue",
    [LITHOPS__QUEUE_FORGET] = "DeleteMessageBatch", [LITHOPS__QUEUE_LIST] = "ListQueues",
    [LITHOPS__QUEUE_FIND] = "GetQueueUrl",
};

static lithops_value *list_receipts(const struct lithops__queue_question *question)
{
    lithops_value *list = lithops_value_list();
    int rc = list ? 0 : LITHOPS_ENOMEM;
    for (size_t i = 0; rc == 0 && i < question->count; i++) {
        char id[] = {(char)('0' + i), '\0'};
        rc = lithops_value_append(
            list, lithops_pack("{s:s,s:s}", "Id", id, "ReceiptHandle", question->receipts[i]));
    }
    if (rc == 0)
        return list;
    lithops_value_free(list);
    return NULL;
}

/* What is asked, without the queue's URL. NULL: out of memory. */
static lithops_value *write_question(const struct lithops__queue_question *question)
{
    lithops_value *receipts;
    switch (question->step) {
    case LITHOPS__QUEUE_MAKE:
        return lithops_pack("{s:s,s:{s:s,s:s}}", "QueueName", question->name, "Attributes",
                            "MessageRetentionPeriod", LIFE_S, "VisibilityTimeout", VISIBLE_S);
    case LITHOPS__QUEUE_FIND:
        return lithops_pack("{s:s}", "QueueName", question->name);
    case LITHOPS__QUEUE_RECEIVE:
        return lithops_pack("{s:i,s:i}", "MaxNumberOfMessages", 10, "WaitTimeSeconds", WAIT_S);
    case LITHOPS__QUEUE_SEND:
        return lithops_pack("{s:s}", "MessageBody", question->text);
    case LITHOPS__QUEUE_FORGET:
        receipts = list_receipts(question);
        return receipts ? lithops_pack("{s:o}", "Entries", receipts) : NULL;
    case LITHOPS__QUEUE_LIST:
        return question->after ? lithops_pack("{s:s,s:i,s:s}", "QueueNamePrefix", question->name,
                                              "MaxResults", 1000, "NextToken", question->after)
                               : lithops_pack("{s:s,s:i}", "QueueNamePrefix", question->name,
                                              "MaxResults", 1000);
    default:
        return lithops_value_map();
    }
}

static bool write_body(const struct aws_sqs *sqs, const struct lithops__queue_question *question,
                       struct lithops__buffer *out)
{
    bool is_of_all = question->step == LITHOPS__QUEUE_MAKE ||
                     question->step == LITHOPS__QUEUE_FIND || question->step == LITHOPS__QUEUE_LIST;
    lithops_value *value = write_question(question);
    struct lithops__buffer url = LITHOPS__BUFFER_INIT;
    char *text = NULL;
    lithops__buffer_printf(&url, "%s%s", sqs->base ? sqs->base : "", question->name);
    char *name = lithops__buffer_steal(&url);
    bool good =
        value && name &&
        (is_of_all || lithops_value_set(value, "QueueUrl", lithops_value_string(name)) == 0) &&
        lithops_value_to_json(value, &text, NULL) == 0;
    lithops_value_free(value);
    if (good)
        lithops__buffer_append_string(out, text);
    free(text);
    free(name);
    return good && !out->failed;
}

static bool sign(const struct aws_sqs *sqs, const struct lithops__credentials *credentials,
                 struct lithops__queue_request *out)
{
    char date[LITHOPS__AMZ_DATE], hash[LITHOPS__HEX_HASH];
    struct lithops__buffer value = LITHOPS__BUFFER_INIT;
    lithops__amz_date(lithops__skew_time(&sqs->skew), date);
    bool good =
        lithops__hex_sha256(sqs->crypto, (lithops_bytes){out->body.data, out->body.len}, hash) ==
            0 &&
        lithops__web_add_header(&out->web, "x-amz-date", date) &&
        lithops__web_add_header(&out->web, "x-amz-security-token", credentials->session_token);
    const struct lithops__sign_key key = {.access_key = credentials->access_key,
                                          .secret_key = credentials->secret_key,
                                          .region = sqs->region,
                                          .service = "sqs"};
    const struct lithops__sign_request request = {.method = "POST",
                                                  .path = "/",
                                                  .query = "",
                                                  .headers = out->web.headers,
                                                  .payload_hash = hash};
    out->web.headers[out->web.count] = NULL;
    good = good && lithops__sign(sqs->crypto, &key, &request, date, &value) == 0;
    char *text = lithops__buffer_steal(&value);
    good = good && text && lithops__web_add_header(&out->web, "authorization", text);
    free(text);
    return good;
}

static int sqs_ask(void *state, const struct lithops__queue_question *question,
                   const struct lithops__bounds *bounds, struct lithops__queue_request *out,
                   lithops_error *err)
{
    struct aws_sqs *sqs = state;
    struct lithops__credentials now = {.expires = 0};
    char target[64];
    int rc = lithops__credential_store_get(sqs->credentials, bounds, &now, err);
    if (rc)
        return rc;
    const char *host = strstr(sqs->endpoint, "://") + 3;
    struct lithops__buffer url = LITHOPS__BUFFER_INIT;
    lithops__buffer_printf(&url, "%s/", sqs->endpoint);
    snprintf(target, sizeof target, "AmazonSQS.%s", actions[question->step]);
    out->web.method = "POST";
    out->web.url = lithops__buffer_steal(&url);
    bool good = out->web.url && write_body(sqs, question, &out->body) &&
                lithops__web_add_header(&out->web, "content-type", "application/x-amz-json-1.0") &&
                lithops__web_add_header(&out->web, "host", host) &&
                lithops__web_add_header(&out->web, "x-amz-target", target) && sign(sqs, &now, out);
    lithops__credentials_deinit(&sqs->used);
    sqs->used = now;
    return good ? 0 : fail_memory(err);
}

/* Some of these codes mean a wrong key as well: so it is the date that tells. */
static bool is_of_time(const char *code)
{
    static const char *const known[] = {"RequestExpired",        "RequestTimeTooSkewed",
                                        "RequestInTheFuture",    "InvalidSignatureException",
                                        "SignatureDoesNotMatch", "AuthFailure"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(code, known[i]) == 0)
            return true;
    return false;
}

static bool sqs_renew(void *state, const char *code, const char *header)
{
    struct aws_sqs *sqs = state;
    if (is_of_time(code))
        return lithops__skew_correct(&sqs->skew, header, SKEW_S, "broker", "aws_sqs");
    return (strstr(code, "Token") || strstr(code, "UnrecognizedClient")) &&
           lithops__credential_store_expire(sqs->credentials, &sqs->used);
}

/* ---- answers --------------------------------------------------------------------------------- */

/* What is in front of its name. */
static bool keep_base(struct aws_sqs *sqs, const char *url)
{
    const char *slash = url ? strrchr(url, '/') : NULL;
    char *base = slash ? strndup(url, (size_t)(slash + 1 - url)) : NULL;
    if (!base)
        return false;
    free(sqs->base);
    sqs->base = base;
    return true;
}

static bool read_messages(const lithops_value *document, const struct lithops__queue_reader *reader)
{
    const lithops_value *messages = lithops_value_get(document, "Messages");
    for (size_t i = 0; i < lithops_value_size(messages); i++) {
        const lithops_value *message = lithops_value_at(messages, i);
        const char *body = lithops_value_get_string(lithops_value_get(message, "Body")),
                   *receipt = lithops_value_get_string(lithops_value_get(message, "ReceiptHandle"));
        char *text = body && receipt ? strdup(body) : NULL;
        if (text && reader->message)
            reader->message(text, receipt, reader->user);
        free(text);
    }
    return lithops_value_type(document) == LITHOPS_MAP;
}

static bool read_names(struct aws_sqs *sqs, const lithops_value *document,
                       const struct lithops__queue_reader *reader)
{
    const lithops_value *urls = lithops_value_get(document, "QueueUrls");
    const char *after = lithops_value_get_string(lithops_value_get(document, "NextToken"));
    for (size_t i = 0; i < lithops_value_size(urls); i++) {
        const char *url = lithops_value_get_string(lithops_value_at(urls, i));
        if (!keep_base(sqs, url))
            return false;
        if (reader->name)
            reader->name(strrchr(url, '/') + 1, reader->user);
    }
    if (after && reader->after)
        reader->after(after, reader->user);
    return lithops_value_type(document) == LITHOPS_MAP;
}

static bool sqs_read(void *state, enum lithops__queue_step step, char *text, size_t len,
                     const struct lithops__queue_reader *reader)
{
    struct aws_sqs *sqs = state;
    lithops_value *document = lithops_value_from_json(text, len, NULL);
    bool good = false;
    if (step == LITHOPS__QUEUE_RECEIVE)
        good = read_messages(document, reader);
    else if (step == LITHOPS__QUEUE_LIST)
        good = read_names(sqs, document, reader);
    else
        good = keep_base(sqs, lithops_value_get_string(lithops_value_get(document, "QueueUrl")));
    lithops_value_free(document);
    return good;
}

/* "com.amazonaws.sqs#QueueDoesNotExist" in JSON; what stands before the service may answer with its
 * code in XML. */
static void sqs_explain(const char *header, const char *text, char ret_code[LITHOPS__QUEUE_CODE])
{
    (void)header;
    lithops_value *document = lithops_value_from_json(text, strlen(text), NULL);
    const char *type = lithops_value_get_string(lithops_value_get(document, "__type"));
    const char *mark = type ? strchr(type, '#') : NULL, *xml = strstr(text, "<Code>");
    snprintf(ret_code, LITHOPS__QUEUE_CODE, "%s", mark ? mark + 1 : type ? type : "");
    if (!type && xml) {
        xml += sizeof "<Code>" - 1;
        size_t len = strcspn(xml, "<");
        snprintf(ret_code, LITHOPS__QUEUE_CODE, "%.*s",
                 len < LITHOPS__QUEUE_CODE ? (int)len : LITHOPS__QUEUE_CODE - 1, xml);
    }
    lithops_value_free(document);
}

#define CHECK_KEYS "; check access_key_id and secret_access_key"
#define EXPIRED "; the credentials have expired"

static const struct lithops__web_code codes[] = {
    {"QueueDoesNotExist", LITHOPS_ENOTFOUND, false, NULL},
    {"AWS.SimpleQueueService.NonExistentQueue", LITHOPS_ENOTFOUND, false, NULL},
    {"QueueDeletedRecently", LITHOPS_EBACKEND, true,
     "; a queue of the same name can be made again after a minute"},
    {"AWS.SimpleQueueService.QueueDeletedRecently", LITHOPS_EBACKEND, true,
     "; a queue of the same name can be made again after a minute"},
    {"QueueNameExists", LITHOPS_EEXIST, false, NULL},
    {"AccessDenied", LITHOPS_EDENIED, false, NULL},
    {"AccessDeniedException", LITHOPS_EDENIED, false, NULL},
    {"InvalidClientTokenId", LITHOPS_EDENIED, false, CHECK_KEYS},
    {"UnrecognizedClientException", LITHOPS_EDENIED, false, CHECK_KEYS},
    {"SignatureDoesNotMatch", LITHOPS_EDENIED, false, CHECK_KEYS ", and this machine's clock"},
    {"InvalidSignatureException", LITHOPS_EDENIED, false, CHECK_KEYS ", and this machine's clock"},
    {"RequestExpired", LITHOPS_EDENIED, false, "; set this machine's clock"},
    {"ExpiredToken", LITHOPS_EDENIED, false, EXPIRED},
    {"ExpiredTokenException", LITHOPS_EDENIED, false, EXPIRED},
    {"RequestThrottled", LITHOPS_ETHROTTLED, true, NULL},
    {"ThrottlingException", LITHOPS_ETHROTTLED, true, NULL},
    {.code = NULL},
};

const struct lithops__queue_service lithops__queue_aws_sqs = {
    .name = "aws_sqs",
    .state_size = sizeof(struct aws_sqs),
    .has_urls = true,
    .wanted = "Date",
    .wait_s = WAIT_S,
    .receipts = RECEIPTS,
    .codes = codes,
    .needs = {[LITHOPS__QUEUE_MAKE] = "sqs:CreateQueue",
              [LITHOPS__QUEUE_FIND] = "sqs:GetQueueUrl",
              [LITHOPS__QUEUE_RECEIVE] = "sqs:ReceiveMessage",
              [LITHOPS__QUEUE_SEND] = "sqs:SendMessage",
              [LITHOPS__QUEUE_FORGET] = "sqs:DeleteMessage",
              [LITHOPS__QUEUE_DROP] = "sqs:DeleteQueue",
              [LITHOPS__QUEUE_LIST] = "sqs:ListQueues"},
    .open = sqs_open,
    .close = sqs_close,
    .where = sqs_where,
    .ask = sqs_ask,
    .read = sqs_read,
    .explain = sqs_explain,
    .renew = sqs_renew,
};

LITHOPS__QUEUE_DRIVER(aws_sqs, 0, "aws")
