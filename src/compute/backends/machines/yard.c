/* SPDX-License-Identifier: Apache-2.0 */
/* The machines that an executor may use, and those that it makes.
 *
 * What the cloud says of the group's machines is asked once for all workers that start, and is good
 * for a second. A machine that was tried is not tried again by this executor for a while. */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "compute/backends/machines/machines.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    LOOK_MS = 1000,
    PAUSE_MS = 1000,
    DENIED_S = 60,
    SHORTEST_S = 30,
    LOST_S = 10,
    FORGOTTEN = 3
};
static const uint64_t second_ns = 1000000000;

struct tried {
    struct tried *next;
    char id[LITHOPS__MACHINE_ID];
    bool is_held;     /* a worker has it */
    bool is_back;     /* this executor's, and free */
    uint64_t when_ns; /* it was found that somebody else has it */
};

struct lithops__yard {
    const struct lithops__machines_options *options;
    char executor[LITHOPS__MACHINE_TAG];
    pthread_mutex_t lock;
    /* under lock */
    struct lithops__machine_list known;
    uint64_t known_ns; /* when it was asked for; 0: not yet */
    struct tried *tried;
    unsigned made;
    bool is_lost; /* whether a machine was made is not known */
};

/* ---- lists ----------------------------------------------------------------------------------- */

struct gathering {
    struct lithops__machine_list list;
    bool failed;
};

static void gather(const struct lithops__machine *machine, void *user)
{
    struct gathering *gathering = user;
    struct lithops__machine_list *list = &gathering->list;
    struct lithops__machine *more = realloc(list->each, (list->count + 1) * sizeof *list->each);
    gathering->failed |= !more;
    if (!more)
        return;
    list->each = more;
    list->each[list->count++] = *machine;
}

int lithops__machines_list(const struct lithops__machines_options *options,
                           const struct lithops__machine_query *query,
                           const struct lithops__bounds *bounds,
                           struct lithops__machine_list *ret_list, lithops_error *err)
{
    struct gathering gathering = {.failed = false};
    int rc = options->cloud->list(options->api, query, bounds, gather, &gathering, err);
    if (rc == 0 && gathering.failed)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a list of machines");
    if (rc == 0)
        *ret_list = gathering.list;
    else
        free(gathering.list.each);
    return rc;
}

const char *lithops__machine_address(const struct lithops__machines_options *options,
                                     const struct lithops__machine *machine)
{
    const char *address = options->is_private     ? machine->private_ip
                          : options->is_public    ? machine->public_ip
                          : machine->public_ip[0] ? machine->public_ip
                                                  : machine->private_ip;
    return address[0] && address[0] != '-' ? address : NULL;
}

int lithops__yard_new(const struct lithops__machines_options *options, const char *executor,
                      struct lithops__yard **ret_yard, lithops_error *err)
{
    struct lithops__yard *yard = calloc(1, sizeof *yard);
    if (!yard)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    yard->options = options;
    snprintf(yard->executor, sizeof yard->executor, "%s", executor ? executor : "");
    pthread_mutex_init(&yard->lock, NULL);
    *ret_yard = yard;
    return 0;
}

void lithops__yard_free(struct lithops__yard *yard)
{
    if (!yard)
        return;
    for (struct tried *tried = yard->tried, *next; tried; tried = next) {
        next = tried->next;
        free(tried);
    }
    free(yard->known.each);
    pthread_mutex_destroy(&yard->lock);
    free(yard);
}

/* [lock] What is known of the group, or asked for. */
static int know(struct lithops__yard *yard, const struct lithops__bounds *bounds,
                lithops_error *err)
{
    const struct lithops__machine_query query = {.tag = LITHOPS__TAG_GROUP,
                                                 .value = yard->options->group};
    struct lithops__machine_list list;
    uint64_t now = lithops__now_ns();
    if (yard->known_ns && now < yard->known_ns + LOOK_MS * (uint64_t)1000000)
        return 0;
    int rc = lithops__machines_list(yard->options, &query, bounds, &list, err);
    if (rc != 0)
        return rc;
    free(yard->known.each);
    yard->known = list;
    yard->known_ns = lithops__now_ns();
    return 0;
}

