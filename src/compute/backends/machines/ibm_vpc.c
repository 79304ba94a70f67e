/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual servers of IBM Cloud's VPC, by version 1 of its API.
 *
 * They have no labels that a request for one could carry, but names that can be changed: a name
 * says what tags say elsewhere, but for the owner and the process. It is made of the wish's token,
 * so a request that is made twice makes one machine.
 *
 * A floating IP outlives its machine. So it is made with its target in one request, and has a name
 * of the same form: one of these that has no target is left over. It is listed as a machine that
 * has failed, so whoever ends those of dead clients ends it, too, by the same rules.
 *
 * One that is turned off from within is stopped, and its disk and address cost money. With a
 * trusted profile it deletes itself and its address, with a token of that. */
#include "base/error.h"
#include "base/log.h"
#include "compute/backends/machines/machines.h"
#include "compute/ibm.h"

#include <stdlib.h>
#include <string.h>

#define API "/v1/"
#define VERSION "version=2026-09-01&generation=2"
#define METADATA "http://169.254.169.254"
#define METADATA_VERSION "version=2022-03-01"

enum { PLACE = 64, PAGE = 100 };

struct vpc {
    struct lithops__cloud_rest rest;
    char region[PLACE]; /* "": just the endpoint is known */
    pthread_mutex_t lock;
    /* under lock */
    char zone[PLACE], image[PLACE]; /* that new machines get; "": not asked for yet */
    bool is_told;                   /* what is left of machines that cannot delete themselves */
};

static const char *text_of(const struct vpc *vpc, const char *key)
{
    return lithops__cloud_setting(vpc->rest.settings, key);
}

static bool is_on(const struct vpc *vpc, const char *key)
{
    return lithops__cloud_is_on(vpc->rest.settings, key);
}

static bool is_public(const struct vpc *vpc)
{
    return lithops__cloud_is_public(vpc->rest.settings);
}

/* ---- errors ---------------------------------------------------------------------------------- */

static const char quota[] = "; lower max_workers, or ask IBM for a higher quota";
static const char permission[] =
    "; the API key's owner needs the role Editor of VPC Infrastructure";

/* Those that say what to do; others are told as they are. */
static const struct lithops__web_code codes[] = {
    {"not_authenticated", LITHOPS_EDENIED, false, "; check ibm.iam_api_key and the clock"},
    {"not_authorized", LITHOPS_EDENIED, false, permission},
    {"over_quota", LITHOPS_ETHROTTLED, false, quota},
    {"rate_limit_exceeded", LITHOPS_ETHROTTLED, true, NULL},
    {NULL, 0, false, NULL},
};
static const char *const expired[] = {"not_authenticated", "invalid_token", NULL};

/* ---- opening --------------------------------------------------------------------------------- */

/* What becomes a part of paths, and is empty where it is not said. */
static int check_ids(const struct vpc *vpc, lithops_error *err)
{
    static const char *const keys[] = {"subnet_id", "image_id", "resource_group_id",
                                       "worker_profile_name"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *text = text_of(vpc, keys[i]);
        if (text && (!lithops__cloud_is_id(text) || strlen(text) >= PLACE))
            return lithops__fail(err, LITHOPS_ECONFIG, "ibm_vpc.%s is '%.100s', which is none",
                                 keys[i], text);
    }
    return 0;
}

static int vpc_open(void *state, const lithops_value *settings, lithops_error *err)
{
    struct vpc *vpc = state;
    struct lithops__cloud_rest *rest = &vpc->rest;
    char endpoint[2 * PLACE];
    rest->settings = settings;
    rest->section = "ibm_vpc";
    rest->title = "IBM Cloud VPC";
    rest->makes = "create_instance";
    rest->codes = codes;
    rest->expired = expired;
    rest->merges = true;
    pthread_mutex_init(&vpc->lock, NULL);
    int rc = lithops__web_init(&rest->web, rest->section, NULL, NULL, err);
    if (rc == 0)
        rc = lithops__ibm_find(rest->section, settings, rest->web.http, vpc->region, &rest->tokens,
                               err);
    if (rc == 0)
        rc = check_ids(vpc, err);
    snprintf(endpoint, sizeof endpoint, "https://%s.iaas.cloud.ibm.com", vpc->region);
    return rc ? rc : lithops__cloud_rest_find(rest, endpoint, err);
}

static void vpc_close(void *state)
{
    struct vpc *vpc = state;
    lithops__cloud_rest_close(&vpc->rest);
    pthread_mutex_destroy(&vpc->lock);
}

