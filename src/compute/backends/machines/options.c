/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/error.h"
#include "base/read_text.h"
#include "base/user_folder.h"
#include "compute/backends/machines/machines.h"

#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { SLACK_S = 600 }; /* for a guard that is late, and clocks that differ */

const char *const lithops__machine_tag_names[LITHOPS__TAGS] = {
    [LITHOPS__TAG_OWNER] = "lithops-owner",     [LITHOPS__TAG_CLIENT] = "lithops-client",
    [LITHOPS__TAG_PROCESS] = "lithops-process", [LITHOPS__TAG_EXECUTOR] = "lithops-executor",
    [LITHOPS__TAG_GROUP] = "lithops-group",     [LITHOPS__TAG_EXPIRES] = "lithops-expires",
};

static const char *text_of(const lithops_value *settings, const char *key)
{
    const char *text = lithops_value_get_string(lithops_value_get(settings, key));
    return text && *text ? text : NULL;
}

static uint32_t number_of(const lithops_value *settings, const char *key)
{
    int64_t number = lithops_value_get_int(lithops_value_get(settings, key));
    return number > 0 ? (uint32_t)number : 0;
}

/* ---- who, and what is alike ------------------------------------------------------------------ */

/* Clouds differ in what a tag may hold; all take these. */
static void set_owner(struct lithops__machines_options *options)
{
    char host[65] = "", room[2048];
    struct passwd entry, *user = NULL;
    (void)getpwuid_r(getuid(), &entry, room, sizeof room, &user);
    (void)gethostname(host, sizeof host - 1);
    snprintf(options->owner, sizeof options->owner, "%.40s-%.60s", user ? user->pw_name : "uid",
             host);
    for (char *c = options->owner; *c; c++) {
        bool is_upper = *c >= 'A' && *c <= 'Z';
        *c = (char)(is_upper ? *c - 'A' + 'a' : *c);
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-_", *c))
            *c = '-';
    }
    options->owner[63] = '\0';
}

static int set_group(struct lithops__machines_options *options, lithops_error *err)
{
    struct lithops__buffer text = LITHOPS__BUFFER_INIT;
    const char *user = text_of(options->settings, "ssh_username");
    uint64_t hash = 14695981039346656037u;
    options->cloud->describe(options->api, &text);
    lithops__buffer_printf(&text, "|%s|%s|%u|%u|%d", user ? user : "",
                           options->public_key ? options->public_key : "", options->soft_s,
                           options->hard_s, options->is_guarded);
    static const char *const lists[] = {"extra_apt_packages", "extra_python_packages"};
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++) {
        const lithops_value *list = lithops_value_get(options->settings, lists[l]);
        for (size_t i = 0; i < lithops_value_size(list); i++)
            lithops__buffer_printf(&text, "|%s",
                                   lithops_value_get_string(lithops_value_at(list, i)));
    }
    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ text.data[i]) * 1099511628211u;
    bool failed = text.failed;
    lithops__buffer_deinit(&text);
    snprintf(options->group, sizeof options->group, "%016llx", (unsigned long long)hash);
    return failed ? lithops__fail(err, LITHOPS_ENOMEM, "out of memory") : 0;
}

void lithops__machine_make_tags(const struct lithops__machines_options *options,
                                const char *executor, lithops__machine_tags ret_tags)
{
    uint64_t until_s = lithops__wall_ns() / 1000000000 + options->start_s + options->soft_s +
                       options->hard_s + SLACK_S;
    const size_t size = sizeof ret_tags[0];
    snprintf(ret_tags[LITHOPS__TAG_OWNER], size, "%s", options->owner);
    snprintf(ret_tags[LITHOPS__TAG_CLIENT], size, "%s", options->client);
    snprintf(ret_tags[LITHOPS__TAG_PROCESS], size, "%d", (int)getpid());
    snprintf(ret_tags[LITHOPS__TAG_EXECUTOR], size, "%s", executor);
    snprintf(ret_tags[LITHOPS__TAG_GROUP], size, "%s", options->group);
    bool goes = lithops_value_get_bool(lithops_value_get(options->settings, "delete_on_dismantle"));
    snprintf(ret_tags[LITHOPS__TAG_EXPIRES], size, "%llu%s",
             options->is_guarded ? (unsigned long long)until_s : 0ULL, goes ? "-delete" : "");
}

/* A lease begins no later than what is left after it, so the second one is whole, too. */
uint32_t lithops__machine_limit(const struct lithops__machines_options *options)
{
    uint64_t limit_s =
        (uint64_t)options->start_s + options->soft_s + 2 * (uint64_t)options->hard_s + SLACK_S;
    return !options->is_guarded ? 0 : limit_s < UINT32_MAX ? (uint32_t)limit_s : UINT32_MAX;
}

bool lithops__machines_are_arm(void)
{
    struct utsname name;
    return uname(&name) == 0 && strcmp(name.machine, "aarch64") == 0;
}

/* ---- the key --------------------------------------------------------------------------------- */

/* A line of a file FILE.pub; a `~/` in front is the home. */
static char *read_public_key(const char *file)
{
    char path[4096], line[16384];
    const char *home = getenv("HOME");
    if (strncmp(file, "~/", 2) == 0)
        snprintf(path, sizeof path, "%s/%s.pub", home ? home : "", file + 2);
    else
        snprintf(path, sizeof path, "%s.pub", file);
    if (lithops__read_text(path, line, sizeof line) <= 0)
        return NULL;
    line[strcspn(line, "\r\n")] = '\0';
    return (strncmp(line, "ssh-", 4) == 0 || strncmp(line, "ecdsa-", 6) == 0 ||
            strncmp(line, "sk-", 3) == 0) &&
                   !strpbrk(line, "'\\\"")
               ? strdup(line)
               : NULL;
}

