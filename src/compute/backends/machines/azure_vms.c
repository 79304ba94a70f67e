/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual machines of Azure, by its Resource Manager.
 *
 * A machine's id is its name, which is the token of the wish: so a request that is made twice makes
 * one machine. Its network interface, address and disk are made by the same request, and go with
 * it. One that is turned off from within is billed on until it is deallocated. So a machine has a
 * managed identity, with whose token it deletes or deallocates itself, and tries until it can.
 *
 * A list of machines tells neither whether they run nor their addresses, which is asked of each,
 * and kept for a while. */
#include "base/clock.h"
#include "base/error.h"
#include "compute/backends/machines/machines.h"
#include "net/oauth.h"
#include "net/sign.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define COMPUTE "api-version=2024-07-01"
#define NETWORK "api-version=2024-05-01"
#define NETWORK_OF_MACHINES "2020-11-01" /* one of those that a machine may name */
#define METADATA "http://169.254.169.254/metadata"
#define UBUNTU "Canonical:ubuntu-24_04-lts:server"

enum { KNOWN_S = 20, PLACE = 1024 };
static const uint64_t second_ns = 1000000000;

/* A machine that ran when it was asked about. */
struct known {
    struct known *next;
    uint64_t until_ns;
    char id[LITHOPS__MACHINE_ID];
    char public_ip[LITHOPS__MACHINE_ADDRESS], private_ip[LITHOPS__MACHINE_ADDRESS];
};

struct azure {
    struct lithops__cloud_rest rest;
    const char *region;
    char *group;  /* the path of the resource group, as in ids */
    char *subnet; /* the path of it; NULL: none is configured */
    pthread_mutex_t lock;
    struct known *known; /* under lock */
};

static const char *text_of(const struct azure *azure, const char *key)
{
    return lithops__cloud_setting(azure->rest.settings, key);
}

static bool is_on(const struct azure *azure, const char *key)
{
    return lithops__cloud_is_on(azure->rest.settings, key);
}

/* ---- errors ---------------------------------------------------------------------------------- */

static const char quota[] = "; lower max_workers, or ask Microsoft for a higher quota";
static const char capacity[] =
    "; try later, or another worker_instance_type or region of azure_vms";
static const char login[] = "; check the login of the client and the clock";
static const char permission[] = "; the client's identity needs that permission";

static const struct lithops__web_code codes[] = {
    {"AuthenticationFailed", LITHOPS_EDENIED, false, login},
    {"ExpiredAuthenticationToken", LITHOPS_EDENIED, false, login},
    {"InvalidAuthenticationToken", LITHOPS_EDENIED, false, login},
    {"AuthorizationFailed", LITHOPS_EDENIED, false, permission},
    {"LinkedAuthorizationFailed", LITHOPS_EDENIED, false, permission},
    {"SubscriptionNotFound", LITHOPS_ECONFIG, false, "; correct azure_vms.subscription_id"},
    {"InvalidSubscriptionId", LITHOPS_ECONFIG, false, "; correct azure_vms.subscription_id"},
    {"ResourceGroupNotFound", LITHOPS_ECONFIG, false, "; correct azure_vms.resource_group"},
    {"PlatformImageNotFound", LITHOPS_ECONFIG, false, "; correct azure_vms.image_id"},
    {"ImageNotFound", LITHOPS_ECONFIG, false, "; correct azure_vms.image_id"},
    {"SkuNotAvailable", LITHOPS_ETHROTTLED, false, capacity},
    {"AllocationFailed", LITHOPS_ETHROTTLED, false, capacity},
    {"ZonalAllocationFailed", LITHOPS_ETHROTTLED, false, capacity},
    {"OverconstrainedAllocationRequest", LITHOPS_ETHROTTLED, false, capacity},
    {"OperationNotAllowed", LITHOPS_ETHROTTLED, false, quota},
    {"QuotaExceeded", LITHOPS_ETHROTTLED, false, quota},
    {"PublicIPCountLimitReached", LITHOPS_ETHROTTLED, false, quota},
    {"TooManyRequests", LITHOPS_ETHROTTLED, true, NULL},
    {"SubscriptionRequestsThrottled", LITHOPS_ETHROTTLED, true, NULL},
    {"RetryableError", LITHOPS_EBACKEND, true, NULL},
    {NULL, 0, false, NULL},
};
static const char *const expired[] = {"ExpiredAuthenticationToken", "InvalidAuthenticationToken",
                                      "AuthenticationFailed", NULL};

/* ---- opening --------------------------------------------------------------------------------- */

/* The id of a resource that the user names by its id, or by its name in the group. NULL: out of
 * memory */