/* ---- names ----------------------------------------------------------------------------------- */

/* lithops-EXECUTOR-, and then numbers to the base of 36: the client, the group, when it is off at
 * the latest, what is to become of it ('d': it is to be deleted, 's': it is kept), and the end of
 * what it is for: of the wish's token for a machine, of the machine's id for an address. */
enum { MARK = 13, SECONDS = 7, TAIL = 8, REST = 2 * MARK + SECONDS + 1 + TAIL, NAME = 64 };
static const char before[] = "lithops-";

static void put_number(char *out, size_t digits, uint64_t number)
{
    static const char all[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    for (out += digits; digits > 0; digits--, number /= 36)
        *--out = all[number % 36];
}

static uint64_t get_number(const char *text, size_t digits)
{
    char copy[MARK + 1];
    snprintf(copy, sizeof copy, "%.*s", (int)digits, text);
    return strtoull(copy, NULL, 36);
}

static const char *tail_of(const char *text)
{
    size_t len = strlen(text);
    return len > TAIL ? text + len - TAIL : text;
}

static int make_name(const lithops__machine_tags tags, const char *of, char ret_name[NAME],
                     lithops_error *err)
{
    int len = snprintf(ret_name, NAME, "%s%s-", before, tags[LITHOPS__TAG_EXECUTOR]);
    if (len < 0 || len + REST >= NAME || strlen(tail_of(of)) != TAIL)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "no name for a machine of IBM's: the executor's id '%.60s' is too "
                             "long",
                             tags[LITHOPS__TAG_EXECUTOR]);
    char *rest = ret_name + len;
    char *until = rest + 2 * MARK;
    put_number(rest, MARK, strtoull(tags[LITHOPS__TAG_CLIENT], NULL, 16));
    put_number(rest + MARK, MARK, strtoull(tags[LITHOPS__TAG_GROUP], NULL, 16));
    put_number(until, SECONDS, strtoull(tags[LITHOPS__TAG_EXPIRES], NULL, 10));
    snprintf(until + SECONDS, 1 + TAIL + 1, "%c%s",
             strstr(tags[LITHOPS__TAG_EXPIRES], "-delete") ? 'd' : 's', tail_of(of));
    return 0;
}

