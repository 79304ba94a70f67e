/* SPDX-License-Identifier: Apache-2.0 */
/* The drivers of the backends whose hosts are machines of a cloud. */
#include "compute/backends/machines/machines.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "compute/linked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { END_MS = 2000, PROBE_S = 60 };
/* A worker that has had no call for so long gives its machine back, for others to use. */
enum { IDLE_MS = 10000 };
/* Under it the link driver gets the executor's id. */
static const char executor_key[] = "_executor";

struct machines {
    struct lithops__machines_options options;
    struct lithops__yard *yard;
    struct lithops__machine_sweeper *sweeper;
    struct lithops__hold *holds; /* one per worker */
    char python[16];             /* version that workers need; "": none */
    char python_key[64];         /* that names it, for messages */
};

static const struct lithops__cloud *const clouds[] = {
    &lithops__cloud_aws_ec2, &lithops__cloud_azure_vms, &lithops__cloud_gcp_compute_engine,
    &lithops__cloud_ibm_vpc};

static const struct lithops__cloud *cloud_of(const char *backend)
{
    for (size_t i = 0; i < sizeof clouds / sizeof *clouds; i++)
        if (backend && strcmp(clouds[i]->name, backend) == 0)
            return clouds[i];
    return clouds[0];
}

/* ---- links ----------------------------------------------------------------------------------- */

static void end_lost(const struct lithops__machine *machine, void *user)
{
    lithops__machine_sweeper_add(user, machine->id);
}

static void machines_close(void *state)
{
    struct machines *machines = state;
    if (machines->sweeper && machines->options.mode == LITHOPS__MACHINES_CREATE)
        lithops__yard_visit_lost(machines->yard, end_lost, machines->sweeper);
    lithops__machine_sweeper_free(machines->sweeper);
    lithops__yard_free(machines->yard);
    free(machines->holds);
    lithops__machines_options_deinit(&machines->options);
}

static int machines_open(const lithops_link_driver *driver, void *state,
                         const lithops_value *settings, const char *program,
                         lithops_workers *ret_workers, lithops_error *err)
{
    const struct lithops__cloud *cloud = cloud_of(driver->name);
    struct machines *machines = state;
    struct lithops__machines_options *options = &machines->options;
    const char *executor = lithops_value_get_string(lithops_value_get(settings, executor_key));
    if (program && strncmp(program, "python", 6) == 0)
        snprintf(machines->python, sizeof machines->python, "%s", program + 6);
    snprintf(machines->python_key, sizeof machines->python_key, "%s.runtime", cloud->name);
    int rc = lithops__machines_options_read(cloud, settings, options, err);
    if (rc == 0)
        rc = lithops__yard_new(options, executor, &machines->yard, err);
    if (rc == 0)
        rc = lithops__machine_sweeper_new(options, &machines->sweeper, err);
    machines->holds = rc == 0 ? calloc(options->max_workers, sizeof *machines->holds) : NULL;
    if (rc == 0 && !machines->holds)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc != 0) {
        machines_close(machines);
        return rc;
    }
    for (uint32_t i = 0; i < options->max_workers; i++)
        machines->holds[i].child.log_fd = -1;
    bool is_create = options->mode == LITHOPS__MACHINES_CREATE;
    uint32_t soft_ms = options->soft_s < UINT32_MAX / 1000 ? options->soft_s * 1000 : UINT32_MAX;
    *ret_workers = (lithops_workers){
        .workers = options->max_workers,
        .lost_timeout_ms = options->lost_ms,
        .worker_processes = options->worker_processes,
        .idle_timeout_ms = is_create || soft_ms < IDLE_MS ? soft_ms : IDLE_MS,
    };
    return 0;
}

static void machines_name(void *state, uint32_t worker, char *buf, size_t size)
{
    snprintf(buf, size, "%s-%u", ((struct machines *)state)->options.cloud->name, worker);
}

/* Whoever has it no more: what was made for this executor alone goes. */
static void let_go(struct machines *machines, const struct lithops__hold *hold, bool is_useless)
{
    bool is_created = machines->options.mode == LITHOPS__MACHINES_CREATE;
    if (!hold->id[0])
        return;
    if (is_created || (is_useless && hold->is_made))
        lithops__machine_sweeper_add(machines->sweeper, hold->id);
    else
        lithops__yard_give_back(machines->yard, hold->id, is_useless);
}

