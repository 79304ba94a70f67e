/* SPDX-License-Identifier: Apache-2.0 */
/* The hosts of the configuration: `ip_address`, or `hosts`, whose items are names or maps. */
#include "base/error.h"
#include "compute/backends/vm/vm.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_HOSTS = 4096 };

static int refuse(lithops_error *err, uint32_t number, const char *what)
{
    return lithops__fail(err, LITHOPS_ECONFIG,
                         "vm.hosts: item %u %s: write a name, user@name:port, or a map with name, "
                         "worker_processes, weight, python",
                         number + 1, what);
}

/* ssh gets it as an argument, and its configuration may pass it to a shell. */
static bool is_name(const char *text)
{
    if (!text[0] || text[0] == '-' || strlen(text) > 255)
        return false;
    for (const char *c = text; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr(".-_:%@+\\", *c) && !(*c & 0x80))
            return false;
    return true;
}

/* [user@]name[:port]; an IPv6 address with a port is [address]:port. */
static bool split(struct lithops__vm_host *host, const char *text)
{
    const char *at = strrchr(text, '@'), *name = at ? at + 1 : text;
    const char *colon = strrchr(name, ':'), *end = name + strlen(name);
    bool is_bracketed = name[0] == '[' && strchr(name, ']');
    if (is_bracketed) {
        colon = strchr(name, ']') + 1;
        name++;
        end = colon - 1;
        if (*colon != ':' && *colon)
            return false;
        colon = *colon ? colon : NULL;
    } else if (colon && memchr(name, ':', (size_t)(colon - name))) {
        colon = NULL; /* an address of IPv6 as it is */
    } else if (colon) {
        end = colon;
    }
    if (colon) {
        char *rest;
        long port = strtol(colon + 1, &rest, 10);
        if (!isdigit((unsigned char)colon[1]) || *rest || port < 1 || port > 65535)
            return false;
        host->port = (int)port;
    }
    if (at && at > text) {
        free(host->user);
        host->user = strndup(text, (size_t)(at - text));
    }
    host->name = strndup(name, (size_t)(end - name));
    return (!at || at > text) && host->name && is_name(host->name) &&
           (!host->user || is_name(host->user));
}

static char *copy(const char *text)
{
    return text ? strdup(text) : NULL;
}

static int read_map(struct lithops__vm_hosts *hosts, uint32_t number, const lithops_value *item,
                    lithops_error *err)
{
    static const char *const keys[] = {"name", "worker_processes", "weight", "python"};
    lithops_worker *worker = &hosts->each[number];
    for (size_t i = 0; i < lithops_value_size(item); i++) {
        const char *key;
        size_t k = 0;
        (void)lithops_value_pair(item, i, &key);
        while (k < sizeof keys / sizeof *keys && strcmp(key, keys[k]) != 0)
            k++;
        if (k == sizeof keys / sizeof *keys)
            return refuse(err, number, "has an unknown key");
    }
    const lithops_value *processes = lithops_value_get(item, "worker_processes");
    const lithops_value *weight = lithops_value_get(item, "weight");
    const lithops_value *python = lithops_value_get(item, "python");
    if (lithops_value_type(processes) == LITHOPS_INT && lithops_value_get_int(processes) >= 1 &&
        lithops_value_get_int(processes) <= 4096)
        worker->worker_processes = (uint32_t)lithops_value_get_int(processes);
    else if (processes)
        return refuse(err, number, "has an invalid worker_processes: 1 to 4096 are allowed");
    if (weight)
        worker->weight = lithops_value_get_double(weight);
    if (!(worker->weight > 0 && worker->weight <= 1e6))
        return refuse(err, number, "has a weight that is not above 0");
    if (python && !lithops_value_get_string(python))
        return refuse(err, number, "has a python that is not a path");
    hosts->hosts[number].python = copy(lithops_value_get_string(python));
    return 0;
}

static int read_host(struct lithops__vm_hosts *hosts, const lithops_value *settings,
                     const lithops_value *item, lithops_error *err)
{
    uint32_t number = hosts->count++;
    struct lithops__vm_host *host = &hosts->hosts[number];
    const lithops_value *processes = lithops_value_get(settings, "worker_processes");
    bool is_map = lithops_value_type(item) == LITHOPS_MAP;
    const char *text = lithops_value_get_string(is_map ? lithops_value_get(item, "name") : item);
    hosts->each[number].weight = 1;
    if (lithops_value_type(processes) == LITHOPS_INT)
        hosts->each[number].worker_processes = (uint32_t)lithops_value_get_int(processes);
    host->user = copy(lithops_value_get_string(lithops_value_get(settings, "ssh_username")));
    host->port = (int)lithops_value_get_int(lithops_value_get(settings, "ssh_port"));
    host->label = copy(text);
    if (!text || !split(host, text))
        return refuse(err, number, "names no host");
    return is_map ? read_map(hosts, number, item, err) : 0;
}

int lithops__vm_read_hosts(const lithops_value *settings, struct lithops__vm_hosts *ret_hosts,
                           lithops_error *err)
{
    const lithops_value *list = lithops_value_get(settings, "hosts");
    const lithops_value *address = lithops_value_get(settings, "ip_address");
    bool has_list = list && lithops_value_type(list) != LITHOPS_NULL;
    if (has_list && lithops_value_type(list) != LITHOPS_LIST)
        return lithops__fail(err, LITHOPS_ECONFIG, "vm.hosts must be a list");
    size_t count = has_list ? lithops_value_size(list) : lithops_value_get_string(address) ? 1 : 0;
    if (count == 0)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "the backend vm needs hosts: set vm.hosts to a list of names, or "
                             "vm.ip_address to one");
    if (count > MOST_HOSTS)
        return lithops__fail(err, LITHOPS_ECONFIG, "vm.hosts has %zu hosts: up to %d are possible",
                             count, MOST_HOSTS);
    struct lithops__vm_hosts hosts = {.hosts = calloc(count, sizeof *hosts.hosts),
                                      .each = calloc(count, sizeof *hosts.each)};
    int rc = hosts.hosts && hosts.each ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = read_host(&hosts, settings, has_list ? lithops_value_at(list, i) : address, err);
    if (rc == 0)
        *ret_hosts = hosts;
    else
        lithops__vm_hosts_deinit(&hosts);
    return rc;
}

void lithops__vm_hosts_deinit(struct lithops__vm_hosts *hosts)
{
    for (uint32_t i = 0; i < hosts->count; i++) {
        free(hosts->hosts[i].name);
        free(hosts->hosts[i].label);
        free(hosts->hosts[i].user);
        free(hosts->hosts[i].python);
    }
    free(hosts->hosts);
    free(hosts->each);
}

struct lithops__bootstrap lithops__vm_wants(const struct lithops__vm_options *options,
                                            const struct lithops__vm_host *host, const char *python,
                                            bool is_test)
{
    const char *image = options->container.image;
    return (struct lithops__bootstrap){
        .python = python,
        .python_path = host->python ? host->python : options->python,
        .python_key = host->python || !options->python ? "its python in vm.hosts" : "vm.runtime",
        .leave_out = image ? "use another image (vm.runtime)" : "leave it out of vm.hosts",
        .container = image ? &options->container : NULL,
        .is_test = is_test,
        /* ssh's own time limit comes first, since its message says what it waited for. */
        .timeout_s = options->connect_timeout_s + 2,
    };
}