/* @return the end of what it is for; NULL: it is not of us, and there are no tags */
static const char *read_name(const char *name, lithops__machine_tags ret_tags)
{
    size_t len = strlen(name), start = sizeof before - 1;
    const size_t size = sizeof ret_tags[0];
    memset(ret_tags, 0, LITHOPS__TAGS * size);
    if (len >= NAME || len < start + 1 + 1 + REST || strncmp(name, before, start) != 0 ||
        name[len - REST - 1] != '-')
        return NULL;
    const char *rest = name + len - REST, *until = rest + 2 * MARK;
    if (strspn(rest, "0123456789abcdefghijklmnopqrstuvwxyz") != REST ||
        !strchr("ds", until[SECONDS]))
        return NULL;
    snprintf(ret_tags[LITHOPS__TAG_EXECUTOR], size, "%.*s", (int)(len - REST - 1 - start),
             name + start);
    snprintf(ret_tags[LITHOPS__TAG_CLIENT], size, "%016llx",
             (unsigned long long)get_number(rest, MARK));
    snprintf(ret_tags[LITHOPS__TAG_GROUP], size, "%016llx",
             (unsigned long long)get_number(rest + MARK, MARK));
    snprintf(ret_tags[LITHOPS__TAG_EXPIRES], size, "%llu%s",
             (unsigned long long)get_number(until, SECONDS),
             until[SECONDS] == 'd' ? "-delete" : "");
    return until + SECONDS + 1;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* The path of those of a kind, of one of them, or of what is to be done with one: NULL where it is
 * not said. */
static char *path_of(const char *kind, const char *id, const char *verb)
{
    struct lithops__buffer path = LITHOPS__BUFFER_INIT;
    lithops__buffer_printf(&path, API "%s", kind);
    if (id)
        lithops__buffer_printf(&path, "/%s", id);
    if (verb)
        lithops__buffer_printf(&path, "/%s", verb);
    lithops__buffer_append_string(&path, "?" VERSION);
    return lithops__buffer_steal(&path);
}

static int ask(struct vpc *vpc, const char *method, const char *what, char *path,
               lithops_value *body, const struct lithops__bounds *bounds,
               lithops_value **ret_answer, lithops_error *err)
{
    const struct lithops__cloud_question question = {method, what, path, body};
    return lithops__cloud_ask(&vpc->rest, &question, bounds, ret_answer, err);
}

/* Those of a kind, page by page. */
struct kind {
    const char *what, *name; /* "list_instances", "instances" */
    const char *filter;      /* more of the query; "" */
    void (*visit)(const lithops_value *item, void *user);
    void *user;
};

static char *page_path(const struct kind *kind, const char *start, size_t len)
{
    char *path = NULL;
    if (asprintf(&path, API "%s?" VERSION "&limit=%d%s%s%.*s", kind->name, PAGE, kind->filter,
                 len ? "&start=" : "", (int)len, start) < 0)
        return NULL;
    return path;
}

static void visit_item(const lithops_value *item, void *state)
{
    const struct kind *kind = state;
    kind->visit(item, kind->user);
}

static bool next_page(void *state, const lithops_value *answer, char **ret_path)
{
    const char *link = lithops__cloud_text(lithops_value_get(answer, "next"), "href");
    const char *start = strstr(link, "start=");
    start = start ? start + strlen("start=") : "";
    size_t len = strcspn(start, "&");
    return len == 0 || (*ret_path = page_path(state, start, len)) != NULL;
}

static int ask_all(struct vpc *vpc, struct kind kind, const struct lithops__bounds *bounds,
                   lithops_error *err)
{
    const struct lithops__cloud_pages pages = {kind.what, kind.name, next_page, visit_item, &kind};
    return lithops__cloud_ask_pages(&vpc->rest, &pages, page_path(&kind, "", 0), bounds, err);
}

/* Of machines and addresses. */
static void group_filter(const struct vpc *vpc, char ret_filter[2 * PLACE])
{
    const char *group = text_of(vpc, "resource_group_id");
    snprintf(ret_filter, 2 * PLACE, "%s%s", group ? "&resource_group.id=" : "", group ? group : "");
}

static const char *id_of(const lithops_value *map, const char *name)
{
    return lithops__cloud_text(lithops_value_get(map, name), "id");
}

/* ---- making ---------------------------------------------------------------------------------- */

static const char *profile_of(const struct vpc *vpc)
{
    const char *profile = text_of(vpc, "worker_profile_name");
    return profile ? profile : "cx2-2x4";
}

/* The first number after '-', as in cx2-2x4. */
static uint32_t vpc_cpus(const void *state)
{
    const char *number = strchr(profile_of(state), '-');
    unsigned long cpus = number ? strtoul(number + 1, NULL, 10) : 0;
    return cpus > 1024 ? 0 : (uint32_t)cpus;
}

static void vpc_describe(const void *state, struct lithops__buffer *out)
{
    const struct vpc *vpc = state;
    static const char *const keys[] = {"subnet_id",         "security_group_id",   "image_id",
                                       "resource_group_id", "boot_volume_profile", "ssh_key_id",
                                       "trusted_profile"};
    lithops__buffer_printf(out, "%s %s|%d", vpc->rest.endpoint, profile_of(vpc), is_public(vpc));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        lithops__buffer_printf(out, "|%s", text_of(vpc, keys[i]) ? text_of(vpc, keys[i]) : "");
    lithops__buffer_printf(out, "|%lld%d%d",
                           (long long)lithops_value_get_int(
                               lithops_value_get(vpc->rest.settings, "boot_volume_capacity")),
                           is_on(vpc, "request_spot_instances"), is_on(vpc, "delete_on_dismantle"));
}

struct newest {
    char id[PLACE], made[PLACE];
};

static void visit_image(const lithops_value *item, void *user)
{
    struct newest *newest = user;
    const char *id = lithops__cloud_text(item, "id"),
               *made = lithops__cloud_text(item, "created_at"),
               *system = lithops__cloud_text(lithops_value_get(item, "operating_system"), "name");
    if (strcmp(system, "ubuntu-24-04-amd64") != 0 || strcmp(made, newest->made) <= 0 ||
        !lithops__cloud_is_id(id))
        return;
    snprintf(newest->id, PLACE, "%s", id);
    snprintf(newest->made, PLACE, "%s", made);
}

/* [lock] The newest Ubuntu of IBM's, whose name has its version. */
static int find_image(struct vpc *vpc, const struct lithops__bounds *bounds, lithops_error *err)
{
    struct newest newest = {.id = ""};
    const char *image = text_of(vpc, "image_id");
    if (!image && lithops__machines_are_arm())
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "IBM Cloud VPC has no machines of this one's architecture, ARM");
    int rc =
        image ? 0
              : ask_all(vpc,
                        (struct kind){"list_images", "images",
                                      "&visibility=public&status=available", visit_image, &newest},
                        bounds, err);
    if (rc == 0 && !image && !newest.id[0])
        rc = lithops__fail(err, LITHOPS_ECONFIG,
                           "IBM Cloud VPC has no image of Ubuntu 24.04 here: set ibm_vpc.image_id");
    if (rc == 0)
        snprintf(vpc->image, PLACE, "%s", image ? image : newest.id);
    return rc;
}

