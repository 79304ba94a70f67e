/* SPDX-License-Identifier: Apache-2.0 */
/* Machines of Amazon EC2, by its Query API: forms that are posted, and answers in XML.
 *
 * The endpoint is the region's, unless the key `endpoint` or AWS_ENDPOINT_URL_EC2 names another
 * one. Credentials are those of the section, or of the section `aws`, or where AWS's tools find
 * them. */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "compute/aws.h"
#include "compute/backends/machines/machines.h"
#include "net/sign.h"
#include "net/xml.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define API_VERSION "2016-11-15"
#define CANONICAL "099720109477" /* who makes Ubuntu, at Amazon */

enum { PAGE = 100, NAME = 128 };

struct image {
    char id[NAME], date[32], machine[16], root[64];
};

struct ec2 {
    struct lithops__web web;
    struct lithops__credential_store *credentials;
    const lithops_value *settings;
    struct lithops__aws_place place;
    pthread_mutex_t lock;
    struct image image; /* under lock; its id is "": not looked for yet */
};

static const char *text_of(const struct ec2 *ec2, const char *key)
{
    const char *text = lithops_value_get_string(lithops_value_get(ec2->settings, key));
    return text && *text ? text : NULL;
}

static const char *first_of(const struct ec2 *ec2, const char *key, const char *older,
                            const char *otherwise)
{
    const char *text = text_of(ec2, key);
    text = text || !older ? text : text_of(ec2, older);
    return text ? text : otherwise;
}

static bool is_on(const struct ec2 *ec2, const char *key)
{
    return lithops_value_get_bool(lithops_value_get(ec2->settings, key));
}

/* ---- opening --------------------------------------------------------------------------------- */

static const struct lithops__aws_service service = {"ec2", "Amazon EC2", "aws_ec2",
                                                    "AWS_ENDPOINT_URL_EC2"};

static int ec2_open(void *state, const lithops_value *settings, lithops_error *err)
{
    struct ec2 *ec2 = state;
    ec2->settings = settings;
    pthread_mutex_init(&ec2->lock, NULL);
    int rc = lithops__web_init(&ec2->web, "aws_ec2", NULL, NULL, err);
    if (rc == 0 && !ec2->web.crypto)
        rc = lithops__fail(err, LITHOPS_EUNSUPPORTED,
                           "aws_ec2 needs the module crypto, to sign requests");
    if (rc == 0)
        rc = lithops__aws_find(&service, settings, &ec2->place, err);
    return rc ? rc
              : lithops__aws_login(&service, settings, ec2->web.http, ec2->web.crypto,
                                   ec2->place.region, &ec2->credentials, err);
}

static void ec2_close(void *state)
{
    struct ec2 *ec2 = state;
    lithops__credential_store_free(ec2->credentials);
    lithops__web_deinit(&ec2->web);
    pthread_mutex_destroy(&ec2->lock);
}

/* ---- one request ----------------------------------------------------------------------------- */

struct form {
    struct ec2 *ec2;
    const char *action;
    struct lithops__buffer body;
    struct lithops__credentials used;
};

static void add(struct form *form, const char *name, const char *value)
{
    if (!value)
        return;
    lithops__buffer_printf(&form->body, "&%s=", name);
    lithops__url_encode(&form->body, value, strlen(value), false);
}

static void add_number(struct form *form, const char *name, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    add(form, name, text);
}

/* NAME.N, or NAME.N.PART, of a list. */
static void add_to(struct form *form, const char *name, size_t number, const char *part,
                   const char *value)
{
    char full[2 * NAME + 32];
    snprintf(full, sizeof full, "%s.%zu%s%s", name, number, part ? "." : "", part ? part : "");
    add(form, full, value);
}

static void add_filter(struct form *form, size_t number, const char *name, const char *value)
{
    add_to(form, "Filter", number, "Name", name);
    add_to(form, "Filter", number, "Value.1", value);
}

