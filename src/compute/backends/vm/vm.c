/* SPDX-License-Identifier: Apache-2.0 */
/* The driver of the backend vm. */
#include "compute/backends/vm/vm.h"

#include "base/error.h"
#include "base/log.h"
#include "compute/linked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { END_MS = 2000 };

struct vm {
    struct lithops__vm_hosts hosts;
    struct lithops__vm_options options;
    struct lithops__child *children; /* one per host */
    lithops_value *settings;         /* what strings are borrowed from */
    char python[16];                 /* version that workers need; "": none */
};

/* ---- links ----------------------------------------------------------------------------------- */

static void vm_close(void *state)
{
    struct vm *vm = state;
    lithops__vm_hosts_deinit(&vm->hosts);
    lithops__vm_options_deinit(&vm->options);
    free(vm->children);
    lithops_value_free(vm->settings);
}

static int vm_open(const lithops_link_driver *driver, void *state, const lithops_value *settings,
                   const char *program, lithops_workers *ret_workers, lithops_error *err)
{
    (void)driver;
    struct vm *vm = state;
    if (program && strncmp(program, "python", 6) == 0)
        snprintf(vm->python, sizeof vm->python, "%s", program + 6);
    vm->settings = lithops_value_copy(settings);
    int rc = vm->settings ? lithops__vm_read_hosts(vm->settings, &vm->hosts, err)
                          : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc == 0)
        rc = lithops__vm_options_read(vm->settings, "vm", &vm->options, err);
    vm->children = rc == 0 ? calloc(vm->hosts.count, sizeof *vm->children) : NULL;
    if (rc == 0 && !vm->children)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    int64_t least = lithops_value_get_int(lithops_value_get(settings, "min_hosts"));
    if (rc == 0 && least > vm->hosts.count)
        rc = lithops__fail(err, LITHOPS_ECONFIG, "vm.min_hosts is %lld, but there are %u hosts",
                           (long long)least, vm->hosts.count);
    if (rc != 0) {
        vm_close(vm);
        return rc;
    }
    for (uint32_t i = 0; i < vm->hosts.count; i++)
        vm->children[i].log_fd = -1;
    double lost = lithops_value_get_double(lithops_value_get(settings, "worker_lost_timeout"));
    *ret_workers = (lithops_workers){
        .workers = vm->hosts.count,
        .min_workers = least > 0 ? (uint32_t)least : 1,
        .lost_timeout_ms = lost > 0 ? (uint32_t)(lost * 1000) : 0,
        .each = vm->hosts.each,
    };
    return 0;
}

static void vm_name(void *state, uint32_t worker, char *buf, size_t size)
{
    snprintf(buf, size, "%s", ((struct vm *)state)->hosts.hosts[worker].label);
}

static int vm_connect(void *state, uint32_t number, int cancel_fd, lithops_link *ret_link,
                      lithops_error *err)
{
    struct vm *vm = state;
    const struct lithops__vm_host *host = &vm->hosts.hosts[number];
    struct lithops__child *child = &vm->children[number];
    struct lithops__bootstrap_answer answer;
    int fd = -1;
    int rc = lithops__vm_spawn(&vm->options, host, lithops__bootstrap_command, child, &fd, err);
    if (rc != 0) {
        lithops__error_prefix(err, "host %s", host->label);
        return rc;
    }
    const struct lithops__bootstrap wanted =
        lithops__vm_wants(&vm->options, host, vm->python[0] ? vm->python : NULL, false);
    rc = lithops__bootstrap(fd, cancel_fd, &wanted, &answer, err);
    if (rc != 0) {
        close(fd);
        return lithops__vm_give_up(&vm->options, host, child, err);
    }
    lithops__log(LITHOPS_LOG_INFO, "vm", "host %s: %s, %s, %d CPUs, %lld MiB%s%s%s", host->label,
                 answer.machine, answer.libc, answer.cpus, (long long)answer.memory_mb,
                 answer.container[0] ? ", in a container of " : "", answer.container,
                 answer.has_engine ? "" : "; the engine was sent");
    *ret_link = (lithops_link){.read_fd = fd, .write_fd = fd, .id = number};
    snprintf(ret_link->program, sizeof ret_link->program, "%s", answer.python);
    return 0;
}

static void vm_disconnect(void *state, const lithops_link *link, char *ret_how, size_t size)
{
    struct lithops__child *child = &((struct vm *)state)->children[link->id];
    siginfo_t status;
    lithops__child_reap(child, END_MS, &status);
    if (status.si_pid && status.si_code == CLD_EXITED)
        snprintf(ret_how, size, "ssh ended with exit status %d", status.si_status);
    else
        snprintf(ret_how, size, "ssh was ended");
    lithops__child_log_tail(child, ret_how, size);
    lithops__child_close_log(child);
}

static const lithops_link_ops link_ops = {
    .open = vm_open,
    .close = vm_close,
    .name = vm_name,
    .connect = vm_connect,
    .disconnect = vm_disconnect,
};