/* [lock] That of the subnet. */
static int find_zone(struct vpc *vpc, const struct lithops__bounds *bounds, lithops_error *err)
{
    const char *subnet = text_of(vpc, "subnet_id");
    lithops_value *answer = NULL;
    if (!subnet)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "machines of IBM Cloud VPC are made in a subnet that is there: name "
                             "it by ibm_vpc.subnet_id");
    int rc =
        ask(vpc, "GET", "get_subnet", path_of("subnets", subnet, NULL), NULL, bounds, &answer, err);
    if (rc == LITHOPS_ENOTFOUND)
        rc = lithops__fail(err, LITHOPS_ECONFIG,
                           "IBM Cloud VPC has no subnet '%s' here: correct ibm_vpc.subnet_id",
                           subnet);
    snprintf(vpc->zone, PLACE, "%.60s",
             lithops__cloud_text(lithops_value_get(answer, "zone"), "name"));
    lithops_value_free(answer);
    return rc;
}

/* Where machines are made, and of what. */
static int find_place(struct vpc *vpc, const struct lithops__bounds *bounds, lithops_error *err)
{
    pthread_mutex_lock(&vpc->lock);
    int rc = vpc->zone[0] ? 0 : find_zone(vpc, bounds, err);
    if (rc == 0 && !vpc->image[0])
        rc = find_image(vpc, bounds, err);
    pthread_mutex_unlock(&vpc->lock);
    return rc;
}

/* What can be known without making one. */
static int try_out(struct vpc *vpc, const struct lithops__bounds *bounds, lithops_error *err)
{
    int rc = ask(vpc, "GET", "get_instance_profile",
                 path_of("instance/profiles", profile_of(vpc), NULL), NULL, bounds, NULL, err);
    if (rc == LITHOPS_ENOTFOUND)
        rc = lithops__fail(err, LITHOPS_ECONFIG,
                           "IBM Cloud VPC has no machines of profile '%s' here: set "
                           "ibm_vpc.worker_profile_name",
                           profile_of(vpc));
    return rc;
}

static void tell_what_stays(struct vpc *vpc, const struct lithops__machine_wish *wish)
{
    pthread_mutex_lock(&vpc->lock);
    bool is_first = !vpc->is_told;
    vpc->is_told = true;
    pthread_mutex_unlock(&vpc->lock);
    if (is_first && wish->limit_s && !text_of(vpc, "trusted_profile"))
        lithops__log(LITHOPS_LOG_WARNING, "ibm_vpc",
                     "without trusted_profile a machine that ends itself is turned off, and what "
                     "it costs then, with its disk and address, goes on until 'lithops clean'");
}

/* ID: {"id": ID}, and of a profile also {"crn": CRN}. */
static lithops_value *named(const char *id)
{
    return lithops_pack("{s:s}", strncmp(id, "crn:", 4) == 0 ? "crn" : "id", id);
}

/* What only some machines have. */
static int add_choices(const struct vpc *vpc, lithops_value *machine)
{
    const char *group = text_of(vpc, "resource_group_id"), *key = text_of(vpc, "ssh_key_id"),
               *profile = text_of(vpc, "trusted_profile");
    int rc = 0;
    if (group)
        rc = lithops_value_set(machine, "resource_group", named(group));
    if (rc == 0 && key)
        rc = lithops_value_set(machine, "keys", lithops_pack("[{s:s}]", "id", key));
    if (rc == 0 && profile)
        rc = lithops_value_set(machine, "metadata_service",
                               lithops_pack("{s:b,s:s}", "enabled", 1, "protocol", "http"));
    if (rc == 0 && profile)
        rc = lithops_value_set(machine, "default_trusted_profile",
                               lithops_pack("{s:b,s:o}", "auto_link", 1, "target", named(profile)));
    if (rc != 0 || !is_on(vpc, "request_spot_instances"))
        return rc;
    rc = lithops_value_set(machine, "availability", lithops_pack("{s:s}", "class", "spot"));
    return rc ? rc
              : lithops_value_set(
                    machine, "availability_policy",
                    lithops_pack("{s:s}", "preemption",
                                 is_on(vpc, "delete_on_dismantle") ? "delete" : "stop"));
}