/* ---- what was tried -------------------------------------------------------------------------- */

/* [lock] NULL: out of memory */
static struct tried *note_of(struct lithops__yard *yard, const char *id)
{
    struct tried *tried = yard->tried;
    while (tried && strcmp(tried->id, id) != 0)
        tried = tried->next;
    if (!tried && (tried = calloc(1, sizeof *tried))) {
        snprintf(tried->id, sizeof tried->id, "%s", id);
        tried->next = yard->tried;
        yard->tried = tried;
    }
    return tried;
}

static void note(struct lithops__yard *yard, const char *id, bool is_held, bool is_back)
{
    pthread_mutex_lock(&yard->lock);
    struct tried *tried = note_of(yard, id);
    if (tried) {
        tried->is_held = is_held;
        tried->is_back = is_back;
        tried->when_ns = is_back ? 0 : lithops__now_ns();
    }
    pthread_mutex_unlock(&yard->lock);
}

void lithops__yard_give_back(struct lithops__yard *yard, const char *id, bool is_useless)
{
    note(yard, id, false, !is_useless);
}

/* Whether the cloud ends it before a lease that begins now is over. */
static bool ends_soon(const struct lithops__yard *yard, const struct lithops__machine *machine)
{
    return machine->state == LITHOPS__MACHINE_RUNNING && machine->until_s > 0 &&
           lithops__wall_ns() / second_ns + yard->options->hard_s + SHORTEST_S > machine->until_s;
}

/* [lock] One that this executor makes is not for others of its workers, until it was given back. */
static bool may_be_taken(struct lithops__yard *yard, const struct lithops__machine *machine)
{
    if ((machine->state != LITHOPS__MACHINE_RUNNING &&
         machine->state != LITHOPS__MACHINE_STOPPED) ||
        ends_soon(yard, machine))
        return false;
    const struct tried *tried = note_of(yard, machine->id);
    bool is_own = strcmp(machine->tags[LITHOPS__TAG_EXECUTOR], yard->executor) == 0;
    if (!tried || tried->is_held || (is_own && !tried->is_back && !tried->when_ns))
        return false;
    return tried->is_back || !tried->when_ns ||
           lithops__now_ns() > tried->when_ns + DENIED_S * second_ns;
}

/* One that is there, running ones first. False: there is none. */
static bool pick(struct lithops__yard *yard, const struct lithops__bounds *bounds,
                 struct lithops__machine *ret_machine, lithops_error *err)
{
    bool is_found = false;
    pthread_mutex_lock(&yard->lock);
    bool is_known = know(yard, bounds, err) == 0;
    for (int pass = 0; is_known && pass < 2; pass++)
        for (size_t i = 0; !is_found && i < yard->known.count; i++) {
            const struct lithops__machine *machine = &yard->known.each[i];
            bool is_running = machine->state == LITHOPS__MACHINE_RUNNING;
            if (is_running != (pass == 0) || !may_be_taken(yard, machine))
                continue;
            is_found = true;
            *ret_machine = *machine;
            note_of(yard, machine->id)->is_held = true;
        }
    pthread_mutex_unlock(&yard->lock);
    return is_found;
}

/* ---- waiting --------------------------------------------------------------------------------- */

static bool is_canceled(void *user)
{
    struct pollfd fd = {.fd = *(const int *)user, .events = POLLIN};
    return fd.fd >= 0 && poll(&fd, 1, 0) > 0;
}

static int pause_for(int cancel_fd, lithops_error *err)
{
    struct pollfd fd = {cancel_fd, POLLIN, 0};
    return poll(&fd, 1, PAUSE_MS) > 0
               ? lithops__fail(err, LITHOPS_ECANCELED, "no worker is needed any more")
               : 0;
}

