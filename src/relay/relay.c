/* SPDX-License-Identifier: Apache-2.0 */
/* The relay: opened, closed, and told to cancel. */
#include "relay/relay.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "function/elsewhere.h"
#include "ipc/bell.h"
#include "ipc/queue.h"
#include "ipc/settle.h"
#include "relay/link.h"
#include "relay/objects.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    MOST_COMMAND = 64,
    LOST_TIMEOUT_MS = 15000,
    CARRIED_IDLE_MS = 10000,
    MOST_CARRIED_IDLE_MS = 240000, /* the worker itself gives up after 5 minutes */
    CARRIED_LOST_TIMES = 4,
};

static void wake(void *relay)
{
    lithops__relay_wake(relay);
}

/* [L] Without memory for it, workers know the job until its number has another one. */
static void note_freed(void *user, uint32_t range)
{
    struct lithops__relay *relay = user;
    if (relay->freed_count == relay->freed_capacity) {
        size_t capacity = relay->freed_capacity ? relay->freed_capacity * 2 : 16;
        uint32_t *more = realloc(relay->freed, capacity * sizeof *more);
        if (!more)
            return;
        relay->freed = more;
        relay->freed_capacity = capacity;
    }
    relay->freed[relay->freed_count++] = range;
    if (relay->freed_count == 1)
        wake(relay);
}

/* ---- opening and closing --------------------------------------------------------------------- */

static void free_relay(struct lithops__relay *relay)
{
    lithops__objects_free(relay->objects);
    lithops__carrier_close(relay->carrier);
    for (uint32_t i = 0; relay->links && i < relay->link_count; i++) {
        struct lithops__link *link = &relay->links[i];
        for (uint32_t a = 0; a < link->capacity; a++)
            free(link->activations[a].marks);
        free(link->activations);
        free(link->jobs);
        for (size_t c = 0; c < LITHOPS__REGION_CLASSES; c++)
            free(link->region.retired[c].pages);
    }
    free(relay->links);
    lithops__pipes_deinit(&relay->pipes);
    for (size_t i = 0; i < relay->hash_count; i++)
        free(relay->hashes[i].path);
    free(relay->hashes);
    for (size_t i = 0; relay->command && relay->command[i]; i++)
        free(relay->command[i]);
    free(relay->command);
    lithops_value_free(relay->kit);
    if (relay->event_fd >= 0)
        close(relay->event_fd);
    free(relay->state);
    free(relay->guest_fds);
    free(relay->freed);
    pthread_cond_destroy(&relay->helm_back);
    pthread_mutex_destroy(&relay->helm);
    free(relay);
}

static int copy_command(struct lithops__relay *relay, const char *const *command,
                        lithops_error *err)
{
    size_t count = 0;
    while (command && command[count])
        count++;
    if (!command)
        return 0;
    if (count == 0 || count > MOST_COMMAND)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "worker_command has %zu words: 1 to %d are needed", count,
                             MOST_COMMAND);
    relay->command = calloc(count + 1, sizeof *relay->command);
    for (size_t i = 0; relay->command && i < count; i++)
        if (!(relay->command[i] = strdup(command[i])))
            return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    return relay->command ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
}

/* Is a file ("tools/x.py", "tools.py") of one of the modules? */
static bool is_of(const lithops_value *modules, const char *name)
{
    size_t len = strcspn(name, "./");
    for (size_t i = 0; i < lithops_value_size(modules); i++) {
        const char *module = lithops_value_get_string(lithops_value_at(modules, i));
        if (module && strlen(module) == len && memcmp(module, name, len) == 0)
            return true;
    }
    return false;
}

/* Modules that are in the workers' runtime stay behind. */
static int leave_out(lithops_value *kit, const lithops_value *installed, lithops_error *err)
{
    const lithops_value *files = lithops_value_get(kit, "files"),
                        *own = lithops_value_get(kit, "own");
    lithops_value *sent = lithops_value_list();
    bool good = sent != NULL;
    char left[256] = "";
    size_t used = 0;
    for (size_t i = 0; good && i < lithops_value_size(files); i++) {
        const lithops_value *file = lithops_value_at(files, i);
        const char *name = lithops_value_get_string(lithops_value_at(file, 1));
        if (!name || is_of(own, name) || !is_of(installed, name))
            good = lithops_value_append(sent, lithops_value_copy(file)) == 0;
        else if (used + strlen(name) + 3 < sizeof left)
            used +=
                (size_t)snprintf(left + used, sizeof left - used, "%s%s", used ? ", " : "", name);
    }
    if (used > 0)
        lithops__log(LITHOPS_LOG_WARNING, "executor",
                     "not sent, as the workers' runtime has modules of these names: %s", left);
    if (good && lithops_value_set(kit, "files", sent) == 0)
        return 0;
    if (!good)
        lithops_value_free(sent);
    return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
}