static char *id_of(const struct azure *azure, const char *kind, const char *name)
{
    char *id = NULL;
    if (name[0] == '/')
        return strdup(name);
    return asprintf(&id, "%s/providers/%s/%s", azure->group, kind, name) < 0 ? NULL : id;
}

static bool is_clean(const char *text)
{
    return !text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                              "-_./()")] &&
           !strstr(text, "..");
}

static int fail_name(const char *key, const char *name, lithops_error *err)
{
    return lithops__fail(err, LITHOPS_ECONFIG, "azure_vms.%s is '%.100s', which is none", key,
                         name);
}

static int find_subnet(struct azure *azure, lithops_error *err)
{
    const char *subnet = text_of(azure, "subnet_id"), *network = text_of(azure, "vnet_id"),
               *name = text_of(azure, "subnet_name");
    network = network ? network : text_of(azure, "vnet_name");
    if (!subnet && !network)
        return 0;
    char *whole = id_of(azure, "Microsoft.Network/virtualNetworks", network ? network : "");
    if (subnet)
        azure->subnet = strdup(subnet);
    else if (whole && asprintf(&azure->subnet, "%s/subnets/%s", whole, name ? name : "default") < 0)
        azure->subnet = NULL;
    free(whole);
    if (!azure->subnet)
        return lithops__cloud_fail_memory(&azure->rest, err);
    return azure->subnet[0] == '/' && is_clean(azure->subnet)
               ? 0
               : fail_name(subnet ? "subnet_id" : "vnet_name", azure->subnet, err);
}

static int find_place(struct azure *azure, lithops_error *err)
{
    static const char *const needed[] = {"subscription_id", "resource_group", NULL};
    for (const char *const *key = needed; *key; key++) {
        const char *text = text_of(azure, *key);
        if (!text)
            return lithops__fail(err, LITHOPS_ECONFIG,
                                 "the backend azure_vms needs the key '%s' in its section, or in "
                                 "the section 'azure'",
                                 *key);
        if (!is_clean(text) || strchr(text, '/'))
            return fail_name(*key, text, err);
    }
    azure->region = text_of(azure, "region");
    azure->region = azure->region ? azure->region : text_of(azure, "location");
    if (!azure->region)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "the backend azure_vms needs the key 'region', as in westeurope");
    if (!is_clean(azure->region) || strchr(azure->region, '/'))
        return fail_name("region", azure->region, err);
    if (asprintf(&azure->group, "/subscriptions/%s/resourceGroups/%s",
                 text_of(azure, "subscription_id"), text_of(azure, "resource_group")) < 0) {
        azure->group = NULL;
        return lithops__cloud_fail_memory(&azure->rest, err);
    }
    int rc = find_subnet(azure, err);
    return rc ? rc : lithops__cloud_rest_find(&azure->rest, "https://management.azure.com", err);
}

static int azure_open(void *state, const lithops_value *settings, lithops_error *err)
{
    struct azure *azure = state;
    struct lithops__cloud_rest *rest = &azure->rest;
    rest->settings = settings;
    rest->section = "azure_vms";
    rest->title = "Microsoft Azure";
    rest->makes = "virtualMachines.createOrUpdate";
    rest->codes = codes;
    rest->expired = expired;
    pthread_mutex_init(&azure->lock, NULL);
    int rc = lithops__web_init(&rest->web, rest->section, NULL, NULL, err);
    if (rc == 0)
        rc = find_place(azure, err);
    if (rc == 0)
        rc = lithops__entra_find(rest->web.http, settings, rest->section, LITHOPS__ENTRA_MANAGEMENT,
                                 &rest->tokens, err);
    if (rc == 0 && !rest->tokens)
        rc = lithops__fail(err, LITHOPS_ECONFIG,
                           "the backend azure_vms needs tenant_id, client_id and client_secret, or "
                           "managed_identity, or token: set one in its section, or in the section "
                           "'azure'");
    return rc;
}