static int prepare(void *user, const struct lithops__bounds *bounds,
                   struct lithops__web_request *request, lithops_error *err)
{
    struct form *form = user;
    const struct ec2 *ec2 = form->ec2;
    char date[LITHOPS__AMZ_DATE], hash[LITHOPS__HEX_HASH];
    struct lithops__buffer text = LITHOPS__BUFFER_INIT, url = LITHOPS__BUFFER_INIT;
    struct lithops__credentials now = {.expires = 0};
    int rc = lithops__credential_store_get(ec2->credentials, bounds, &now, err);
    if (rc != 0)
        return rc;
    lithops__credentials_deinit(&form->used);
    form->used = now;
    lithops__amz_date(time(NULL), date);
    lithops__buffer_printf(&url, "%s/", ec2->place.endpoint);
    request->method = "POST";
    request->url = lithops__buffer_steal(&url);
    request->has_body = true;
    request->is_expected = true;
    request->body = (lithops_bytes){form->body.data, form->body.len};
    bool good = request->url && !form->body.failed &&
                lithops__web_add_header(request, "content-type",
                                        "application/x-www-form-urlencoded; charset=utf-8") &&
                lithops__web_add_header(request, "host", strstr(ec2->place.endpoint, "://") + 3) &&
                lithops__web_add_header(request, "x-amz-date", date) &&
                lithops__web_add_header(request, "x-amz-security-token", now.session_token) &&
                lithops__hex_sha256(ec2->web.crypto, request->body, hash) == 0;
    request->headers[request->count] = NULL;
    const struct lithops__sign_key key = {.access_key = now.access_key,
                                          .secret_key = now.secret_key,
                                          .region = ec2->place.region,
                                          .service = service.name};
    const struct lithops__sign_request to_sign = {.method = "POST",
                                                  .path = "/",
                                                  .query = "",
                                                  .headers = request->headers,
                                                  .payload_hash = hash};
    good =
        good && now.access_key && lithops__sign(ec2->web.crypto, &key, &to_sign, date, &text) == 0;
    char *value = lithops__buffer_steal(&text);
    good = good && value && lithops__web_add_header(request, "authorization", value);
    free(value);
    return good ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a request to EC2");
}

static bool renew(void *user, const char *code)
{
    const struct form *form = user;
    return (strcmp(code, "RequestExpired") == 0 || strstr(code, "ExpiredToken")) &&
           lithops__credential_store_expire(form->ec2->credentials, &form->used);
}

/* ---- errors ---------------------------------------------------------------------------------- */