/* NULL: out of memory */
static lithops_value *machine_of(const struct vpc *vpc, const char *name, const char *user_data)
{
    const char *group = text_of(vpc, "security_group_id"),
               *volume = text_of(vpc, "boot_volume_profile");
    int64_t size =
        lithops_value_get_int(lithops_value_get(vpc->rest.settings, "boot_volume_capacity"));
    lithops_value *face = lithops_pack("{s:{s:s}}", "subnet", "id", text_of(vpc, "subnet_id"));
    lithops_value *machine = NULL;
    int rc = face ? 0 : LITHOPS_ENOMEM;
    if (rc == 0 && group)
        rc = lithops_value_set(face, "security_groups", lithops_pack("[{s:s}]", "id", group));
    if (rc == 0)
        machine = lithops_pack(
            "{s:s,s:{s:s},s:{s:s},s:{s:s},s:s,s:O,s:{s:b,s:{s:I,s:{s:s}}}}", "name", name,
            "profile", "name", profile_of(vpc), "zone", "name", vpc->zone, "image", "id",
            vpc->image, "user_data", user_data ? user_data : "", "primary_network_interface", face,
            "boot_volume_attachment", "delete_volume_on_instance_delete", 1, "volume", "capacity",
            size > 0 ? size : 100, "profile", "name", volume ? volume : "general-purpose");
    lithops_value_free(face);
    if (machine && add_choices(vpc, machine) == 0)
        return machine;
    lithops_value_free(machine);
    return NULL;
}

/* Make something whose name nobody else has: a name that is taken is what is told where the answer
 * before this one was lost. Then it is among those of that query. */
static int make(struct vpc *vpc, const char *what, const char *kind, lithops_value *body,
                const char *query, const char *id, const struct lithops__bounds *bounds,
                lithops_value **ret_answer, lithops_error *err)
{
    lithops_value *found = NULL;
    lithops_error other = LITHOPS_ERROR_INIT;
    char *path = NULL;
    *ret_answer = NULL;
    int rc = ask(vpc, "POST", what, path_of(kind, NULL, NULL), body, bounds, ret_answer, err);
    if (rc == 0 || (err->http_status != 400 && err->http_status != 409))
        return rc;
    if (asprintf(&path, API "%s?" VERSION "&%s=%s", kind, query, id) < 0)
        path = NULL;
    if (ask(vpc, "GET", what, path, NULL, bounds, &found, &other) == 0)
        *ret_answer = lithops_value_copy(lithops__cloud_first(lithops_value_get(found, kind)));
    lithops_value_free(found);
    if (!*ret_answer)
        return rc;
    *err = (lithops_error)LITHOPS_ERROR_INIT;
    return 0;
}

static int make_address(struct vpc *vpc, const struct lithops__machine_wish *wish, const char *id,
                        const char *face, const struct lithops__bounds *bounds, lithops_error *err)
{
    char name[NAME];
    const char *group = text_of(vpc, "resource_group_id");
    lithops_value *answer = NULL;
    int rc = make_name(wish->tags, id, name, err);
    if (rc != 0)
        return rc;
    lithops_value *body = lithops_pack("{s:s,s:{s:s}}", "name", name, "target", "id", face);
    if (body && group && lithops_value_set(body, "resource_group", named(group)) != 0) {
        lithops_value_free(body);
        body = NULL;
    }
    rc = make(vpc, "create_floating_ip", "floating_ips", body, "target.id", face, bounds, &answer,
              err);
    lithops_value_free(answer);
    return rc;
}