/* One machine. ENOTFOUND: the cloud does not know it, or not yet. */
static int look(struct lithops__yard *yard, const char *id, const struct lithops__bounds *bounds,
                struct lithops__machine *ret_machine, lithops_error *err)
{
    const struct lithops__machine_query query = {.id = id};
    struct lithops__machine_list own = {.count = 0};
    bool is_one = yard->options->mode == LITHOPS__MACHINES_CONSUME, is_found = false;
    pthread_mutex_lock(&yard->lock);
    int rc = is_one ? lithops__machines_list(yard->options, &query, bounds, &own, err)
                    : know(yard, bounds, err);
    const struct lithops__machine_list *list = is_one ? &own : &yard->known;
    for (size_t i = 0; rc == 0 && !is_found && i < list->count; i++)
        if ((is_found = strcasecmp(list->each[i].id, id) == 0)) /* Azure ignores case */
            *ret_machine = list->each[i];
    pthread_mutex_unlock(&yard->lock);
    free(own.each);
    if (rc == 0 && !is_found)
        rc = lithops__fail(err, LITHOPS_ENOTFOUND, "%s has no machine '%s'",
                           yard->options->cloud->title, id);
    return rc;
}

static int fail_gone(const struct lithops__yard *yard, const struct lithops__machine *machine,
                     lithops_error *err)
{
    lithops__fail(err, LITHOPS_EBACKEND, "%s: the machine %s%s%s: %s", machine->id,
                  machine->state == LITHOPS__MACHINE_FAILED ? "could not be made"
                                                            : "has ended before it was ready",
                  machine->why[0] ? ": " : "", machine->why, yard->options->cloud->title);
    err->retryable = true;
    return err->code;
}

/* Until it runs and has an address. A new one may not be known at once. */
static int await_running(struct lithops__yard *yard, const char *id,
                         const struct lithops__bounds *bounds, int cancel_fd,
                         struct lithops__machine *ret_machine, lithops_error *err)
{
    bool is_running = false, was_there = false;
    unsigned missed = 0;
    for (;;) {
        lithops_error one = LITHOPS_ERROR_INIT;
        int rc = look(yard, id, bounds, ret_machine, &one);
        was_there |= rc == 0;
        missed = rc == LITHOPS_ENOTFOUND ? missed + 1 : 0;
        if (was_there && missed == FORGOTTEN) /* some clouds know nothing of those that are gone */
            return fail_gone(yard, ret_machine, err);
        if (rc == 0 && (ret_machine->state == LITHOPS__MACHINE_GONE ||
                        ret_machine->state == LITHOPS__MACHINE_FAILED))
            return fail_gone(yard, ret_machine, err);
        if (rc == 0)
            is_running = ret_machine->state == LITHOPS__MACHINE_RUNNING;
        if (rc == 0 && is_running && lithops__machine_address(yard->options, ret_machine))
            return 0;
        bool is_over = lithops__now_ns() > bounds->deadline_ns;
        if (rc != 0 && rc != LITHOPS_ENOTFOUND && !(rc == LITHOPS_ETIMEDOUT && is_over)) {
            *err = one;
            return rc;
        }
        if (is_over)
            return lithops__fail(err, LITHOPS_EBACKEND,
                                 "%s: the machine %s within standalone.start_timeout (%u s)%s", id,
                                 is_running ? "has got no address that ssh_address allows"
                                            : "has not started",
                                 yard->options->start_s,
                                 rc == LITHOPS_ENOTFOUND ? ": the cloud does not know it" : "");
        rc = pause_for(cancel_fd, err);
        if (rc != 0)
            return rc;
    }
}

/* ---- taking ---------------------------------------------------------------------------------- */