/* On other machines the runtime names what replaces the command. */
static int take_kit(struct lithops__relay *relay, lithops_error *err)
{
    lithops_value *kit = lithops__runtime_kit(err);
    if (!kit)
        return err->code;
    if (lithops_value_size(kit) == 0) {
        lithops_value_free(kit);
        return 0;
    }
    relay->kit = kit;
    const lithops_value *installed = relay->table->installed;
    if (installed && leave_out(kit, installed, err) != 0)
        return err->code;
    const lithops_value *words = lithops_value_get(kit, "arguments");
    size_t count = lithops_value_size(words) + 1;
    const char **command = calloc(count + 1, sizeof *command);
    if (!command)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    command[0] = lithops_value_get_string(lithops_value_get(kit, "program"));
    for (size_t i = 1; i < count; i++)
        command[i] = lithops_value_get_string(lithops_value_at(words, i - 1));
    int rc = copy_command(relay, command, err);
    free(command);
    return rc;
}

/* Workers that are reached through a storage do not stay when nobody needs them: each costs
 * requests while it waits, and nothing tells it that its client is gone. */
static int open_carrier(struct lithops__relay *relay, lithops_error *err)
{
    lithops_workers *workers = &relay->workers;
    if (!workers->through_storage)
        return 0;
    if (!relay->driver->ops->invoke)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "the backend %s cannot start workers that are reached through a "
                             "storage: it needs an invoke",
                             relay->driver->name);
    if (workers->idle_timeout_ms == 0)
        workers->idle_timeout_ms = CARRIED_IDLE_MS;
    if (workers->idle_timeout_ms > MOST_CARRIED_IDLE_MS)
        workers->idle_timeout_ms = MOST_CARRIED_IDLE_MS;
    workers->kept_workers = 0;
    workers->lost_timeout_ms *= CARRIED_LOST_TIMES;
    return lithops__carrier_open(relay->config, relay->table->area.control->executor_id,
                                 workers->workers, &relay->carrier, err);
}

int lithops__relay_protocol(void)
{
    return LITHOPS__WIRE_PROTOCOL;
}