static const struct lithops__web_code codes[] = {
    {"AuthFailure", LITHOPS_EDENIED, false, "; check the access key, its secret key and the clock"},
    {"InvalidClientTokenId", LITHOPS_EDENIED, false, "; check the access key"},
    {"SignatureDoesNotMatch", LITHOPS_EDENIED, false, "; check the secret key"},
    {"UnauthorizedOperation", LITHOPS_EDENIED, false, "; the user or role needs the permission"},
    {"OptInRequired", LITHOPS_EDENIED, false, NULL},
    {"RequestExpired", LITHOPS_EDENIED, false, "; check the clock of this machine"},
    {"DryRunOperation", LITHOPS_EEXIST, false, NULL},
    {"RequestLimitExceeded", LITHOPS_ETHROTTLED, true, NULL},
    {"InsufficientInstanceCapacity", LITHOPS_ETHROTTLED, false,
     "; try later, or another worker_instance_type, or a subnet in another zone"},
    {"InsufficientHostCapacity", LITHOPS_ETHROTTLED, false, "; try another worker_instance_type"},
    {"SpotMaxPriceTooLow", LITHOPS_ETHROTTLED, false,
     "; raise aws_ec2.spot_price, or set request_spot_instances to false"},
    {"MaxSpotInstanceCountExceeded", LITHOPS_ETHROTTLED, false,
     "; lower max_workers, or ask Amazon for a higher quota"},
    {"VcpuLimitExceeded", LITHOPS_ETHROTTLED, false,
     "; lower max_workers, or ask Amazon for a higher quota"},
    {"InstanceLimitExceeded", LITHOPS_ETHROTTLED, false,
     "; lower max_workers, or ask Amazon for a higher quota"},
    {"InvalidAMIID.NotFound", LITHOPS_ECONFIG, false,
     "; correct aws_ec2.target_ami: images are of one region"},
    {"InvalidAMIID.Malformed", LITHOPS_ECONFIG, false, "; correct aws_ec2.target_ami"},
    {"InvalidKeyPair.NotFound", LITHOPS_ECONFIG, false, "; correct aws_ec2.ssh_key_name"},
    {"InvalidGroup.NotFound", LITHOPS_ECONFIG, false, "; correct aws_ec2.security_group_id"},
    {"InvalidGroupId.Malformed", LITHOPS_ECONFIG, false, "; correct aws_ec2.security_group_id"},
    {"InvalidSubnetID.NotFound", LITHOPS_ECONFIG, false, "; correct aws_ec2.public_subnet_id"},
    {"VPCIdNotSpecified", LITHOPS_ECONFIG, false,
     "; the region has no default VPC: set aws_ec2.public_subnet_id"},
    {"InvalidInstanceID.NotFound", LITHOPS_ENOTFOUND, false, NULL},
    {"InvalidInstanceID.Malformed", LITHOPS_ECONFIG, false, "; correct aws_ec2.instance_id"},
    {"IncorrectInstanceState", LITHOPS_EBACKEND, true, NULL},
    {"IncorrectState", LITHOPS_EBACKEND, true, NULL},
    {NULL, 0, false, NULL},
};

struct explained {
    char *code, *text;
};

static bool ends_with(const char *path, const char *end)
{
    size_t len = strlen(path), n = strlen(end);
    return len >= n && strcmp(path + len - n, end) == 0;
}

static void read_error(const char *path, const char *text, size_t len, void *user)
{
    const struct explained *explained = user;
    (void)len;
    if (ends_with(path, "Error/Code"))
        snprintf(explained->code, LITHOPS__MACHINE_TAG, "%s", text);
    /* what follows is of use to administrators who may decode it */
    else if (ends_with(path, "Error/Message"))
        snprintf(explained->text, 512, "%.*s",
                 (int)(strstr(text, " Encoded auth") ? strstr(text, " Encoded auth") - text : 400),
                 text);
}