/* One that has just begun to run refuses connections, and then the key. */
static int take(struct lithops__yard *yard, const struct lithops__lease *lease, bool is_patient,
                uint64_t deadline_ns, int cancel_fd, struct lithops__hold *hold, int *ret_fd,
                lithops_error *err)
{
    uint64_t denied_ns = 0;
    for (;;) {
        *err = (lithops_error)LITHOPS_ERROR_INIT;
        int rc = lithops__lease_take(lease, cancel_fd, &hold->child, ret_fd, err);
        uint64_t now = lithops__now_ns();
        if (rc == 0) {
            bool has_guard = lease->is_guarded || (lease->is_new && yard->options->is_guarded);
            hold->until_ns = has_guard ? now + yard->options->hard_s * second_ns : 0;
            return 0;
        }
        bool is_denied = strstr(err->message, "Permission denied") != NULL;
        denied_ns = is_denied && !denied_ns ? now : denied_ns;
        if (rc == LITHOPS_ECANCELED || rc == LITHOPS_EEXIST || !err->retryable || !is_patient ||
            now > deadline_ns || (is_denied && now > denied_ns + DENIED_S * second_ns)) {
            /* another machine would refuse the key as well */
            err->retryable = err->retryable && !is_denied;
            return rc;
        }
        lithops__log(LITHOPS_LOG_DEBUG, yard->options->cloud->name, "%s", err->message);
        rc = pause_for(cancel_fd, err);
        if (rc != 0)
            return rc;
    }
}

/* So that nobody who cleans takes it for one of the client before. */
static void tag(struct lithops__yard *yard, const char *id, const struct lithops__bounds *bounds)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops__machine_tags tags;
    lithops__machine_make_tags(yard->options, yard->executor, tags);
    if (yard->options->cloud->tag(yard->options->api, id, tags, bounds, &err) != 0)
        lithops__log(LITHOPS_LOG_WARNING, yard->options->cloud->name,
                     "%s: its tags cannot be changed, so that 'lithops clean' of the client before "
                     "may end it: %s",
                     id, err.message);
}

static int take_old(struct lithops__yard *yard, const struct lithops__machine *picked,
                    const struct lithops__bounds *bounds, int cancel_fd, struct lithops__hold *hold,
                    int *ret_fd, lithops_error *err)
{
    const struct lithops__machines_options *options = yard->options;
    struct lithops__machine machine = *picked;
    bool is_stopped = machine.state == LITHOPS__MACHINE_STOPPED;
    int rc = is_stopped ? options->cloud->start(options->api, machine.id, bounds, err) : 0;
    if (rc == 0 && is_stopped) {
        pthread_mutex_lock(&yard->lock);
        yard->known_ns = 0;
        pthread_mutex_unlock(&yard->lock);
        rc = await_running(yard, picked->id, bounds, cancel_fd, &machine, err);
    }
    const struct lithops__lease lease = {.options = options,
                                         .id = machine.id,
                                         .address = lithops__machine_address(options, &machine),
                                         .is_new = true,
                                         .is_guarded = options->is_guarded,
                                         .timeout_s = is_stopped ? options->start_s : 5};
    if (rc == 0 && !lease.address)
        rc = lithops__fail(err, LITHOPS_EBACKEND, "%s: it has no such address", machine.id);
    if (rc == 0)
        rc = take(yard, &lease, is_stopped, bounds->deadline_ns, cancel_fd, hold, ret_fd, err);
    if (rc != 0)
        return rc;
    snprintf(hold->id, sizeof hold->id, "%s", machine.id);
    tag(yard, machine.id, bounds);
    return 0;
}

static void look_whose(const struct lithops__machine *machine, void *user)
{
    *(bool *)user = !machine->tags[LITHOPS__TAG_GROUP][0];
}

static int outlasts_shutdown(const struct lithops__machines_options *options,
                             const struct lithops__bounds *bounds, bool *ret_outlasts,
                             lithops_error *err)
{
    const struct lithops__cloud *cloud = options->cloud;
    const struct lithops__machine_query query = {.id = options->id};
    if (cloud->outlasts_shutdown)
        return cloud->outlasts_shutdown(options->api, options->id, bounds, ret_outlasts, err);
    return cloud->list(options->api, &query, bounds, look_whose, ret_outlasts, err);
}