static void azure_close(void *state)
{
    struct azure *azure = state;
    lithops__cloud_rest_close(&azure->rest);
    for (struct known *known = azure->known, *next; known; known = next) {
        next = known->next;
        free(known);
    }
    free(azure->group);
    free(azure->subnet);
    pthread_mutex_destroy(&azure->lock);
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* The path of the machines, of one of them, or of what is to be done with one: NULL where it is not
 * said. */
static char *machines_path(const struct azure *azure, const char *name, const char *verb)
{
    struct lithops__buffer path = LITHOPS__BUFFER_INIT;
    lithops__buffer_printf(&path, "%s/providers/Microsoft.Compute/virtualMachines", azure->group);
    if (name)
        lithops__buffer_printf(&path, "/%s", name);
    if (verb)
        lithops__buffer_printf(&path, "/%s", verb);
    lithops__buffer_append_string(&path, "?" COMPUTE);
    return lithops__buffer_steal(&path);
}

static int ask(struct azure *azure, const char *method, const char *what, char *path,
               lithops_value *body, const struct lithops__bounds *bounds,
               lithops_value **ret_answer, lithops_error *err)
{
    const struct lithops__cloud_question question = {method, what, path, body};
    return lithops__cloud_ask(&azure->rest, &question, bounds, ret_answer, err);
}

/* A resource, by its id. ENOTFOUND */
static int get(struct azure *azure, const char *what, const char *id, const char *version,
               const struct lithops__bounds *bounds, lithops_value **ret_answer, lithops_error *err)
{
    char *path = NULL;
    if (id[0] != '/' || !is_clean(id))
        return lithops__fail(err, LITHOPS_EBACKEND, "'%.100s' is no id of a resource of Azure's",
                             id);
    if (asprintf(&path, "%s?%s", id, version) < 0)
        path = NULL;
    return ask(azure, "GET", what, path, NULL, bounds, ret_answer, err);
}

/* ---- making ---------------------------------------------------------------------------------- */

static const char *type_of(const struct azure *azure)
{
    const char *type = text_of(azure, "worker_instance_type");
    return type ? type : lithops__machines_are_arm() ? "Standard_B2ps_v2" : "Standard_B2s";
}

/* The number in its name, as in Standard_D4s_v5; of E8-2s_v5 the second one. Those of old series
 * count otherwise. */
static uint32_t azure_cpus(const void *state)
{
    const char *type = type_of(state), *name = strchr(type, '_');
    name = name ? name + 1 : type;
    size_t letters = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    bool is_old = (strncmp(name, "DS", letters) == 0 || strncmp(name, "D", letters) == 0 ||
                   strncmp(name, "GS", letters) == 0 || strncmp(name, "G", letters) == 0) &&
                  (!strstr(name, "_v") || strstr(name, "_v2"));
    char *end;
    unsigned long cpus = strtoul(name + letters, &end, 10);
    if (*end == '-')
        cpus = strtoul(end + 1, &end, 10);
    return is_old || letters == 0 || cpus > 1024 ? 0 : (uint32_t)cpus;
}

/* What a machine ends itself with. */
static const char *identity_of(const struct azure *azure)
{
    return text_of(azure, "identity");
}

static void azure_describe(const void *state, struct lithops__buffer *out)
{
    const struct azure *azure = state;
    static const char *const keys[] = {"image_id", "boot_disk_type", "security_group_id",
                                       "security_group_name", "identity"};
    lithops__buffer_printf(out, "%s %s %s|%s|%d", azure->group, azure->region, type_of(azure),
                           azure->subnet ? azure->subnet : "",
                           lithops__cloud_is_public(azure->rest.settings));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        lithops__buffer_printf(out, "|%s", text_of(azure, keys[i]) ? text_of(azure, keys[i]) : "");
    lithops__buffer_printf(
        out, "|%lld%d%d",
        (long long)lithops_value_get_int(lithops_value_get(azure->rest.settings, "boot_disk_size")),
        is_on(azure, "request_spot_instances"), is_on(azure, "delete_on_dismantle"));
}

/* Of an id, or of PUBLISHER:OFFER:SKU:VERSION. NULL: out of memory */
static lithops_value *image_of(const struct azure *azure)
{
    const char *image = text_of(azure, "image_id");
    char name[PLACE], *parts[4] = {name, NULL, NULL, NULL}, *rest = name;
    if (image && strncasecmp(image, "/communityGalleries/", 20) == 0)
        return lithops_pack("{s:s}", "communityGalleryImageId", image);
    if (image && strncasecmp(image, "/sharedGalleries/", 17) == 0)
        return lithops_pack("{s:s}", "sharedGalleryImageId", image);
    if (image && !strchr(image, ':'))
        return lithops_pack("{s:s}", "id", image);
    snprintf(name, sizeof name, "%s",
             image                         ? image
             : lithops__machines_are_arm() ? UBUNTU "-arm64:latest"
                                           : UBUNTU ":latest");
    for (size_t i = 0; i < 4; i++)
        parts[i] = rest ? strsep(&rest, ":") : NULL;
    return lithops_pack("{s:s,s:s,s:s,s:s}", "publisher", parts[0], "offer",
                        parts[1] ? parts[1] : "", "sku", parts[2] ? parts[2] : "", "version",
                        parts[3] ? parts[3] : "latest");
}

static lithops_value *storage_of(const struct azure *azure)
{
    int64_t size = lithops_value_get_int(lithops_value_get(azure->rest.settings, "boot_disk_size"));
    const char *type = text_of(azure, "boot_disk_type");
    lithops_value *image = image_of(azure),
                  *disk = lithops_pack("{s:s,s:s,s:{s:s}}", "createOption", "FromImage",
                                       "deleteOption", "Delete", "managedDisk",
                                       "storageAccountType", type ? type : "StandardSSD_LRS");
    lithops_value *storage = NULL;
    if (disk && image &&
        (size <= 0 || lithops_value_set(disk, "diskSizeGB", lithops_value_int(size)) == 0))
        storage = lithops_pack("{s:O,s:O}", "imageReference", image, "osDisk", disk);
    lithops_value_free(image);
    lithops_value_free(disk);
    return storage;
}

/* An interface and an address, which are made with the machine, and go with it. */
static lithops_value *network_of(const struct azure *azure, const char *name)
{
    const char *group = text_of(azure, "security_group_id");
    group = group ? group : text_of(azure, "security_group_name");
    char *rules = group ? id_of(azure, "Microsoft.Network/networkSecurityGroups", group) : NULL;
    lithops_value *address =
        lithops_pack("{s:{s:s},s:b}", "subnet", "id", azure->subnet, "primary", 1);
    int rc = address && (rules || !group) ? 0 : LITHOPS_ENOMEM;
    if (rc == 0 && lithops__cloud_is_public(azure->rest.settings))
        rc = lithops_value_set(address, "publicIPAddressConfiguration",
                               lithops_pack("{s:s,s:{s:s},s:{s:s,s:s}}", "name", name, "sku",
                                            "name", "Standard", "properties", "deleteOption",
                                            "Delete", "publicIPAllocationMethod", "Static"));
    lithops_value *face =
        rc == 0 ? lithops_pack("{s:b,s:s,s:[{s:s,s:O}]}", "primary", 1, "deleteOption", "Delete",
                               "ipConfigurations", "name", "address", "properties", address)
                : NULL;
    if (face && rules &&
        lithops_value_set(face, "networkSecurityGroup", lithops_pack("{s:s}", "id", rules)) != 0)
        rc = LITHOPS_ENOMEM;
    lithops_value *network =
        rc == 0 && face
            ? lithops_pack("{s:s,s:[{s:s,s:O}]}", "networkApiVersion", NETWORK_OF_MACHINES,
                           "networkInterfaceConfigurations", "name", name, "properties", face)
            : NULL;
    lithops_value_free(face);
    lithops_value_free(address);
    free(rules);
    return network;
}

/* No user of Azure's is called root: its key is put there by the script alone. */
static lithops_value *system_of(const struct azure *azure, const struct lithops__machine_wish *wish)
{
    const char *user = text_of(azure, "ssh_username");
    user = user && strcmp(user, "root") != 0 ? user : "ubuntu";
    const char *script = wish->user_data ? wish->user_data : "";
    char *data = malloc(4 * (strlen(script) / 3) + 5), *file = NULL;
    lithops_value *system = NULL;
    if (data)
        lithops__base64((const unsigned char *)script, strlen(script), data);
    if (data && asprintf(&file, "/home/%s/.ssh/authorized_keys", user) >= 0)
        system = lithops_pack(
            "{s:s,s:s,s:s,s:{s:b,s:{s:[{s:s,s:s}]}}}", "computerName", wish->token, "adminUsername",
            user, "customData", data, "linuxConfiguration", "disablePasswordAuthentication", 1,
            "ssh", "publicKeys", "path", file, "keyData", wish->public_key ? wish->public_key : "");
    free(data);
    free(file);
    return system;
}

/* NULL: out of memory */
static lithops_value *properties_of(const struct azure *azure,
                                    const struct lithops__machine_wish *wish)
{
    lithops_value *storage = storage_of(azure), *network = network_of(azure, wish->token),
                  *system = system_of(azure, wish), *properties = NULL;
    double most = lithops_value_get_double(lithops_value_get(azure->rest.settings, "spot_price"));
    if (storage && network && system)
        properties =
            lithops_pack("{s:{s:s},s:O,s:O,s:O}", "hardwareProfile", "vmSize", type_of(azure),
                         "storageProfile", storage, "osProfile", system, "networkProfile", network);
    lithops_value_free(storage);
    lithops_value_free(network);
    lithops_value_free(system);
    if (!properties || !is_on(azure, "request_spot_instances"))
        return properties;
    /* one that is evicted without being deleted keeps its disk */
    int rc = lithops_value_set(properties, "priority", lithops_value_string("Spot"));
    if (rc == 0)
        rc = lithops_value_set(
            properties, "evictionPolicy",
            lithops_value_string(is_on(azure, "delete_on_dismantle") ? "Delete" : "Deallocate"));
    if (rc == 0)
        rc = lithops_value_set(properties, "billingProfile",
                               lithops_pack("{s:f}", "maxPrice", most > 0 ? most : -1.0));
    if (rc == 0)
        return properties;
    lithops_value_free(properties);
    return NULL;
}

/* NULL: out of memory */
static lithops_value *machine_of(const struct azure *azure,
                                 const struct lithops__machine_wish *wish)
{
    const char *name = identity_of(azure);
    char *identity =
        name ? id_of(azure, "Microsoft.ManagedIdentity/userAssignedIdentities", name) : NULL;
    lithops_value *tags = lithops__cloud_pack_tags(wish->tags),
                  *properties = properties_of(azure, wish), *machine = NULL;
    if (tags && properties && (identity || !name))
        machine = lithops_pack("{s:s,s:O,s:O}", "location", azure->region, "tags", tags,
                               "properties", properties);
    if (machine && identity &&
        lithops_value_set(machine, "identity",
                          lithops_pack("{s:s,s:{s:{}}}", "type", "UserAssigned",
                                       "userAssignedIdentities", identity)) != 0) {
        lithops_value_free(machine);
        machine = NULL;
    }
    lithops_value_free(tags);
    lithops_value_free(properties);
    free(identity);
    return machine;
}

/* What can be known without making one. */
static int try_out(struct azure *azure, const struct lithops__bounds *bounds, lithops_error *err)
{
    lithops_value *answer = NULL;
    char *path = NULL;
    bool is_there = false;
    int rc = get(azure, "subnets.get", azure->subnet, NETWORK, bounds, NULL, err);
    if (rc == LITHOPS_ENOTFOUND)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "Microsoft Azure has no subnet '%.300s': correct azure_vms.vnet_name "
                             "and subnet_name, or subnet_id",
                             azure->subnet);
    if (rc != 0)
        return rc;
    if (asprintf(&path, "/subscriptions/%s/providers/Microsoft.Compute/locations/%s/vmSizes?%s",
                 text_of(azure, "subscription_id"), azure->region, COMPUTE) < 0)
        path = NULL;
    rc = ask(azure, "GET", "virtualMachineSizes.list", path, NULL, bounds, &answer, err);
    const lithops_value *sizes = lithops_value_get(answer, "value");
    for (size_t i = 0; i < lithops_value_size(sizes); i++)
        is_there |= strcasecmp(lithops__cloud_text(lithops_value_at(sizes, i), "name"),
                               type_of(azure)) == 0;
    lithops_value_free(answer);
    return rc == 0 && !is_there ? lithops__fail(err, LITHOPS_ECONFIG,
                                                "the region %s has no machines of type '%s': set "
                                                "azure_vms.worker_instance_type, or another region",
                                                azure->region, type_of(azure))
                                : rc;
}