static int start_worker(const struct machines *machines, int fd, int cancel_fd,
                        struct lithops__bootstrap_answer *ret_answer, lithops_error *err)
{
    const struct lithops__vm_options *ssh = &machines->options.ssh;
    const struct lithops__bootstrap wanted = {
        .python = machines->python[0] ? machines->python : NULL,
        .python_path = ssh->python,
        .python_key = machines->python_key,
        .leave_out = "use another image",
        .container = ssh->container.image ? &ssh->container : NULL,
        .timeout_s = ssh->connect_timeout_s + 2,
    };
    return lithops__bootstrap(fd, cancel_fd, &wanted, ret_answer, err);
}

static int machines_connect(void *state, uint32_t number, int cancel_fd, lithops_link *ret_link,
                            lithops_error *err)
{
    struct machines *machines = state;
    struct lithops__hold *hold = &machines->holds[number];
    const char *name = machines->options.cloud->name;
    struct lithops__bootstrap_answer answer;
    int fd = -1;
    int rc = lithops__yard_take(machines->yard, cancel_fd, hold, &fd, err);
    if (rc == 0)
        rc = start_worker(machines, fd, cancel_fd, &answer, err);
    if (rc != 0) {
        struct lithops__vm_host host;
        lithops__machine_host(&machines->options, hold->id, hold->id, &host);
        if (fd >= 0) {
            close(fd);
            rc = lithops__vm_give_up(&machines->options.ssh, &host, &hold->child, err);
        }
        let_go(machines, hold, rc != LITHOPS_ECANCELED || hold->is_made);
        return rc;
    }
    uint64_t now = lithops__now_ns();
    lithops__log(LITHOPS_LOG_INFO, name, "%s: %s, %s, %d CPUs, %lld MiB%s%s%s", hold->id,
                 answer.machine, answer.libc, answer.cpus, (long long)answer.memory_mb,
                 answer.container[0] ? ", in a container of " : "", answer.container,
                 answer.has_engine ? "" : "; the engine was sent");
    *ret_link = (lithops_link){
        .read_fd = fd,
        .write_fd = fd,
        .id = number,
        .time_left_ms = hold->until_ns > now ? (int64_t)((hold->until_ns - now) / 1000000) : 0};
    snprintf(ret_link->program, sizeof ret_link->program, "%s", answer.python);
    return 0;
}

static void machines_disconnect(void *state, const lithops_link *link, char *ret_how, size_t size)
{
    struct machines *machines = state;
    struct lithops__hold *hold = &machines->holds[link->id];
    siginfo_t status;
    lithops__child_reap(&hold->child, END_MS, &status);
    if (status.si_pid && status.si_code == CLD_EXITED)
        snprintf(ret_how, size, "%s: ssh ended with exit status %d", hold->id, status.si_status);
    else
        snprintf(ret_how, size, "%s: ssh was ended", hold->id);
    lithops__child_log_tail(&hold->child, ret_how, size);
    lithops__child_close_log(&hold->child);
    let_go(machines, hold, false);
}

static const lithops_link_ops link_ops = {
    .open = machines_open,
    .close = machines_close,
    .name = machines_name,
    .connect = machines_connect,
    .disconnect = machines_disconnect,
};

/* ---- the compute backends -------------------------------------------------------------------- */

static int capacity(const struct lithops__compute_driver *driver,
                    const struct lithops__config *config, struct lithops__capacity *ret_capacity,
                    lithops_error *err)
{
    lithops_value *settings = lithops__linked_settings(config, driver->name);
    if (!settings)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    const char *mode = lithops_value_get_string(lithops_value_get(settings, "exec_mode"));
    int64_t most = lithops_value_get_int(lithops_value_get(settings, "max_workers"));
    bool is_one = mode && strcmp(mode, "consume") == 0;
    lithops_value_free(settings);
    lithops__linked_capacity_of(config, driver->name, is_one ? 1 : (uint32_t)most, ret_capacity);
    return 0;
}

static int open_links(const struct lithops__compute_driver *driver, void *state,
                      struct lithops__table *table, const struct lithops__config *config,
                      const char *const *worker_command, lithops_error *err)
{
    struct lithops__linked *own = state;
    const struct lithops__control *control = table->area.control;
    char id[sizeof control->executor_id + 1];
    snprintf(id, sizeof id, "%.*s", (int)sizeof control->executor_id, control->executor_id);
    lithops_value *settings = lithops__linked_settings(config, driver->name);
    int rc = settings ? lithops_value_set(settings, executor_key, lithops_value_string(id))
                      : LITHOPS_ENOMEM;
    if (rc != 0)
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    else
        rc = lithops__relay_open(driver->links, settings, table, config, worker_command,
                                 &own->relay, err);
    lithops_value_free(settings);
    return rc;
}