/* The user's own. It is turned off only if it was off, and if that does not end it for good. */
static int take_own(struct lithops__yard *yard, const struct lithops__bounds *bounds, int cancel_fd,
                    struct lithops__hold *hold, int *ret_fd, lithops_error *err)
{
    const struct lithops__machines_options *options = yard->options;
    const struct lithops__cloud *cloud = options->cloud;
    struct lithops__machine machine = {.id = ""};
    bool outlasts = false, is_started = false;
    int rc = look(yard, options->id, bounds, &machine, err);
    while (rc == 0 && machine.state == LITHOPS__MACHINE_STOPPING) {
        rc = pause_for(cancel_fd, err);
        if (rc == 0)
            rc = look(yard, options->id, bounds, &machine, err);
    }
    if (rc == 0 && machine.state == LITHOPS__MACHINE_SUSPENDED)
        rc = lithops__fail(err, LITHOPS_ECONFIG, "%s is suspended: resume it, or stop it",
                           options->id);
    if (rc == 0 && machine.state == LITHOPS__MACHINE_STOPPED) {
        is_started = true;
        rc = cloud->start(options->api, options->id, bounds, err);
        lithops_error one = LITHOPS_ERROR_INIT;
        if (rc == 0 && options->is_guarded &&
            (outlasts_shutdown(options, bounds, &outlasts, &one) != 0 || !outlasts))
            lithops__log(LITHOPS_LOG_WARNING, cloud->name, "%s stays on when nobody uses it: %s",
                         options->id, one.code ? one.message : "turning it off would delete it");
    }
    if (rc == 0)
        rc = await_running(yard, options->id, bounds, cancel_fd, &machine, err);
    const struct lithops__lease lease = {.options = options,
                                         .id = options->id,
                                         .address = lithops__machine_address(options, &machine),
                                         .is_guarded = is_started && outlasts,
                                         .is_shared = true};
    if (rc == 0)
        rc = take(yard, &lease, is_started, bounds->deadline_ns, cancel_fd, hold, ret_fd, err);
    if (rc == 0)
        snprintf(hold->id, sizeof hold->id, "%s", options->id);
    return rc;
}

/* ---- making ---------------------------------------------------------------------------------- */

static int make(struct lithops__yard *yard, const struct lithops__bounds *bounds,
                struct lithops__hold *hold, lithops_error *err)
{
    const struct lithops__machines_options *options = yard->options;
    char token[64];
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return lithops__fail(err, LITHOPS_EIO, "no random numbers for a machine's token");
    pthread_mutex_lock(&yard->lock);
    unsigned number = yard->made++;
    pthread_mutex_unlock(&yard->lock);
    snprintf(token, sizeof token, "lithops-%u-%016llx", number, (unsigned long long)random);
    char *user_data = lithops__lease_user_data(options);
    struct lithops__machine_wish wish = {.user_data = user_data,
                                         .public_key = options->public_key,
                                         .token = token,
                                         .limit_s = lithops__machine_limit(options)};
    lithops__machine_make_tags(options, yard->executor, wish.tags);
    int rc = user_data ? options->cloud->create(options->api, &wish, bounds, hold->id, err)
                       : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    free(user_data);
    if (rc != 0) {
        bool is_refused = rc == LITHOPS_EDENIED || rc == LITHOPS_ECONFIG || rc == LITHOPS_ENOMEM;
        pthread_mutex_lock(&yard->lock);
        yard->is_lost |= !is_refused;
        pthread_mutex_unlock(&yard->lock);
        hold->is_made = hold->id[0] != '\0';
        return rc;
    }
    hold->is_made = true;
    note(yard, hold->id, true, false);
    lithops__log(LITHOPS_LOG_INFO, options->cloud->name, "%s is made", hold->id);
    return 0;
}