static int check(const struct azure *azure, const struct lithops__machine_wish *wish,
                 lithops_error *err)
{
    if (!azure->subnet)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "machines of Azure are made in a network that is there: name it by "
                             "azure_vms.vnet_name and subnet_name, or by subnet_id");
    if (wish->limit_s && !identity_of(azure))
        return lithops__fail(
            err, LITHOPS_ECONFIG,
            "a machine of Azure that only turns itself off is billed on: name a managed identity "
            "that may delete machines by azure_vms.identity (docs/standalone.md), or set "
            "standalone.auto_dismantle to false, and run 'lithops clean'");
    return 0;
}

/* A conflict is what is told of a machine that is there, as the answer before this one was lost,
 * and of much else: of a lock, or of a provider that is not registered. */
static int judge_conflict(struct azure *azure, const struct lithops__machine_wish *wish,
                          const struct lithops__bounds *bounds, lithops_error *err)
{
    lithops_error conflict = *err;
    lithops_value *machine = NULL;
    lithops__machine_tags tags;
    *err = (lithops_error)LITHOPS_ERROR_INIT;
    int rc = ask(azure, "GET", "virtualMachines.get", machines_path(azure, wish->token, NULL), NULL,
                 bounds, &machine, err);
    lithops__cloud_read_tags(lithops_value_get(machine, "tags"), tags);
    bool is_ours =
        rc == 0 && strcmp(tags[LITHOPS__TAG_EXECUTOR], wish->tags[LITHOPS__TAG_EXECUTOR]) == 0;
    lithops_value_free(machine);
    if (is_ours || rc == LITHOPS_ECANCELED)
        return rc;
    *err = conflict;
    return err->code = LITHOPS_EBACKEND;
}