static int read_options(const struct lithops__cloud *cloud, const struct lithops__config *config,
                        struct lithops__machines_options *options, lithops_error *err)
{
    lithops_value *settings = lithops__linked_settings(config, cloud->name);
    *options = (struct lithops__machines_options){.cloud = cloud};
    int rc = settings ? lithops__machines_options_read(cloud, settings, options, err)
                      : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    lithops_value_free(settings);
    return rc;
}

static const char *state_name(enum lithops__machine_state state)
{
    static const char *const names[] = {
        [LITHOPS__MACHINE_COMING] = "starting",     [LITHOPS__MACHINE_RUNNING] = "running",
        [LITHOPS__MACHINE_STOPPING] = "stopping",   [LITHOPS__MACHINE_STOPPED] = "stopped",
        [LITHOPS__MACHINE_SUSPENDED] = "suspended", [LITHOPS__MACHINE_FAILED] = "failed",
        [LITHOPS__MACHINE_GONE] = "terminated",
    };
    return names[state];
}

/* A machine costs money, so none is made or started: the cloud says whether one could be. */
static int probe(const struct lithops__compute_driver *driver, const struct lithops__config *config,
                 bool start, lithops__probe_say say, void *user, lithops_error *err)
{
    const struct lithops__cloud *cloud = cloud_of(driver->name);
    const struct lithops__bounds bounds = {lithops__now_ns() + PROBE_S * (uint64_t)1000000000, NULL,
                                           NULL};
    struct lithops__machines_options options;
    struct lithops__machine_list list = {.count = 0};
    char id[LITHOPS__MACHINE_ID] = "", text[256];
    (void)start;
    int rc = read_options(cloud, config, &options, err);
    const struct lithops__machine_query one = {.id = options.id},
                                        group = {.tag = LITHOPS__TAG_GROUP, .value = options.group};
    bool is_one = options.mode == LITHOPS__MACHINES_CONSUME;
    if (rc == 0)
        rc = lithops__machines_list(&options, is_one ? &one : &group, &bounds, &list, err);
    char *user_data = rc == 0 && !is_one ? lithops__lease_user_data(&options) : NULL;
    struct lithops__machine_wish wish = {.user_data = user_data,
                                         .public_key = options.public_key,
                                         .token = "lithops-trial",
                                         .limit_s = lithops__machine_limit(&options),
                                         .is_trial = true};
    lithops__machine_make_tags(&options, "trial", wish.tags);
    if (rc == 0 && !is_one)
        rc = cloud->create(options.api, &wish, &bounds, id, err);
    if (rc == 0 && !is_one)
        say(user, cloud->name, true, cloud->trial);
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        const char *address = lithops__machine_address(&options, &list.each[i]);
        snprintf(text, sizeof text, "%s%s%s", state_name(list.each[i].state), address ? ", " : "",
                 address ? address : "");
        say(user, list.each[i].id, true, text);
    }
    free(user_data);
    free(list.each);
    lithops__machines_options_deinit(&options);
    return rc;
}

static int clean(const struct lithops__compute_driver *driver, const struct lithops__config *config,
                 bool (*is_alive)(const char *executor_id), bool dry_run, uint64_t *ret_removed,
                 lithops_error *err)
{
    struct lithops__machines_options options;
    int rc = read_options(cloud_of(driver->name), config, &options, err);
    if (rc == 0)
        rc = lithops__machines_clean(&options, is_alive, dry_run, ret_removed, err);
    lithops__machines_options_deinit(&options);
    return rc;
}

/* The machines of this client that run, or the one to consume, as hosts. */
struct standing {
    struct lithops__machines_options options;
    struct lithops__machine_list list;
    struct lithops__vm_hosts hosts; /* with names and addresses of the list */
};

static void forget_hosts(struct standing *standing)
{
    free(standing->hosts.hosts);
    free(standing->list.each);
    lithops__machines_options_deinit(&standing->options);
}

/* For forget_hosts(), on failure too.
 * @param name  only that one; NULL: all */