static void explain(char *document, char ret_code[LITHOPS__MACHINE_TAG], char ret_text[512])
{
    struct explained explained = {ret_code, ret_text};
    const struct lithops__xml_visitor visitor = {.text = read_error, .user = &explained};
    char first[200];
    snprintf(first, sizeof first, "%.*s", (int)strcspn(document, "\r\n"), document);
    (void)lithops__xml_read(document, strlen(document), &visitor);
    if (!ret_code[0] && !ret_text[0])
        snprintf(ret_text, 512, "%s", first);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void begin(struct form *form, struct ec2 *ec2, const char *action)
{
    *form = (struct form){.ec2 = ec2, .action = action, .body = LITHOPS__BUFFER_INIT};
    lithops__buffer_printf(&form->body, "Action=%s&Version=" API_VERSION, action);
}

/* Send the form, which is over then, and have the answer read.
 * @param visitor  NULL: nothing in it matters */
static int send(struct form *form, const struct lithops__bounds *bounds,
                const struct lithops__xml_visitor *visitor, lithops_error *err)
{
    char *document = NULL;
    size_t len = 0;
    const struct lithops__cloud_call call = {.web = &form->ec2->web,
                                             .title = service.title,
                                             .what = form->action,
                                             .bounds = *bounds,
                                             .is_whole = strcmp(form->action, "RunInstances") == 0,
                                             .prepare = prepare,
                                             .explain = explain,
                                             .codes = codes,
                                             .renew = renew,
                                             .user = form};
    int rc = lithops__cloud_call(&call, &document, &len, err);
    if (rc == 0 && visitor && lithops__xml_read(document, len, visitor) != 0)
        rc = lithops__fail(err, LITHOPS_EBACKEND,
                           "the answer of %s to %s is not one of EC2; is a proxy in between?",
                           form->ec2->place.endpoint, form->action);
    free(document);
    lithops__buffer_deinit(&form->body);
    lithops__credentials_deinit(&form->used);
    return rc;
}

static void keep(char *buf, size_t size, const char *text)
{
    snprintf(buf, size, "%s", text);
}

/* ---- images ---------------------------------------------------------------------------------- */

struct image_reader {
    struct image one, best;
};

static void begin_image(const char *path, void *user)
{
    if (strcmp(path, "DescribeImagesResponse/imagesSet/item") == 0)
        ((struct image_reader *)user)->one = (struct image){.id = ""};
}

static void end_image(const char *path, void *user)
{
    struct image_reader *reader = user;
    if (strcmp(path, "DescribeImagesResponse/imagesSet/item") == 0 &&
        (!reader->best.id[0] || strcmp(reader->one.date, reader->best.date) > 0))
        reader->best = reader->one;
}

static void read_image(const char *path, const char *text, size_t len, void *user)
{
    struct image *one = &((struct image_reader *)user)->one;
    static const char item[] = "DescribeImagesResponse/imagesSet/item/";
    (void)len;
    if (strncmp(path, item, sizeof item - 1) != 0)
        return;
    path += sizeof item - 1;
    if (strcmp(path, "imageId") == 0)
        keep(one->id, sizeof one->id, text);
    else if (strcmp(path, "creationDate") == 0)
        keep(one->date, sizeof one->date, text);
    else if (strcmp(path, "architecture") == 0)
        keep(one->machine, sizeof one->machine, text);
    else if (strcmp(path, "rootDeviceName") == 0)
        keep(one->root, sizeof one->root, text);
}

/* The configured image, or the newest Ubuntu for machines as this one is. */
static int find_image(struct ec2 *ec2, const struct lithops__bounds *bounds,
                      struct image *ret_image, lithops_error *err)
{
    struct image_reader reader = {.best.id = ""};
    const struct lithops__xml_visitor visitor = {begin_image, end_image, read_image, &reader};
    const char *wanted = text_of(ec2, "target_ami");
    struct form form;
    begin(&form, ec2, "DescribeImages");
    if (wanted) {
        add(&form, "ImageId.1", wanted);
    } else {
        add(&form, "Owner.1", CANONICAL);
        add_filter(&form, 1, "name",
                   lithops__machines_are_arm()
                       ? "ubuntu/images/hvm-ssd*/ubuntu-*-24.04-arm64-server-*"
                       : "ubuntu/images/hvm-ssd*/ubuntu-*-24.04-amd64-server-*");
        add_filter(&form, 2, "state", "available");
    }
    int rc = send(&form, bounds, &visitor, err);
    if (rc == 0 && !reader.best.id[0])
        rc = lithops__fail(err, LITHOPS_ECONFIG,
                           "Amazon EC2 has no image '%s' in %s: set aws_ec2.target_ami to one",
                           wanted ? wanted : "of Ubuntu 24.04", ec2->place.region);
    if (rc == 0 && reader.best.machine[0] &&
        strcmp(reader.best.machine, lithops__machines_are_arm() ? "arm64" : "x86_64") != 0)
        rc = lithops__fail(err, LITHOPS_ECONFIG,
                           "the image '%s' is for %s, and the engine that would be sent there is "
                           "for %s: set aws_ec2.target_ami to another one",
                           reader.best.id, reader.best.machine,
                           lithops__machines_are_arm() ? "arm64" : "x86_64");
    if (rc == 0)
        *ret_image = reader.best;
    return rc;
}

static int know_image(struct ec2 *ec2, const struct lithops__bounds *bounds,
                      struct image *ret_image, lithops_error *err)
{
    pthread_mutex_lock(&ec2->lock);
    int rc = ec2->image.id[0] ? 0 : find_image(ec2, bounds, &ec2->image, err);
    *ret_image = ec2->image;
    pthread_mutex_unlock(&ec2->lock);
    return rc;
}

/* ---- making ---------------------------------------------------------------------------------- */

static const char *type_of(const struct ec2 *ec2)
{
    return first_of(ec2, "worker_instance_type", NULL,
                    lithops__machines_are_arm() ? "t4g.medium" : "t3.medium");
}

static const char *subnet_of(const struct ec2 *ec2)
{
    return first_of(ec2, "public_subnet_id", "subnet_id", text_of(ec2, "private_subnet_id"));
}

/* Of most types the size says it; where it does not, worker_processes does. */
static uint32_t ec2_cpus(const void *state)
{
    const char *type = type_of(state), *size = strchr(type, '.');
    size_t family = size ? (size_t)(size - type) : 0;
    if (!size)
        return 0;
    size++;
    unsigned long times = strtoul(size, NULL, 10);
    if (ends_with(size, "xlarge"))
        return times > 128 ? 0 : times > 0 ? (uint32_t)(4 * times) : 4;
    bool is_first = family == 2 && strncmp(type, "t2", 2) == 0;
    bool is_graviton = family == 2
                           ? strncmp(type, "a1", 2) == 0
                           : family > 2 && type[0] != 't' && memchr(type + 2, 'g', family - 2);
    if ((is_first && strcmp(size, "medium") != 0 && strcmp(size, "large") != 0) ||
        (is_graviton && strcmp(size, "medium") == 0))
        return 1;
    return strncmp(size, "metal", 5) == 0 ? 0 : 2;
}

static void ec2_describe(const void *state, struct lithops__buffer *out)
{
    const struct ec2 *ec2 = state;
    static const char *const keys[] = {
        "target_ami", "security_group_id", "ssh_key_name", "volume_size",   "volume_type",
        "iops",       "throughput",        "kms_key_id",   "instance_role", "iam_role"};
    static const char *const flags[] = {"encrypted", "request_spot_instances",
                                        "delete_on_dismantle"};
    lithops__buffer_printf(out, "%s %s %s", ec2->place.region, type_of(ec2),
                           subnet_of(ec2) ? subnet_of(ec2) : "");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *text = text_of(ec2, keys[i]);
        lithops__buffer_printf(
            out, "|%s%lld", text ? text : "",
            (long long)lithops_value_get_int(lithops_value_get(ec2->settings, keys[i])));
    }
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        lithops__buffer_append_string(out, is_on(ec2, flags[i]) ? "|y" : "|n");
}