static int find_public_key(struct lithops__machines_options *options, lithops_error *err)
{
    static const char *const usual[] = {"~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"};
    const char *file = options->ssh.key;
    if (file)
        options->public_key = read_public_key(file);
    for (size_t i = 0; !file && !options->public_key && i < sizeof usual / sizeof *usual; i++)
        options->public_key = read_public_key(usual[i]);
    if (options->public_key || text_of(options->settings, "ssh_key_name"))
        return 0;
    return lithops__fail(err, LITHOPS_ECONFIG,
                         "machines of %s need an SSH key: there is no %s%s; make one with "
                         "'ssh-keygen -t ed25519', or name one by %s.ssh_key_filename",
                         options->cloud->title, file ? file : "~/.ssh/id_ed25519", ".pub",
                         options->cloud->name);
}

/* ---- ssh ------------------------------------------------------------------------------------- */

/* A machine's host key is not known before: it is trusted at first sight, and then must stay the
 * same. It is kept in a file of our own, under the machine's name, as addresses come back. */
static int add_known_hosts(struct lithops__machines_options *options, lithops_error *err)
{
    static const char name[] = "/machines";
    char folder[PATH_MAX];
    size_t count = 0;
    lithops__cache_folder(folder, sizeof folder - sizeof name);
    memcpy(folder + strlen(folder), name, sizeof name);
    int failed = lithops__make_folders(folder);
    if (failed)
        return lithops__fail_errno(err, failed, "cannot create '%s'", folder);
    while (options->ssh.options[count])
        count++;
    char **more = realloc(options->ssh.options, (count + 3) * sizeof *more);
    if (!more)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    options->ssh.options = more;
    more[count + 1] = more[count + 2] = NULL;
    more[count] = strdup("StrictHostKeyChecking=accept-new");
    if (more[count] &&
        asprintf(&more[count + 1], "UserKnownHostsFile=\"%s/known_hosts\"", folder) < 0)
        more[count + 1] = NULL;
    return more[count] && more[count + 1] ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
}

void lithops__machine_host(const struct lithops__machines_options *options, const char *id,
                           const char *address, struct lithops__vm_host *ret_host)
{
    const lithops_value *settings = options->settings;
    *ret_host = (struct lithops__vm_host){
        .name = (char *)(uintptr_t)address,
        .label = (char *)(uintptr_t)id,
        .user = (char *)(uintptr_t)text_of(settings, "ssh_username"),
        .port = (int)lithops_value_get_int(lithops_value_get(settings, "ssh_port")),
        .key_name = id};
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int read_mode(struct lithops__machines_options *options, lithops_error *err)
{
    const char *mode = text_of(options->settings, "exec_mode");
    const char *address = text_of(options->settings, "ssh_address");
    options->mode = mode && strcmp(mode, "consume") == 0  ? LITHOPS__MACHINES_CONSUME
                    : mode && strcmp(mode, "create") == 0 ? LITHOPS__MACHINES_CREATE
                                                          : LITHOPS__MACHINES_REUSE;
    options->id = text_of(options->settings, options->cloud->id_key);
    options->is_private = address && strcmp(address, "private") == 0;
    options->is_public = address && strcmp(address, "public") == 0;
    if (options->mode == LITHOPS__MACHINES_CONSUME && !options->id)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "exec_mode 'consume' uses a machine that is there: name it by "
                             "%s.%s, or set standalone.exec_mode to create or reuse",
                             options->cloud->name, options->cloud->id_key);
    return options->mode == LITHOPS__MACHINES_CONSUME ? 0 : find_public_key(options, err);
}

int lithops__machines_options_read(const struct lithops__cloud *cloud,
                                   const lithops_value *settings,
                                   struct lithops__machines_options *options, lithops_error *err)
{
    *options = (struct lithops__machines_options){.cloud = cloud};
    options->settings = lithops_value_copy(settings);
    void *api = options->settings ? calloc(1, cloud->state_size) : NULL;
    if (!api)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    options->api = api;
    int rc = cloud->open(api, options->settings, err);
    if (rc == 0)
        rc = lithops__vm_options_read(options->settings, cloud->name, &options->ssh, err);
    if (rc == 0)
        rc = add_known_hosts(options, err);
    if (rc == 0)
        rc = read_mode(options, err);
    if (rc != 0)
        return rc;
    double lost =
        lithops_value_get_double(lithops_value_get(options->settings, "worker_lost_timeout"));
    bool is_one = options->mode == LITHOPS__MACHINES_CONSUME;
    options->max_workers = is_one ? 1 : number_of(options->settings, "max_workers");
    options->worker_processes = number_of(options->settings, "worker_processes");
    if (!options->worker_processes && !is_one)
        options->worker_processes = cloud->cpus(api);
    options->start_s = number_of(options->settings, "start_timeout");
    options->soft_s = number_of(options->settings, "soft_dismantle_timeout");
    options->hard_s = number_of(options->settings, "hard_dismantle_timeout");
    options->is_guarded =
        lithops_value_get_bool(lithops_value_get(options->settings, "auto_dismantle"));
    options->lost_ms = lost > 0 ? (uint32_t)(lost * 1000) : 0;
    set_owner(options);
    lithops__client_mark(options->client);
    return set_group(options, err);
}

void lithops__machines_options_deinit(struct lithops__machines_options *options)
{
    if (options->api)
        options->cloud->close(options->api);
    free(options->api);
    free(options->public_key);
    lithops__vm_options_deinit(&options->ssh);
    lithops_value_free(options->settings);
    *options = (struct lithops__machines_options){.cloud = options->cloud};
}