static int azure_create(void *state, const struct lithops__machine_wish *wish,
                        const struct lithops__bounds *bounds, char ret_id[LITHOPS__MACHINE_ID],
                        lithops_error *err)
{
    struct azure *azure = state;
    int rc = check(azure, wish, err);
    if (rc != 0 || wish->is_trial)
        return rc ? rc : try_out(azure, bounds, err);
    rc = ask(azure, "PUT", azure->rest.makes, machines_path(azure, wish->token, NULL),
             machine_of(azure, wish), bounds, NULL, err);
    if (rc == LITHOPS_EEXIST)
        rc = judge_conflict(azure, wish, bounds, err);
    if (rc == 0)
        snprintf(ret_id, LITHOPS__MACHINE_ID, "%s", wish->token);
    return rc;
}

/* ---- looking --------------------------------------------------------------------------------- */

static const struct lithops__cloud_state states[] = {
    {"starting", LITHOPS__MACHINE_COMING},
    {"running", LITHOPS__MACHINE_RUNNING},
    {"stopping", LITHOPS__MACHINE_STOPPING},
    {"stopped", LITHOPS__MACHINE_STOPPED},
    {"deallocating", LITHOPS__MACHINE_STOPPING},
    {"deallocated", LITHOPS__MACHINE_STOPPED},
    {NULL, LITHOPS__MACHINE_GONE},
};