static int vpc_create(void *state, const struct lithops__machine_wish *wish,
                      const struct lithops__bounds *bounds, char ret_id[LITHOPS__MACHINE_ID],
                      lithops_error *err)
{
    struct vpc *vpc = state;
    char name[NAME];
    lithops_value *answer = NULL;
    int rc = find_place(vpc, bounds, err);
    if (rc != 0 || wish->is_trial)
        return rc ? rc : try_out(vpc, bounds, err);
    tell_what_stays(vpc, wish);
    rc = make_name(wish->tags, wish->token, name, err);
    if (rc == 0)
        rc = make(vpc, vpc->rest.makes, "instances", machine_of(vpc, name, wish->user_data), "name",
                  name, bounds, &answer, err);
    const char *id = lithops__cloud_text(answer, "id");
    const char *face = id_of(answer, "primary_network_interface");
    if (rc == 0 && (!lithops__cloud_is_id(id) || !lithops__cloud_is_id(face)))
        rc = lithops__fail(err, LITHOPS_EBACKEND,
                           "the answer to create_instance has no ids of a machine and its network "
                           "interface");
    else if (rc == 0) {
        snprintf(ret_id, LITHOPS__MACHINE_ID, "%s", id);
        rc = is_public(vpc) ? make_address(vpc, wish, id, face, bounds, err) : 0;
    }
    lithops_value_free(answer);
    return rc;
}

/* ---- looking --------------------------------------------------------------------------------- */

static const struct lithops__cloud_state states[] = {
    {"pending", LITHOPS__MACHINE_COMING},    {"starting", LITHOPS__MACHINE_COMING},
    {"restarting", LITHOPS__MACHINE_COMING}, {"running", LITHOPS__MACHINE_RUNNING},
    {"stopping", LITHOPS__MACHINE_STOPPING}, {"stopped", LITHOPS__MACHINE_STOPPED},
    {"failed", LITHOPS__MACHINE_FAILED},     {NULL, LITHOPS__MACHINE_GONE},
};
/* Before the id of an address, where that of a machine could be. */
static const char address_prefix[] = "floating_ip.";

struct listing {
    const struct lithops__machine_query *query;
    const lithops_value *addresses;
    const char *public_ip; /* that is configured; or NULL */
    lithops__machine_visit *visit;
    void *user;
};

static bool is_wanted(const struct listing *listing, const struct lithops__machine *machine)
{
    const struct lithops__machine_query *query = listing->query;
    return query->id || strcmp(machine->tags[query->tag], query->value) == 0;
}

static void visit_machine(const lithops_value *item, void *user)
{
    const struct listing *listing = user;
    struct lithops__machine one = {
        .state = lithops__cloud_state(states, lithops__cloud_text(item, "status"))};
    const lithops_value *face = lithops_value_get(item, "primary_network_interface"),
                        *why = lithops__cloud_first(lithops_value_get(item, "status_reasons"));
    (void)read_name(lithops__cloud_text(item, "name"), one.tags);
    if (!lithops__cloud_is_id(lithops__cloud_text(item, "id")) || !is_wanted(listing, &one))
        return;
    snprintf(one.id, sizeof one.id, "%s", lithops__cloud_text(item, "id"));
    snprintf(one.private_ip, sizeof one.private_ip, "%.63s",
             lithops__cloud_text(lithops_value_get(face, "primary_ip"), "address"));
    snprintf(one.public_ip, sizeof one.public_ip, "%.63s",
             listing->public_ip ? listing->public_ip : "");
    for (size_t i = 0; i < lithops_value_size(listing->addresses); i++) {
        const lithops_value *address = lithops_value_at(listing->addresses, i);
        const char *id = lithops__cloud_text(face, "id");
        if (*id && strcmp(id_of(address, "target"), id) == 0)
            snprintf(one.public_ip, sizeof one.public_ip, "%.63s",
                     lithops__cloud_text(address, "address"));
    }
    if (why)
        snprintf(one.why, sizeof one.why, "%.60s: %.90s", lithops__cloud_text(why, "code"),
                 lithops__cloud_text(why, "message"));
    listing->visit(&one, listing->user);
}

static void visit_address(const lithops_value *item, const struct listing *listing)
{
    struct lithops__machine one = {.state = LITHOPS__MACHINE_FAILED,
                                   .why = "its machine is gone, and the floating IP is left"};
    const char *id = lithops__cloud_text(item, "id");
    if (*id_of(item, "target") || !lithops__cloud_is_id(id) ||
        !read_name(lithops__cloud_text(item, "name"), one.tags) || !is_wanted(listing, &one))
        return;
    snprintf(one.id, sizeof one.id, "%s%.100s", address_prefix, id);
    listing->visit(&one, listing->user);
}

static void keep_address(const lithops_value *item, void *user)
{
    lithops_value **all = user;
    if (*all && lithops_value_append(*all, lithops_value_copy(item)) != 0) {
        lithops_value_free(*all);
        *all = NULL;
    }
}