static int make_links(struct lithops__relay *relay, lithops_error *err)
{
    struct lithops__area *area = &relay->table->area;
    uint32_t count = relay->workers.workers;
    relay->links = calloc(count, sizeof *relay->links);
    relay->guest_fds = calloc(1 + 2 * (size_t)count, sizeof *relay->guest_fds);
    if (!relay->links || !relay->guest_fds)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    for (; relay->link_count < count; relay->link_count++) {
        struct lithops__link *link = &relay->links[relay->link_count];
        link->relay = relay;
        link->worker = relay->link_count;
        link->line = &area->control->workers[link->worker];
        relay->driver->ops->name(relay->state, link->worker, link->name, sizeof link->name);
        if (lithops__region_init(&link->region, area, link->worker) != 0)
            return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        int rc = lithops__table_name_worker(relay->table, link->worker, link->name, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int start_thread(struct lithops__relay *relay, lithops_error *err)
{
    int rc = lithops__thread_start(&relay->thread, lithops__relay_run, relay);
    return rc ? lithops__fail_errno(err, rc, "cannot start a thread") : 0;
}

int lithops__relay_open(const lithops_link_driver *driver, const lithops_value *settings,
                        struct lithops__table *table, const struct lithops__config *config,
                        const char *const *worker_command, struct lithops__relay **ret_relay,
                        lithops_error *err)
{
    lithops_error own = LITHOPS_ERROR_INIT;
    err = err ? err : &own;
    struct lithops__relay *relay = calloc(1, sizeof *relay);
    if (!relay)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    pthread_mutex_init(&relay->helm, NULL);
    pthread_cond_init(&relay->helm_back, NULL);
    relay->driver = driver;
    relay->table = table;
    relay->config = config;
    relay->event_fd = lithops__high_fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    relay->state = calloc(1, driver->state_size ? driver->state_size : 1);
    lithops__pipes_init(&relay->pipes);
    relay->objects = lithops__objects_new(relay);
    int rc = 0;
    if (relay->event_fd < 0)
        rc = lithops__fail_errno(err, errno, "cannot watch workers");
    else if (!relay->state || !relay->objects)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc == 0 && worker_command && driver->is_elsewhere)
        rc = take_kit(relay, err);
    if (rc == 0 && !relay->command)
        rc = copy_command(relay, worker_command, err);
    if (rc == 0)
        rc = driver->ops->open(driver, relay->state, settings,
                               relay->kit ? relay->command[0] : NULL, &relay->workers, err);
    bool is_open = rc == 0;
    if (relay->workers.min_workers == 0)
        relay->workers.min_workers = 1;
    if (!lithops__config_is_given(config, "lithops", "execution_timeout"))
        relay->usual_timeout_ms =
            1000 * (uint64_t)lithops__config_int(config, "lithops", "execution_timeout");
    if (relay->workers.lost_timeout_ms == 0)
        relay->workers.lost_timeout_ms = LOST_TIMEOUT_MS;
    if (rc == 0)
        rc = open_carrier(relay, err);
    if (rc == 0)
        rc = make_links(relay, err);
    if (rc == 0) {
        table->area.control->wake_fd = relay->event_fd;
        table->wake = wake;
        table->wake_user = relay;
        table->freed = note_freed;
        lithops__service_set(table, &lithops__relay_service, relay);
        rc = start_thread(relay, err);
    }
    if (rc == 0) {
        *ret_relay = relay;
        return 0;
    }
    table->area.control->wake_fd = 0;
    table->wake = NULL;
    table->freed = NULL;
    lithops__service_set(table, NULL, NULL);
    if (is_open)
        driver->ops->close(relay->state);
    free_relay(relay);
    return rc;
}

static void say_bye(struct lithops__link *link)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    if (!lithops__link_is_up(link))
        return;
    (void)lithops__frame_write(&link->out, LITHOPS__MESSAGE_BYE, 0, NULL, (lithops_bytes){NULL, 0},
                               &err);
    lithops__link_write(link);
    lithops__link_told(link);
}

void lithops__relay_close(struct lithops__relay *relay)
{
    struct lithops__table *table = relay->table;
    pthread_mutex_lock(&table->lock);
    relay->closing = true;
    pthread_mutex_unlock(&table->lock);
    wake(relay);
    pthread_join(relay->thread, NULL);
    lithops__service_end(table);
    lithops__relay_cancel_starts(relay);
    lithops_error canceled = LITHOPS_ERROR_INIT;
    lithops__fail(&canceled, LITHOPS_ECANCELED, "the call was cancelled");
    for (uint32_t i = 0; i < relay->link_count; i++) /* all end at the same time */
        say_bye(&relay->links[i]);
    for (uint32_t i = 0; i < relay->link_count; i++)
        lithops__link_lost(&relay->links[i], &canceled);
    pthread_mutex_lock(&table->lock);
    table->wake = NULL;
    table->freed = NULL;
    pthread_mutex_unlock(&table->lock);
    table->area.control->wake_fd = 0;
    lithops__carrier_await(relay->carrier);
    relay->driver->ops->close(relay->state);
    free_relay(relay);
}

void lithops__relay_cancel(struct lithops__relay *relay, uint32_t range, uint64_t begin,
                           uint64_t end)
{
    bool any = false;
    for (uint32_t i = 0; i < relay->link_count; i++) {
        const struct lithops__link *link = &relay->links[i];
        for (uint32_t a = 0; a < link->capacity; a++) {
            struct lithops__activation *activation = &link->activations[a];
            if (!activation->in_use || activation->range != range)
                continue;
            for (uint32_t c = 0; c < activation->count; c++)
                if (activation->begin + c >= begin && activation->begin + c < end &&
                    activation->cancels[c] == 0) {
                    activation->cancels[c] = LITHOPS__CANCEL_ASKED;
                    activation->cancel = any = true;
                }
        }
    }
    if (any) {
        relay->has_cancel = true;
        wake(relay);
    }
}