static const char *after(const char *text, const char *start)
{
    size_t len = strlen(start);
    return strncmp(text, start, len) == 0 ? text + len : NULL;
}

/* What its statuses say. That of one that could not be made is its last one. */
static void read_statuses(const lithops_value *statuses, bool has_failed,
                          struct lithops__machine *machine)
{
    machine->state = has_failed ? LITHOPS__MACHINE_FAILED : LITHOPS__MACHINE_COMING;
    for (size_t i = 0; i < lithops_value_size(statuses); i++) {
        const lithops_value *one = lithops_value_at(statuses, i);
        const char *code = lithops__cloud_text(one, "code");
        const char *power = after(code, "PowerState/");
        const char *failed = after(code, "ProvisioningState/failed");
        if (power && lithops__cloud_state(states, power) != LITHOPS__MACHINE_GONE)
            machine->state = lithops__cloud_state(states, power);
        if (failed)
            snprintf(machine->why, sizeof machine->why, "%.60s%s%.90s", *failed ? failed + 1 : "",
                     *failed ? ": " : "", lithops__cloud_text(one, "message"));
    }
}

/* One that is not there yet has none. */
static int find_addresses(struct azure *azure, const lithops_value *properties,
                          const struct lithops__bounds *bounds, struct lithops__machine *machine,
                          lithops_error *err)
{
    const lithops_value *face = lithops__cloud_first(
        lithops_value_get(lithops_value_get(properties, "networkProfile"), "networkInterfaces"));
    const char *id = lithops__cloud_text(face, "id");
    lithops_value *answer = NULL, *address = NULL;
    int rc = *id ? get(azure, "networkInterfaces.get", id, NETWORK, bounds, &answer, err)
                 : LITHOPS_ENOTFOUND;
    const lithops_value *first =
        lithops_value_get(lithops__cloud_first(lithops_value_get(
                              lithops_value_get(answer, "properties"), "ipConfigurations")),
                          "properties");
    id = lithops__cloud_text(lithops_value_get(first, "publicIPAddress"), "id");
    snprintf(machine->private_ip, sizeof machine->private_ip, "%.63s",
             lithops__cloud_text(first, "privateIPAddress"));
    if (rc == 0 && *id)
        rc = get(azure, "publicIPAddresses.get", id, NETWORK, bounds, &address, err);
    snprintf(machine->public_ip, sizeof machine->public_ip, "%.63s",
             lithops__cloud_text(lithops_value_get(address, "properties"), "ipAddress"));
    lithops_value_free(answer);
    lithops_value_free(address);
    return rc == LITHOPS_ENOTFOUND ? 0 : rc;
}

/* [lock] NULL: it is not known */
static struct known *known_of(const struct azure *azure, const char *id)
{
    struct known *known = azure->known;
    while (known && strcmp(known->id, id) != 0)
        known = known->next;
    return known;
}

static bool recall(struct azure *azure, struct lithops__machine *machine)
{
    pthread_mutex_lock(&azure->lock);
    const struct known *known = known_of(azure, machine->id);
    bool is_known = known && lithops__now_ns() < known->until_ns;
    if (is_known) {
        machine->state = LITHOPS__MACHINE_RUNNING;
        memcpy(machine->public_ip, known->public_ip, sizeof known->public_ip);
        memcpy(machine->private_ip, known->private_ip, sizeof known->private_ip);
    }
    pthread_mutex_unlock(&azure->lock);
    return is_known;
}