static int find_hosts(const struct lithops__config *config, const char *name,
                      struct standing *ret_standing, lithops_error *err)
{
    struct lithops__machines_options *options = &ret_standing->options;
    struct lithops__machine_list *list = &ret_standing->list;
    struct lithops__vm_hosts *hosts = &ret_standing->hosts;
    const struct lithops__bounds bounds = {lithops__now_ns() + PROBE_S * (uint64_t)1000000000, NULL,
                                           NULL};
    *list = (struct lithops__machine_list){.count = 0};
    *hosts = (struct lithops__vm_hosts){.count = 0};
    int rc = read_options(cloud_of(lithops__config_string(config, "lithops", "backend")), config,
                          options, err);
    if (rc != 0)
        return rc;
    const struct lithops__machine_query query = {
        .id = options->mode == LITHOPS__MACHINES_CONSUME ? options->id : NULL,
        .tag = LITHOPS__TAG_CLIENT,
        .value = options->client};
    rc = lithops__machines_list(options, &query, &bounds, list, err);
    if (rc != 0)
        return rc;
    hosts->hosts = calloc(list->count + 1, sizeof *hosts->hosts);
    if (!hosts->hosts)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    for (size_t i = 0; i < list->count; i++) {
        const struct lithops__machine *machine = &list->each[i];
        const char *address = lithops__machine_address(options, machine);
        if (machine->state == LITHOPS__MACHINE_RUNNING && address &&
            (!name || strcmp(name, machine->id) == 0))
            lithops__machine_host(options, machine->id, address, &hosts->hosts[hosts->count++]);
    }
    return name && hosts->count == 0
               ? lithops__fail(err, LITHOPS_EUSAGE, "no machine '%s' of this client runs at %s",
                               name, options->cloud->title)
               : 0;
}

static int ask(const struct lithops__config *config, const char *machine, const char *arguments,
               lithops__probe_say say, void *user, lithops_error *err)
{
    struct standing standing;
    int rc = find_hosts(config, machine, &standing, err);
    if (rc == 0)
        lithops__vm_ask(&standing.options.ssh, &standing.hosts, arguments, say, user);
    forget_hosts(&standing);
    return rc;
}

static int attach(const struct lithops__config *config, const char *machine, lithops_error *err)
{
    struct standing standing;
    const struct lithops__vm_hosts *hosts = &standing.hosts;
    int rc = find_hosts(config, machine, &standing, err);
    if (rc == 0 && hosts->count == 0)
        rc = lithops__fail(err, LITHOPS_EUSAGE, "no machine of this client runs at %s",
                           standing.options.cloud->title);
    else if (rc == 0 && hosts->count > 1)
        rc = lithops__fail(err, LITHOPS_EUSAGE, "%u machines run: name one, such as %s",
                           hosts->count, hosts->hosts[0].label);
    else if (rc == 0)
        rc = lithops__vm_attach(&standing.options.ssh, &hosts->hosts[0], err);
    forget_hosts(&standing);
    return rc;
}

static const struct lithops__compute_ops machines_ops = {
    .capacity = capacity,
    .open = open_links,
    .close = lithops__linked_close,
    .offered = lithops__linked_offered,
    .cancel = lithops__linked_cancel,
    .probe = probe,
    .ask = ask,
    .attach = attach,
    .clean = clean,
};

#define CLOUD(name_, title_)                                                                       \
    static const lithops_link_driver links_##name_ = {                                             \
        .abi = LITHOPS_COMPUTE_ABI,                                                                \
        .name = #name_,                                                                            \
        .is_elsewhere = true,                                                                      \
        .state_size = sizeof(struct machines),                                                     \
        .ops = &link_ops,                                                                          \
    };                                                                                             \
    const struct lithops__compute_driver lithops__compute_##name_ = {                              \
        .name = #name_,                                                                            \
        .mode = "standalone",                                                                      \
        .summary = "Machines of " title_ ", over SSH.",                                            \
        .is_direct = true,                                                                         \
        .is_elsewhere = true,                                                                      \
        .untested = true,                                                                          \
        .state_size = sizeof(struct lithops__linked),                                              \
        .ops = &machines_ops,                                                                      \
        .links = &links_##name_,                                                                   \
    };

CLOUD(aws_ec2, "Amazon EC2")
CLOUD(azure_vms, "Microsoft Azure")
CLOUD(gcp_compute_engine, "Google Compute Engine")
CLOUD(ibm_vpc, "IBM Cloud VPC")