static const lithops_link_driver link_driver = {
    .abi = LITHOPS_COMPUTE_ABI,
    .name = "vm",
    .is_elsewhere = true,
    .state_size = sizeof(struct vm),
    .ops = &link_ops,
};

/* ---- the compute backend --------------------------------------------------------------------- */

static int capacity(const struct lithops__compute_driver *driver,
                    const struct lithops__config *config, struct lithops__capacity *ret_capacity,
                    lithops_error *err)
{
    lithops_value *settings = lithops__config_section(config, "vm", true);
    struct lithops__vm_hosts hosts;
    const char *mode = lithops__config_string(config, "standalone", "exec_mode");
    int rc = settings ? lithops__vm_read_hosts(settings, &hosts, err)
                      : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    lithops_value_free(settings);
    if (rc != 0)
        return rc;
    lithops__linked_capacity_of(config, driver->name, hosts.count, ret_capacity);
    lithops__vm_hosts_deinit(&hosts);
    if (mode && strcmp(mode, "create") == 0)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "standalone.exec_mode 'create' makes hosts, but the backend vm uses "
                             "existing ones: set it to consume");
    return 0;
}

/* The hosts of a configuration, without a relay. */
static int open_hosts(struct vm *vm, const struct lithops__config *config,
                      lithops_workers *ret_workers, lithops_error *err)
{
    lithops_value *settings = lithops__linked_settings(config, "vm");
    int rc = settings ? vm_open(&link_driver, vm, settings, NULL, ret_workers, err)
                      : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    lithops_value_free(settings);
    return rc;
}

static int probe(const struct lithops__compute_driver *driver, const struct lithops__config *config,
                 bool start, lithops__probe_say say, void *user, lithops_error *err)
{
    (void)driver;
    struct vm vm = {.settings = NULL};
    lithops_workers workers = {.workers = 0};
    int rc = open_hosts(&vm, config, &workers, err);
    if (rc != 0)
        return rc;
    uint32_t there = lithops__vm_probe(&vm.options, &vm.hosts, start, say, user);
    if (there < workers.min_workers)
        rc = lithops__fail(err, LITHOPS_EBACKEND, "%u of %u hosts are there, %u are needed", there,
                           workers.workers, workers.min_workers);
    vm_close(&vm);
    return rc;
}

/* The host of this name. NULL: there is none, and err says so. */
static const struct lithops__vm_host *find_host(const struct vm *vm, const char *name,
                                                lithops_error *err)
{
    for (uint32_t i = 0; i < vm->hosts.count; i++)
        if (strcmp(vm->hosts.hosts[i].label, name) == 0)
            return &vm->hosts.hosts[i];
    lithops__fail(err, LITHOPS_EUSAGE, "vm.hosts has no '%s'", name);
    return NULL;
}

static int ask(const struct lithops__config *config, const char *machine, const char *arguments,
               lithops__probe_say say, void *user, lithops_error *err)
{
    struct vm vm = {.settings = NULL};
    lithops_workers workers = {.workers = 0};
    int rc = open_hosts(&vm, config, &workers, err);
    if (rc != 0)
        return rc;
    const struct lithops__vm_host *host = machine ? find_host(&vm, machine, err) : NULL;
    struct lithops__vm_hosts one = {.hosts = (struct lithops__vm_host *)host, .count = 1};
    if (machine && !host)
        rc = err->code;
    else
        lithops__vm_ask(&vm.options, machine ? &one : &vm.hosts, arguments, say, user);
    vm_close(&vm);
    return rc;
}

static int attach(const struct lithops__config *config, const char *machine, lithops_error *err)
{
    struct vm vm = {.settings = NULL};
    lithops_workers workers = {.workers = 0};
    int rc = open_hosts(&vm, config, &workers, err);
    if (rc != 0)
        return rc;
    if (!machine && vm.hosts.count == 1)
        machine = vm.hosts.hosts[0].label;
    const struct lithops__vm_host *host = machine ? find_host(&vm, machine, err) : NULL;
    if (!machine)
        lithops__fail(err, LITHOPS_EUSAGE, "vm.hosts has %u hosts: name one, such as %s",
                      vm.hosts.count, vm.hosts.hosts[0].label);
    rc = host ? lithops__vm_attach(&vm.options, host, err) : err->code;
    vm_close(&vm);
    return rc;
}

static const struct lithops__compute_ops vm_ops = {
    .capacity = capacity,
    .open = lithops__linked_open,
    .close = lithops__linked_close,
    .offered = lithops__linked_offered,
    .cancel = lithops__linked_cancel,
    .probe = probe,
    .ask = ask,
    .attach = attach,
};

const struct lithops__compute_driver lithops__compute_vm = {
    .name = "vm",
    .mode = "standalone",
    .summary = "Hosts that one owns, over SSH.",
    .is_direct = true,
    .is_elsewhere = true,
    .state_size = sizeof(struct lithops__linked),
    .ops = &vm_ops,
    .links = &link_driver,
};