/* @param ret_all  a list of them, which the caller frees, on failure too */
static int list_addresses(struct vpc *vpc, const struct lithops__bounds *bounds,
                          lithops_value **ret_all, lithops_error *err)
{
    char filter[2 * PLACE];
    group_filter(vpc, filter);
    *ret_all = lithops_value_list();
    int rc = ask_all(
        vpc, (struct kind){"list_floating_ips", "floating_ips", filter, keep_address, ret_all},
        bounds, err);
    return rc == 0 && !*ret_all ? lithops__cloud_fail_memory(&vpc->rest, err) : rc;
}

static int vpc_list(void *state, const struct lithops__machine_query *query,
                    const struct lithops__bounds *bounds, lithops__machine_visit *visit, void *user,
                    lithops_error *err)
{
    struct vpc *vpc = state;
    lithops_value *addresses = NULL, *machine = NULL;
    struct listing listing = {query, NULL, query->id ? text_of(vpc, "floating_ip") : NULL, visit,
                              user};
    char filter[2 * PLACE];
    if (query->id && !lithops__cloud_is_id(query->id))
        return lithops__fail(err, LITHOPS_ECONFIG, "'%.100s' is no id of a machine of IBM's",
                             query->id);
    group_filter(vpc, filter);
    int rc =
        is_public(vpc) && !listing.public_ip ? list_addresses(vpc, bounds, &addresses, err) : 0;
    listing.addresses = addresses;
    if (rc == 0 && query->id)
        rc = ask(vpc, "GET", "get_instance", path_of("instances", query->id, NULL), NULL, bounds,
                 &machine, err);
    else if (rc == 0)
        rc = ask_all(vpc,
                     (struct kind){"list_instances", "instances", filter, visit_machine, &listing},
                     bounds, err);
    if (rc == 0 && machine)
        visit_machine(machine, &listing);
    for (size_t i = 0; rc == 0 && !query->id && i < lithops_value_size(addresses); i++)
        visit_address(lithops_value_at(addresses, i), &listing);
    lithops_value_free(machine);
    lithops_value_free(addresses);
    return rc;
}

/* ---- the rest -------------------------------------------------------------------------------- */

static int vpc_start(void *state, const char *id, const struct lithops__bounds *bounds,
                     lithops_error *err)
{
    return ask(state, "POST", "create_instance_action", path_of("instances", id, "actions"),
               lithops_pack("{s:s}", "type", "start"), bounds, NULL, err);
}

static int delete_address(void *state, const char *id, const struct lithops__bounds *bounds,
                          lithops_error *err)
{
    return ask(state, "DELETE", "delete_floating_ip", path_of("floating_ips", id, NULL), NULL,
               bounds, NULL, err);
}

static int delete_one(void *state, const char *id, const struct lithops__bounds *bounds,
                      lithops_error *err)
{
    size_t len = sizeof address_prefix - 1;
    if (strncmp(id, address_prefix, len) == 0)
        return delete_address(state, id + len, bounds, err);
    return ask(state, "DELETE", "delete_instance", path_of("instances", id, NULL), NULL, bounds,
               NULL, err);
}

/* The addresses of these machines, by their names: they may have no target any more. */
static int delete_addresses(struct vpc *vpc, const char *const *ids, size_t count,
                            const struct lithops__bounds *bounds, lithops_error *err)
{
    lithops_value *all = NULL;
    lithops__machine_tags tags;
    size_t found = 0;
    int rc = list_addresses(vpc, bounds, &all, err);
    const char **theirs = rc == 0 ? calloc(lithops_value_size(all) + 1, sizeof *theirs) : NULL;
    for (size_t i = 0; theirs && i < lithops_value_size(all); i++) {
        const lithops_value *one = lithops_value_at(all, i);
        const char *of = read_name(lithops__cloud_text(one, "name"), tags);
        bool is_theirs = false;
        for (size_t m = 0; of && m < count; m++)
            is_theirs |= strcmp(of, tail_of(ids[m])) == 0;
        if (is_theirs)
            theirs[found++] = lithops__cloud_text(one, "id");
    }
    if (theirs)
        rc = lithops__cloud_each(vpc, theirs, found, bounds, delete_address, err);
    else if (rc == 0)
        rc = lithops__cloud_fail_memory(&vpc->rest, err);
    free(theirs);
    lithops_value_free(all);
    return rc;
}

/* Addresses go first, as nobody would look for those of machines that are gone. Where they cannot,
 * machines go all the same: they cost more. */