static void add_tags(struct form *form, const char *list, const lithops__machine_tags tags)
{
    size_t number = 1;
    for (size_t i = 0; i < LITHOPS__TAGS; i++) {
        if (!tags[i][0])
            continue;
        add_to(form, list, number, "Key", lithops__machine_tag_names[i]);
        add_to(form, list, number++, "Value", tags[i]);
    }
}

static void add_volume(struct form *form, const struct ec2 *ec2, const struct image *image)
{
    static const struct {
        const char *key, *name;
    } rows[] = {
        {"volume_size", "VolumeSize"}, {"volume_type", "VolumeType"}, {"iops", "Iops"},
        {"throughput", "Throughput"},  {"encrypted", "Encrypted"},    {"kms_key_id", "KmsKeyId"}};
    char name[NAME], text[NAME];
    bool is_there = false;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const lithops_value *value = lithops_value_get(ec2->settings, rows[i].key);
        lithops_type type = value ? lithops_value_type(value) : LITHOPS_NULL;
        if (type == LITHOPS_NULL)
            continue;
        if (type == LITHOPS_INT)
            snprintf(text, sizeof text, "%lld", (long long)lithops_value_get_int(value));
        else if (type == LITHOPS_BOOL)
            snprintf(text, sizeof text, "%s", lithops_value_get_bool(value) ? "true" : "false");
        else
            snprintf(text, sizeof text, "%s", lithops_value_get_string(value));
        snprintf(name, sizeof name, "Ebs.%s", rows[i].name);
        add_to(form, "BlockDeviceMapping", 1, name, text);
        is_there = true;
    }
    if (is_there) {
        add_to(form, "BlockDeviceMapping", 1, "DeviceName",
               image->root[0] ? image->root : "/dev/sda1");
        add_to(form, "BlockDeviceMapping", 1, "Ebs.DeleteOnTermination", "true");
    }
}