static void keep(struct azure *azure, const struct lithops__machine *machine)
{
    bool runs = machine->state == LITHOPS__MACHINE_RUNNING && machine->private_ip[0];
    pthread_mutex_lock(&azure->lock);
    struct known *known = known_of(azure, machine->id);
    if (!known && runs && (known = calloc(1, sizeof *known))) {
        snprintf(known->id, sizeof known->id, "%s", machine->id);
        known->next = azure->known;
        azure->known = known;
    }
    if (known) {
        known->until_ns = runs ? lithops__now_ns() + KNOWN_S * second_ns : 0;
        memcpy(known->public_ip, machine->public_ip, sizeof known->public_ip);
        memcpy(known->private_ip, machine->private_ip, sizeof known->private_ip);
    }
    pthread_mutex_unlock(&azure->lock);
}

/* What a list does not say. */
static int look_at(struct azure *azure, const lithops_value *properties,
                   const struct lithops__bounds *bounds, struct lithops__machine *machine,
                   lithops_error *err)
{
    const char *made = lithops__cloud_text(properties, "provisioningState");
    lithops_value *view = NULL;
    machine->state =
        strcasecmp(made, "Deleting") == 0 ? LITHOPS__MACHINE_GONE : LITHOPS__MACHINE_COMING;
    if (machine->state == LITHOPS__MACHINE_GONE || strcasecmp(made, "Creating") == 0 ||
        recall(azure, machine))
        return 0;
    int rc = ask(azure, "GET", "virtualMachines.instanceView",
                 machines_path(azure, machine->id, "instanceView"), NULL, bounds, &view, err);
    if (rc == 0)
        read_statuses(lithops_value_get(view, "statuses"), strcasecmp(made, "Failed") == 0,
                      machine);
    lithops_value_free(view);
    if (rc == 0 && machine->state == LITHOPS__MACHINE_RUNNING)
        rc = find_addresses(azure, properties, bounds, machine, err);
    if (rc == LITHOPS_ENOTFOUND) { /* it has gone since */
        machine->state = LITHOPS__MACHINE_GONE;
        rc = 0;
    }
    if (rc == 0)
        keep(azure, machine);
    return rc;
}

struct listing {
    struct azure *azure;
    const struct lithops__machine_query *query;
    const struct lithops__bounds *bounds;
    lithops__machine_visit *visit;
    void *user;
    lithops_error error; /* of the first that could not be looked at */
};

static void visit_one(const lithops_value *item, void *user)
{
    struct listing *listing = user;
    const struct lithops__machine_query *query = listing->query;
    struct lithops__machine one = {.state = LITHOPS__MACHINE_COMING};
    const char *name = lithops__cloud_text(item, "name");
    lithops__cloud_read_tags(lithops_value_get(item, "tags"), one.tags);
    if (listing->error.code || !lithops__cloud_is_id(name) ||
        (!query->id && strcmp(one.tags[query->tag], query->value) != 0))
        return;
    snprintf(one.id, sizeof one.id, "%s", name);
    if (look_at(listing->azure, lithops_value_get(item, "properties"), listing->bounds, &one,
                &listing->error) == 0)
        listing->visit(&one, listing->user);
}

/* It names the server, too, which is ours. */
static bool next_page(void *state, const lithops_value *answer, char **ret_path)
{
    (void)state;
    const char *link = strstr(lithops__cloud_text(answer, "nextLink"), "://");
    const char *path = link ? strchr(link + 3, '/') : NULL;
    return !path || (*ret_path = strdup(path)) != NULL;
}

static int azure_list(void *state, const struct lithops__machine_query *query,
                      const struct lithops__bounds *bounds, lithops__machine_visit *visit,
                      void *user, lithops_error *err)
{
    struct azure *azure = state;
    struct listing listing = {azure, query, bounds, visit, user, LITHOPS_ERROR_INIT};
    const struct lithops__cloud_pages pages = {"virtualMachines.list", "value", next_page,
                                               visit_one, &listing};
    lithops_value *answer = NULL;
    int rc;
    if (query->id && !lithops__cloud_is_id(query->id))
        return lithops__fail(err, LITHOPS_ECONFIG, "'%.100s' is no name of a machine of Azure's",
                             query->id);
    if (query->id)
        rc = ask(azure, "GET", "virtualMachines.get", machines_path(azure, query->id, NULL), NULL,
                 bounds, &answer, err);
    else
        rc = lithops__cloud_ask_pages(&azure->rest, &pages, machines_path(azure, NULL, NULL),
                                      bounds, err);
    if (rc == 0 && answer)
        visit_one(answer, &listing);
    lithops_value_free(answer);
    if (rc == 0 && listing.error.code) {
        *err = listing.error;
        rc = err->code;
    }
    return rc;
}

/* ---- the rest -------------------------------------------------------------------------------- */