static int vpc_terminate(void *state, const char *const *ids, size_t count,
                         const struct lithops__bounds *bounds, lithops_error *err)
{
    lithops_error of_addresses = LITHOPS_ERROR_INIT;
    int first = is_public(state) ? delete_addresses(state, ids, count, bounds, &of_addresses) : 0;
    int rc = lithops__cloud_each(state, ids, count, bounds, delete_one, err);
    if (rc == 0 && first != 0)
        *err = of_addresses;
    return rc ? rc : first;
}

/* Its name is changed; its address keeps the one that it has. */
static int vpc_tag(void *state, const char *id, const lithops__machine_tags tags,
                   const struct lithops__bounds *bounds, lithops_error *err)
{
    char name[NAME];
    int rc = make_name(tags, id, name, err);
    return rc ? rc
              : ask(state, "PATCH", "update_instance", path_of("instances", id, NULL),
                    lithops_pack("{s:s}", "name", name), bounds, NULL, err);
}

/* It is told by the metadata service who it is, and by IBM which address it has, that goes right
 * after it: without it there is no way to IBM. Where no address is, the way is the private one. It
 * tries for half an hour, and then is turned off. cloud-init needs Python, so that is there. */
static void vpc_add_end(const void *state, enum lithops__machine_ending how,
                        struct lithops__buffer *out)
{
    const struct vpc *vpc = state;
    if (how == LITHOPS__ENDING_LENT || !text_of(vpc, "trusted_profile"))
        return;
    lithops__cloud_add_call(out);
    lithops__buffer_append_string(
        out,
        "get() { python3 -c \"import json, sys; d = json.load(sys.stdin); print($1)\"; }\n"
        "meta() { a=$1 p=$2; shift 2; call \"$a\" \"" METADATA "/$p?" METADATA_VERSION
        "\" --noproxy '*' -H Metadata-Flavor:ibm -H Content-Type:application/json \"$@\"; }\n");
    if (text_of(vpc, "endpoint") || is_public(vpc))
        lithops__buffer_printf(out, "e=%s" API "instances\n", vpc->rest.endpoint);
    else
        lithops__buffer_printf(out, "e=https://%s.private.iaas.cloud.ibm.com" API "instances\n",
                               vpc->region);
    lithops__buffer_append_string(
        out, "q='" VERSION "'\n"
             "end() {\n"
             "t=none\n"
             "t=$(meta PUT instance_identity/v1/token -d '{}' | get 'd[\"access_token\"]')\n"
             "i=$(meta GET metadata/v1/instance | get 'd[\"id\"]')\n"
             "t=$(meta POST instance_identity/v1/iam_token -d '{}' | get 'd[\"access_token\"]')\n"
             "[ \"$i\" ] || return\n");
    if (how == LITHOPS__ENDING_STOPS)
        lithops__buffer_append_string(
            out, "call POST \"$e/$i/actions?$q\" -H Content-Type:application/json "
                 "-d '{\"type\": \"stop\"}'\n");
    if (how == LITHOPS__ENDING_DELETES && is_public(vpc))
        lithops__buffer_append_string(
            out, "n=$(call GET \"$e/$i?$q\" | get 'd[\"primary_network_interface\"][\"id\"]')\n"
                 "f=$(call GET \"$e/$i/network_interfaces/$n/floating_ips?$q\" |\n"
                 "    get '\" \".join(f[\"id\"] for f in d[\"floating_ips\"])')\n");
    if (how == LITHOPS__ENDING_DELETES)
        lithops__buffer_append_string(
            out, "call DELETE \"$e/$i?$q\" &&\n" /* else it still needs its address, to ask again */
                 "for f in ${f-}; do call DELETE \"${e%instances}floating_ips/$f?$q\"; done\n");
    lithops__buffer_append_string(out, "}\n"
                                       "for s in 5 10 20 40 80 160 300 300 300 300 300; do\n"
                                       "    end >/dev/null 2>&1; sleep $s\n"
                                       "done\n");
}

const struct lithops__cloud lithops__cloud_ibm_vpc = {
    .name = "ibm_vpc",
    .title = "IBM Cloud VPC",
    .trial = "the profile, the subnet and the image of its machines are there",
    .id_key = "instance_id",
    .state_size = sizeof(struct vpc),
    .open = vpc_open,
    .close = vpc_close,
    .describe = vpc_describe,
    .cpus = vpc_cpus,
    .create = vpc_create,
    .list = vpc_list,
    .start = vpc_start,
    .terminate = vpc_terminate,
    .tag = vpc_tag,
    .add_end = vpc_add_end,
};