static void add_market(struct form *form, const struct ec2 *ec2)
{
    char price[32];
    const lithops_value *most = lithops_value_get(ec2->settings, "spot_price");
    if (!is_on(ec2, "request_spot_instances") || !is_on(ec2, "delete_on_dismantle"))
        return;
    add(form, "InstanceMarketOptions.MarketType", "spot");
    add(form, "InstanceMarketOptions.SpotOptions.SpotInstanceType", "one-time");
    add(form, "InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior", "terminate");
    snprintf(price, sizeof price, "%.5f", lithops_value_get_double(most));
    add(form, "InstanceMarketOptions.SpotOptions.MaxPrice",
        lithops_value_get_double(most) > 0 ? price : NULL);
}

static void add_wish(struct form *form, const struct ec2 *ec2,
                     const struct lithops__machine_wish *wish, const struct image *image)
{
    const char *role = first_of(ec2, "instance_role", "iam_role", NULL);
    size_t len = wish->user_data ? strlen(wish->user_data) : 0;
    char *data = wish->user_data ? malloc(4 * (len / 3) + 5) : NULL;
    if (data)
        lithops__base64((const unsigned char *)wish->user_data, len, data);
    form->body.failed |= wish->user_data && !data;
    add(form, "ImageId", image->id);
    add(form, "InstanceType", type_of(ec2));
    add(form, "MinCount", "1");
    add(form, "MaxCount", "1");
    add(form, "ClientToken", wish->token);
    add(form, "UserData", data);
    add(form, "InstanceInitiatedShutdownBehavior",
        is_on(ec2, "delete_on_dismantle") ? "terminate" : "stop");
    add(form, "KeyName", text_of(ec2, "ssh_key_name"));
    add(form, "SubnetId", subnet_of(ec2));
    add(form, "SecurityGroupId.1", text_of(ec2, "security_group_id"));
    if (role)
        add(form,
            strncmp(role, "arn:", 4) == 0 ? "IamInstanceProfile.Arn" : "IamInstanceProfile.Name",
            role);
    add(form, "MetadataOptions.HttpTokens", "required");
    add_number(form, "MetadataOptions.HttpPutResponseHopLimit", 2); /* from containers, too */
    add_market(form, ec2);
    add_volume(form, ec2, image);
    add(form, "TagSpecification.1.ResourceType", "instance");
    add_tags(form, "TagSpecification.1.Tag", wish->tags);
    add(form, "TagSpecification.2.ResourceType", "volume");
    add_tags(form, "TagSpecification.2.Tag", wish->tags);
    add(form, "DryRun", wish->is_trial ? "true" : NULL);
    free(data);
}

static void read_made(const char *path, const char *text, size_t len, void *user)
{
    (void)len;
    if (strcmp(path, "RunInstancesResponse/instancesSet/item/instanceId") == 0)
        keep(user, LITHOPS__MACHINE_ID, text);
}

/* It becomes an argument of ssh's. */
static bool is_id(const char *text)
{
    return text[0] && text[0] != '-' &&
           text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
}