static int azure_start(void *state, const char *id, const struct lithops__bounds *bounds,
                       lithops_error *err)
{
    return ask(state, "POST", "virtualMachines.start", machines_path(state, id, "start"),
               lithops_value_null(), bounds, NULL, err);
}

static int delete_one(void *state, const char *id, const struct lithops__bounds *bounds,
                      lithops_error *err)
{
    return ask(state, "DELETE", "virtualMachines.delete", machines_path(state, id, NULL), NULL,
               bounds, NULL, err);
}

static int azure_terminate(void *state, const char *const *ids, size_t count,
                           const struct lithops__bounds *bounds, lithops_error *err)
{
    return lithops__cloud_each(state, ids, count, bounds, delete_one, err);
}

/* Tags are replaced as a whole. */
static int azure_tag(void *state, const char *id, const lithops__machine_tags tags,
                     const struct lithops__bounds *bounds, lithops_error *err)
{
    struct azure *azure = state;
    lithops_value *machine = NULL, *all = lithops__cloud_pack_tags(tags);
    int rc = ask(azure, "GET", "virtualMachines.get", machines_path(azure, id, NULL), NULL, bounds,
                 &machine, err);
    const lithops_value *old = lithops_value_get(machine, "tags");
    for (size_t i = 0; rc == 0 && all && i < lithops_value_size(old); i++) {
        const char *name;
        const lithops_value *value = lithops_value_pair(old, i, &name);
        if (!lithops_value_get(all, name) &&
            lithops_value_set(all, name, lithops_value_copy(value)) != 0)
            rc = lithops__cloud_fail_memory(&azure->rest, err);
    }
    if (rc == 0)
        rc = ask(azure, "PATCH", "virtualMachines.update", machines_path(azure, id, NULL),
                 all ? lithops_pack("{s:O}", "tags", all) : NULL, bounds, NULL, err);
    lithops_value_free(all);
    lithops_value_free(machine);
    return rc;
}

/* It is told by the metadata service who it is. What Azure accepts is done later, or fails: so the
 * request is repeated until Azure takes the machine away. It never turns itself off, as it would be
 * billed then and nothing would try again; just the user's does, where Azure does not accept. */
static void azure_add_end(const void *state, enum lithops__machine_ending how,
                          struct lithops__buffer *out)
{
    const struct azure *azure = state;
    const char *name = identity_of(azure);
    bool is_lent = how == LITHOPS__ENDING_LENT;
    char *identity =
        name ? id_of(azure, "Microsoft.ManagedIdentity/userAssignedIdentities", name) : NULL;
    out->failed |= name && !identity;
    if (!name && !is_lent)
        return;
    lithops__cloud_add_call(out);
    lithops__buffer_append_string(
        out,
        "ask() { curl -sf -m 20 --retry 3 --noproxy '*' -H Metadata:true \"" METADATA "/$1\"; }\n"
        "end() {\n"
        "t=$(ask 'identity/oauth2/token?api-version=2018-02-01&resource=");
    lithops__url_encode(out, LITHOPS__ENTRA_MANAGEMENT, strlen(LITHOPS__ENTRA_MANAGEMENT), false);
    if (identity) {
        lithops__buffer_append_string(out, "&msi_res_id=");
        lithops__url_encode(out, identity, strlen(identity), false);
    }
    lithops__buffer_printf(
        out,
        "' | sed 's/.*\"access_token\" *: *\"//; s/\".*//')\n"
        "i=$(ask 'instance/compute/resourceId?api-version=2021-02-01&format=text') || return\n"
        "%s \"%s$i%s?" COMPUTE "\"%s >/dev/null\n}\n",
        how == LITHOPS__ENDING_DELETES ? "call DELETE" : "call POST", azure->rest.endpoint,
        how == LITHOPS__ENDING_DELETES ? "" : "/deallocate",
        how == LITHOPS__ENDING_DELETES ? "" : " -d '' -H Content-Type:application/json");
    lithops__buffer_append_string(
        out,
        is_lent
            ? "! end || while :; do sleep 300; end; done\n"
            : "s=5; while :; do ! end || s=300; sleep $s; [ $s -ge 300 ] || s=$((s * 2)); done\n");
    free(identity);
}

const struct lithops__cloud lithops__cloud_azure_vms = {
    .name = "azure_vms",
    .title = "Microsoft Azure",
    .trial = "the type and the network of its machines are there",
    .id_key = "instance_name",
    .state_size = sizeof(struct azure),
    .open = azure_open,
    .close = azure_close,
    .describe = azure_describe,
    .cpus = azure_cpus,
    .create = azure_create,
    .list = azure_list,
    .start = azure_start,
    .terminate = azure_terminate,
    .tag = azure_tag,
    .add_end = azure_add_end,
};