/* By the tag that they were made with; those that are known have been noted. */
void lithops__yard_visit_lost(const struct lithops__yard *yard, lithops__machine_visit *visit,
                              void *user)
{
    const struct lithops__machines_options *options = yard->options;
    const struct lithops__machine_query query = {.tag = LITHOPS__TAG_EXECUTOR,
                                                 .value = yard->executor};
    const struct lithops__bounds bounds = {.deadline_ns = lithops__now_ns() + LOST_S * second_ns};
    struct lithops__machine_list list = {.count = 0};
    lithops_error err = LITHOPS_ERROR_INIT;
    if (!yard->is_lost || !yard->executor[0])
        return;
    if (lithops__machines_list(options, &query, &bounds, &list, &err) != 0)
        lithops__log(LITHOPS_LOG_WARNING, options->cloud->name,
                     "a machine may have been made whose id is not known%s: %s",
                     options->is_guarded ? ", and turns itself off" : "", err.message);
    for (size_t i = 0; i < list.count; i++) {
        const struct tried *tried = yard->tried;
        while (tried && strcmp(tried->id, list.each[i].id) != 0)
            tried = tried->next;
        if (!tried && list.each[i].state != LITHOPS__MACHINE_GONE)
            visit(&list.each[i], user);
    }
    free(list.each);
}

static int take_new(struct lithops__yard *yard, const struct lithops__bounds *bounds, int cancel_fd,
                    struct lithops__hold *hold, int *ret_fd, lithops_error *err)
{
    const struct lithops__machines_options *options = yard->options;
    struct lithops__machine machine;
    int rc = make(yard, bounds, hold, err);
    if (rc == 0)
        rc = await_running(yard, hold->id, bounds, cancel_fd, &machine, err);
    if (rc != 0)
        return rc;
    uint64_t now = lithops__now_ns();
    uint64_t left_s = now < bounds->deadline_ns ? (bounds->deadline_ns - now) / second_ns : 0;
    const struct lithops__lease lease = {.options = options,
                                         .id = hold->id,
                                         .address = lithops__machine_address(options, &machine),
                                         .is_new = true,
                                         .is_guarded = options->is_guarded,
                                         .timeout_s =
                                             left_s > SHORTEST_S ? (uint32_t)left_s : SHORTEST_S};
    return take(yard, &lease, true, bounds->deadline_ns, cancel_fd, hold, ret_fd, err);
}

int lithops__yard_take(struct lithops__yard *yard, int cancel_fd, struct lithops__hold *hold,
                       int *ret_fd, lithops_error *err)
{
    const struct lithops__machines_options *options = yard->options;
    struct lithops__bounds bounds = {lithops__now_ns() + options->start_s * second_ns, is_canceled,
                                     &cancel_fd};
    struct lithops__machine machine;
    lithops_error own = LITHOPS_ERROR_INIT;
    hold->id[0] = '\0';
    hold->is_made = false;
    hold->until_ns = 0;
    if (options->mode == LITHOPS__MACHINES_CONSUME)
        return take_own(yard, &bounds, cancel_fd, hold, ret_fd, err);
    while (options->mode == LITHOPS__MACHINES_REUSE && pick(yard, &bounds, &machine, &own)) {
        int rc = take_old(yard, &machine, &bounds, cancel_fd, hold, ret_fd, err);
        if (rc == 0)
            return 0;
        note(yard, machine.id, false, false);
        if (rc == LITHOPS_ECANCELED)
            return rc;
        lithops__log(LITHOPS_LOG_DEBUG, options->cloud->name, "%s is not used again: %s",
                     machine.id, err->message);
    }
    if (own.code == LITHOPS_ECANCELED || own.code == LITHOPS_EDENIED) {
        *err = own;
        return own.code;
    }
    /* those that were tried have not used up its time */
    bounds.deadline_ns = lithops__now_ns() + options->start_s * second_ns;
    return take_new(yard, &bounds, cancel_fd, hold, ret_fd, err);
}