static int ec2_create(void *state, const struct lithops__machine_wish *wish,
                      const struct lithops__bounds *bounds, char ret_id[LITHOPS__MACHINE_ID],
                      lithops_error *err)
{
    struct ec2 *ec2 = state;
    struct image image;
    struct form form;
    char id[LITHOPS__MACHINE_ID] = "";
    const struct lithops__xml_visitor visitor = {.text = read_made, .user = id};
    int rc = know_image(ec2, bounds, &image, err);
    if (rc != 0)
        return rc;
    begin(&form, ec2, "RunInstances");
    add_wish(&form, ec2, wish, &image);
    rc = send(&form, bounds, &visitor, err);
    if (wish->is_trial && rc == LITHOPS_EEXIST) /* it says that it would have */
        return 0;
    if (rc == 0 && !is_id(id))
        rc = lithops__fail(err, LITHOPS_EBACKEND, "Amazon EC2 has not said which machine it made");
    if (rc == 0)
        keep(ret_id, LITHOPS__MACHINE_ID, id);
    return rc;
}

/* ---- looking --------------------------------------------------------------------------------- */

#define ITEM "DescribeInstancesResponse/reservationSet/item/instancesSet/item"

struct reader {
    struct lithops__machine one;
    char key[LITHOPS__MACHINE_TAG], value[LITHOPS__MACHINE_TAG], next[1024];
    lithops__machine_visit *visit;
    void *user;
};

static void begin_machine(const char *path, void *user)
{
    struct reader *reader = user;
    if (strcmp(path, ITEM) == 0)
        reader->one = (struct lithops__machine){.state = LITHOPS__MACHINE_COMING};
    else if (strcmp(path, ITEM "/tagSet/item") == 0)
        reader->key[0] = reader->value[0] = '\0';
}

static void end_machine(const char *path, void *user)
{
    struct reader *reader = user;
    if (strcmp(path, ITEM) == 0 && is_id(reader->one.id))
        reader->visit(&reader->one, reader->user);
    if (strcmp(path, ITEM "/tagSet/item") == 0)
        for (size_t i = 0; i < LITHOPS__TAGS; i++)
            if (strcmp(reader->key, lithops__machine_tag_names[i]) == 0)
                keep(reader->one.tags[i], LITHOPS__MACHINE_TAG, reader->value);
}

static enum lithops__machine_state state_of(const char *name)
{
    static const struct {
        const char *name;
        enum lithops__machine_state state;
    } rows[] = {{"pending", LITHOPS__MACHINE_COMING},
                {"running", LITHOPS__MACHINE_RUNNING},
                {"stopping", LITHOPS__MACHINE_STOPPING},
                {"stopped", LITHOPS__MACHINE_STOPPED}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(name, rows[i].name) == 0)
            return rows[i].state;
    return LITHOPS__MACHINE_GONE;
}

static void read_machine(const char *path, const char *text, size_t len, void *user)
{
    struct reader *reader = user;
    struct lithops__machine *one = &reader->one;
    static const char item[] = ITEM "/";
    (void)len;
    if (strcmp(path, "DescribeInstancesResponse/nextToken") == 0)
        keep(reader->next, sizeof reader->next, text);
    if (strncmp(path, item, sizeof item - 1) != 0)
        return;
    path += sizeof item - 1;
    if (strcmp(path, "instanceId") == 0)
        keep(one->id, sizeof one->id, text);
    else if (strcmp(path, "instanceState/name") == 0)
        one->state = state_of(text);
    else if (strcmp(path, "ipAddress") == 0)
        keep(one->public_ip, sizeof one->public_ip, text);
    else if (strcmp(path, "privateIpAddress") == 0)
        keep(one->private_ip, sizeof one->private_ip, text);
    else if (strcmp(path, "stateReason/message") == 0)
        keep(one->why, sizeof one->why, text);
    else if (strcmp(path, "tagSet/item/key") == 0)
        keep(reader->key, sizeof reader->key, text);
    else if (strcmp(path, "tagSet/item/value") == 0)
        keep(reader->value, sizeof reader->value, text);
}

static int ec2_list(void *state, const struct lithops__machine_query *query,
                    const struct lithops__bounds *bounds, lithops__machine_visit *visit, void *user,
                    lithops_error *err)
{
    struct reader reader = {.visit = visit, .user = user};
    const struct lithops__xml_visitor visitor = {begin_machine, end_machine, read_machine, &reader};
    char name[NAME], next[sizeof reader.next] = "";
    struct form form;
    int rc;
    do {
        begin(&form, state, "DescribeInstances");
        if (query->id) {
            add(&form, "InstanceId.1", query->id);
        } else {
            snprintf(name, sizeof name, "tag:%s", lithops__machine_tag_names[query->tag]);
            add_filter(&form, 1, name, query->value);
            add_number(&form, "MaxResults", PAGE);
        }
        add(&form, "NextToken", next[0] ? next : NULL);
        reader.next[0] = '\0';
        rc = send(&form, bounds, &visitor, err);
        bool goes_on = strcmp(next, reader.next) != 0;
        keep(next, sizeof next, goes_on ? reader.next : "");
    } while (rc == 0 && next[0]);
    return rc;
}

/* ---- the rest -------------------------------------------------------------------------------- */

static int ec2_start(void *state, const char *id, const struct lithops__bounds *bounds,
                     lithops_error *err)
{
    struct form form;
    begin(&form, state, "StartInstances");
    add(&form, "InstanceId.1", id);
    return send(&form, bounds, NULL, err);
}

static int terminate(struct ec2 *ec2, const char *const *ids, size_t count,
                     const struct lithops__bounds *bounds, lithops_error *err)
{
    struct form form;
    begin(&form, ec2, "TerminateInstances");
    for (size_t i = 0; i < count; i++)
        add_to(&form, "InstanceId", i + 1, NULL, ids[i]);
    return send(&form, bounds, NULL, err);
}

/* One that is not there any more has the whole request refused. */
static int ec2_terminate(void *state, const char *const *ids, size_t count,
                         const struct lithops__bounds *bounds, lithops_error *err)
{
    int rc = terminate(state, ids, count, bounds, err);
    if (rc != LITHOPS_ENOTFOUND)
        return rc;
    rc = 0;
    for (size_t i = 0; count > 1 && i < count; i++) {
        lithops_error one = LITHOPS_ERROR_INIT;
        int failed = terminate(state, &ids[i], 1, bounds, &one);
        if (failed && failed != LITHOPS_ENOTFOUND) {
            rc = failed;
            *err = one;
        }
    }
    return rc;
}

static int ec2_tag(void *state, const char *id, const lithops__machine_tags tags,
                   const struct lithops__bounds *bounds, lithops_error *err)
{
    struct form form;
    begin(&form, state, "CreateTags");
    add(&form, "ResourceId.1", id);
    add_tags(&form, "Tag", tags);
    return send(&form, bounds, NULL, err);
}

static void read_behavior(const char *path, const char *text, size_t len, void *user)
{
    (void)len;
    if (ends_with(path, "instanceInitiatedShutdownBehavior/value"))
        *(bool *)user = strcmp(text, "stop") == 0;
}

static int ec2_outlasts_shutdown(void *state, const char *id, const struct lithops__bounds *bounds,
                                 bool *ret_outlasts, lithops_error *err)
{
    struct form form;
    bool outlasts = false;
    const struct lithops__xml_visitor visitor = {.text = read_behavior, .user = &outlasts};
    begin(&form, state, "DescribeInstanceAttribute");
    add(&form, "InstanceId", id);
    add(&form, "Attribute", "instanceInitiatedShutdownBehavior");
    int rc = send(&form, bounds, &visitor, err);
    if (rc == 0)
        *ret_outlasts = outlasts;
    return rc;
}

const struct lithops__cloud lithops__cloud_aws_ec2 = {
    .name = "aws_ec2",
    .title = "Amazon EC2",
    .trial = "a machine could be made",
    .id_key = "instance_id",
    .state_size = sizeof(struct ec2),
    .open = ec2_open,
    .close = ec2_close,
    .describe = ec2_describe,
    .cpus = ec2_cpus,
    .create = ec2_create,
    .list = ec2_list,
    .start = ec2_start,
    .terminate = ec2_terminate,
    .tag = ec2_tag,
    .outlasts_shutdown = ec2_outlasts_shutdown,
};
