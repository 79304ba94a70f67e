/* SPDX-License-Identifier: Apache-2.0 */
/* Detached jobs by their files, without futures: state, waiting, cancelling, releasing, listing. */
#include "core/detached_jobs.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/options_read.h"
#include "detached/handle.h"
#include "detached/home.h"
#include "detached/journal.h"

#include <lithops/detached.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the jobs of a handle -------------------------------------------------------------------- */

struct opened {
    struct lithops__handle *handle;
    struct lithops__home home;
    struct lithops__journal *journals; /* one for each of the handle's */
};

static void close_opened(struct opened *opened)
{
    for (size_t i = 0; opened->journals && i < opened->handle->count; i++)
        lithops__journal_close(&opened->journals[i]);
    lithops__home_close(&opened->home);
    free(opened->journals);
    free(opened->handle);
}

static int open_handle(const lithops_value *handle, struct opened *ret, lithops_error *err)
{
    *ret = (struct opened){.home = LITHOPS__HOME_INIT};
    int rc = lithops__handle_read(handle, &ret->handle, err);
    if (rc != 0)
        return rc;
    rc = lithops__handle_open_home(ret->handle, &ret->home, err);
    if (rc == 0) {
        ret->journals = calloc(ret->handle->count, sizeof *ret->journals);
        if (!ret->journals)
            rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    }
    for (size_t i = 0; ret->journals && i < ret->handle->count; i++)
        ret->journals[i] = (struct lithops__journal)LITHOPS__JOURNAL_INIT;
    for (size_t i = 0; rc == 0 && i < ret->handle->count; i++) {
        rc = lithops__handle_open_job(&ret->home, &ret->handle->jobs[i], &ret->journals[i], err);
        if (rc == 0) { /* the header is enough; there may be many jobs */
            close(ret->journals[i].fd);
            ret->journals[i].fd = -1;
        }
    }
    if (rc != 0)
        close_opened(ret);
    return rc;
}

static bool is_done(const struct opened *opened)
{
    for (size_t i = 0; i < opened->handle->count; i++) {
        const struct lithops__journal_header *header = opened->journals[i].header;
        if (atomic_load(&header->ended_wall_ns) == 0 &&
            (header->calls == 0 || lithops__journal_done(header) < header->calls))
            return false;
    }
    return true;
}

static void add_state(const struct opened *opened, size_t i, lithops_job_state *state)
{
    const struct lithops__journal_header *header = opened->journals[i].header;
    for (size_t before = 0; before < i; before++) /* a job of which there are several pieces */
        if (opened->journals[before].header->token == header->token)
            return;
    double created = (double)header->created_wall_ns / 1e9;
    double ended = (double)atomic_load(&header->ended_wall_ns) / 1e9;
    state->calls += header->calls;
    state->success += atomic_load(&header->success);
    state->failed += atomic_load(&header->failed);
    state->canceled += atomic_load(&header->canceled);
    if (i == 0 || created < state->created)
        state->created = created;
    if (ended > state->ended)
        state->ended = ended;
    if (atomic_load(&header->trouble))
        state->trouble = atomic_load(&header->trouble);
}

int lithops_job_state_read(const lithops_value *handle, lithops_job_state *ret_state,
                           lithops_error *err)
{
    struct opened opened;
    lithops_job_state state = LITHOPS_JOB_STATE_INIT;
    if (!ret_state || ret_state->size < sizeof state.size || ret_state->size > 4096)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "ret_state is not initialised: begin with '= LITHOPS_JOB_STATE_INIT'");
    int rc = open_handle(handle, &opened, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < opened.handle->count; i++)
        add_state(&opened, i, &state);
    snprintf(state.function, sizeof state.function, "%s", opened.journals[0].header->function);
    state.is_done = is_done(&opened);
    if (!state.is_done)
        state.ended = 0;
    state.is_supervised = lithops__home_is_supervised(&opened.home);
    state.size = ret_state->size < sizeof state ? ret_state->size : sizeof state;
    memcpy(ret_state, &state, state.size);
    close_opened(&opened);
    return 0;
}

static uint64_t done_of(const struct opened *opened)
{
    uint64_t done = 0;
    for (size_t i = 0; i < opened->handle->count; i++)
        done += lithops__journal_done(opened->journals[i].header);
    return done;
}

/* One look each half second whether there is a supervisor. */
static int wait_for(const struct opened *opened, uint64_t deadline_ns, struct lithops__watch *watch,
                    lithops_error *err)
{
    enum { LOOK_MS = 500 };
    uint64_t look_ns = 0;
    for (;;) {
        uint32_t seen = atomic_load(&opened->home.page->bell);
        uint64_t now = lithops__now_ns();
        if (is_done(opened))
            return 0;
        if (now >= deadline_ns)
            return lithops__fail(err, LITHOPS_ETIMEDOUT, "the job is not done yet");
        if (now >= look_ns) {
            int rc = lithops__watch_look(watch, &opened->home, done_of(opened), err);
            if (rc != 0)
                return rc;
            look_ns = now + (uint64_t)LOOK_MS * 1000000;
        }
        uint64_t left_ms = (deadline_ns - now) / 1000000 + 1;
        lithops__home_wait(&opened->home, seen, left_ms < LOOK_MS ? (int)left_ms : LOOK_MS);
    }
}

int lithops__job_wait_on(const lithops_value *handle, int64_t timeout_ms,
                         struct lithops__watch *watch, lithops_error *err)
{
    struct opened opened;
    uint64_t now = lithops__now_ns(), deadline_ns = UINT64_MAX;
    int rc = open_handle(handle, &opened, err);
    if (rc != 0)
        return rc;
    if (timeout_ms >= 0 && (uint64_t)timeout_ms < (UINT64_MAX - now) / 1000000)
        deadline_ns = now + (uint64_t)timeout_ms * 1000000;
    rc = wait_for(&opened, deadline_ns, watch, err);
    close_opened(&opened);
    return rc;
}

int lithops_job_wait(const lithops_value *handle, int64_t timeout_ms, lithops_error *err)
{
    struct lithops__watch watch = {0};
    return lithops__job_wait_on(handle, timeout_ms, &watch, err);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static int tell(const struct lithops__home *home, lithops_error *err)
{
    static const struct lithops__home_message look = {.order = LITHOPS__HOME_LOOK};
    return lithops__home_tell(home, &look) ? 0 : lithops__home_supervise(home, err);
}

/* Of a job of which the handle has a part, that part. The durable mark is for whole jobs. */
static int cancel_part(const struct opened *opened, size_t i, lithops_error *err)
{
    const struct lithops__handle_job *job = &opened->handle->jobs[i];
    const struct lithops__journal_header *header = opened->journals[i].header;
    const struct lithops__home_message message = {.order = LITHOPS__HOME_CANCEL,
                                                  .number = header->number,
                                                  .begin = job->begin,
                                                  .end = job->end,
                                                  .kind = header->kind};
    if (lithops__home_tell(&opened->home, &message))
        return 0;
    int rc = lithops__home_supervise(&opened->home, err);
    return rc == 0 && !lithops__home_tell(&opened->home, &message)
               ? lithops__fail(err, LITHOPS_EBACKEND,
                               "the supervisor of the job is not there yet: "
                               "try again")
               : rc;
}

static int cancel_all(const struct opened *opened, lithops_error *err)
{
    int rc = 0;
    bool stops = false;
    for (size_t i = 0; rc == 0 && i < opened->handle->count; i++) {
        const struct lithops__handle_job *job = &opened->handle->jobs[i];
        struct lithops__journal_header *header = opened->journals[i].header;
        if (atomic_load(&header->ended_wall_ns))
            continue;
        if (job->begin == 0 && job->end == job->calls) {
            atomic_store(&header->stop, 1);
            stops = true;
        } else {
            rc = cancel_part(opened, i, err);
        }
    }
    return rc == 0 && stops ? tell(&opened->home, err) : rc;
}

int lithops_job_cancel(const lithops_value *handle, lithops_error *err)
{
    struct opened opened;
    int rc = open_handle(handle, &opened, err);
    if (rc != 0)
        return rc;
    rc = cancel_all(&opened, err);
    close_opened(&opened);
    return rc;
}

int lithops_job_release(const lithops_value *handle, lithops_error *err)
{
    struct opened opened;
    int rc = open_handle(handle, &opened, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < opened.handle->count; i++)
        if (opened.handle->jobs[i].end - opened.handle->jobs[i].begin !=
            opened.handle->jobs[i].calls)
            rc = lithops__fail(err, LITHOPS_EUSAGE,
                               "this is the handle of a part of a job: release the whole job");
    for (size_t i = 0; rc == 0 && i < opened.handle->count; i++) {
        atomic_store(&opened.journals[i].header->stop, 1);
        if (unlinkat(opened.home.fd, opened.handle->jobs[i].name, 0) != 0 && errno != ENOENT)
            rc = lithops__fail_errno(err, errno, "cannot release job %s",
                                     opened.handle->jobs[i].name);
    }
    if (rc == 0) {
        static const struct lithops__home_message look = {.order = LITHOPS__HOME_LOOK};
        (void)lithops__home_tell(&opened.home, &look); /* it ends what runs */
        (void)lithops__home_remove(&opened.home);
        lithops__home_ring(&opened.home);
    }
    close_opened(&opened);
    return rc;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static int
visit_homes(int (*open_one)(struct lithops__home *home, const char *path, lithops_error *err),
            int (*visit)(struct lithops__home *home, void *user), void *user, lithops_error *err)
{
    char root[PATH_MAX - 300], path[PATH_MAX];
    int rc = lithops__home_root(root, sizeof root, false, err);
    DIR *folder = rc == 0 ? opendir(root) : NULL;
    const struct dirent *entry;
    while (folder && rc == 0 && (entry = readdir(folder)) != NULL) {
        struct lithops__home home;
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", root, entry->d_name);
        if (open_one(&home, path, NULL) != 0)
            continue;
        rc = visit(&home, user);
        lithops__home_close(&home);
    }
    if (folder)
        closedir(folder);
    return rc;
}

struct listing {
    lithops_value *list;
    bool is_supervised;
};

static lithops_value *handle_of(const struct lithops__home *home, const char *name,
                                const struct lithops__journal_header *header)
{
    struct lithops__handle_job job = {
        .token = header->token, .calls = header->calls, .end = header->calls};
    lithops_value *jobs = lithops_value_list(), *handle = NULL;
    snprintf(job.name, sizeof job.name, "%s", name);
    bool ok = lithops__handle_add(jobs, &job) == 0;
    if (ok && header->flags & LITHOPS__JOURNAL_FEEDS) {
        struct lithops__journal reduce;
        lithops__home_job_name('R', header->number, job.name);
        (void)lithops__home_name_reducer(home, header->number);
        if (lithops__journal_open(&reduce, home->fd, job.name, NULL) == 0) {
            job.token = reduce.header->token;
            job.calls = job.end = reduce.header->calls;
            ok = lithops__handle_add(jobs, &job) == 0;
            lithops__journal_close(&reduce);
        }
    }
    if (ok)
        handle = lithops__handle_new(home->path, jobs);
    else
        lithops_value_free(jobs);
    return handle;
}

static int list_job(const struct lithops__home *home, const char *name, void *user)
{
    const struct listing *listing = user;
    struct lithops__journal journal;
    char key[64];
    if (lithops__journal_open(&journal, home->fd, name, NULL) != 0)
        return 0;
    const struct lithops__journal_header *header = journal.header;
    double ended = (double)atomic_load(&header->ended_wall_ns) / 1e9;
    snprintf(key, sizeof key, "%.31s-%.15s", home->id, name);
    lithops_value *one = lithops_pack(
        "{s:s,s:s,s:I,s:I,s:I,s:I,s:f,s:b}", "key", key, "function", header->function, "calls",
        (int64_t)header->calls, "success", (int64_t)atomic_load(&header->success), "failed",
        (int64_t)atomic_load(&header->failed), "canceled", (int64_t)atomic_load(&header->canceled),
        "created", (double)header->created_wall_ns / 1e9, "supervised",
        (int)listing->is_supervised);
    int rc = lithops_value_set(one, "handle", handle_of(home, name, header));
    if (rc == 0 && ended > 0)
        rc = lithops_value_set(one, "ended", lithops_value_double(ended));
    lithops__journal_close(&journal);
    if (rc != 0)
        lithops_value_free(one);
    return rc == 0 && lithops_value_append(listing->list, one) == 0 ? 0 : LITHOPS_ENOMEM;
}

static int list_home(struct lithops__home *home, void *user)
{
    struct listing *listing = user;
    listing->is_supervised = lithops__home_is_supervised(home);
    return lithops__home_visit(home, list_job, listing);
}

lithops_value *lithops_job_list(lithops_error *err)
{
    struct listing listing = {.list = lithops_value_list()};
    int rc = visit_homes(lithops__home_open, list_home, &listing, err);
    if (rc == 0 && listing.list)
        return listing.list;
    if (rc == LITHOPS_ENOMEM || rc == 0)
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    lithops_value_free(listing.list);
    return NULL;
}

/* ---- what is over ---------------------------------------------------------------------------- */

struct sweeping {
    bool dry_run, ended_only;
    struct lithops__job_sweep *found;
};

/* Since when nothing has happened: one that has not ended and has no supervisor counts, too, unless
 * somebody may be waiting for it. */
static bool is_over(const struct lithops__journal *journal, bool ended_only)
{
    const struct lithops__journal_header *header = journal->header;
    struct stat status;
    uint64_t ended_ns = atomic_load(&header->ended_ns), expiry_ns = header->expiry_ns;
    uint64_t ended_wall_ns = atomic_load(&header->ended_wall_ns);
    if (ended_wall_ns)
        return lithops__age_ns(header->boot, ended_ns, ended_wall_ns) > expiry_ns;
    if (ended_only || fstat(journal->fd, &status) != 0)
        return false;
    uint64_t written_ns = (uint64_t)status.st_mtim.tv_sec * 1000000000u;
    uint64_t now_ns = lithops__wall_ns();
    return lithops__age_ns(header->boot, header->created_ns, header->created_wall_ns) > expiry_ns &&
           now_ns > written_ns && now_ns - written_ns > expiry_ns;
}

static int sweep_job(const struct lithops__home *home, const char *name, void *user)
{
    const struct sweeping *sweeping = user;
    struct lithops__journal journal;
    struct stat status;
    if (lithops__journal_open(&journal, home->fd, name, NULL) != 0)
        return 0; /* of another version, perhaps */
    if (!is_over(&journal, sweeping->ended_only)) {
        sweeping->found->kept++;
    } else {
        sweeping->found->jobs++;
        if (fstat(journal.fd, &status) == 0)
            sweeping->found->bytes += (uint64_t)status.st_blocks * 512;
        if (!sweeping->dry_run)
            unlinkat(home->fd, name, 0);
    }
    lithops__journal_close(&journal);
    return 0;
}

static int count_job(const struct lithops__home *home, const char *name, void *user)
{
    (void)home;
    (void)name;
    ((struct sweeping *)user)->found->kept++;
    return 0;
}

/* With the supervisor's lock: none begins meanwhile, and one that is there sees to it when it ends.
 * Who has the folder open may be about to start one. */
static int sweep_home(struct lithops__home *home, void *user)
{
    struct sweeping *sweeping = user;
    int lock_fd;
    if (!lithops__home_try_lock(home, &lock_fd))
        return lithops__home_visit(home, count_job, user);
    bool is_mine = lithops__home_seize(home);
    sweeping->ended_only = !is_mine;
    int rc = lithops__home_visit(home, sweep_job, user);
    if (is_mine && !sweeping->dry_run)
        (void)lithops__home_remove(home);
    close(lock_fd);
    return rc;
}

int lithops__detached_sweep(bool dry_run, struct lithops__job_sweep *ret, lithops_error *err)
{
    *ret = (struct lithops__job_sweep){0, 0, 0};
    struct sweeping sweeping = {dry_run, false, ret};
    return visit_homes(lithops__home_open_remains, sweep_home, &sweeping, err);
}

void lithops__detached_sweep_own(const struct lithops__home *home)
{
    struct lithops__job_sweep found = {0, 0, 0};
    struct sweeping sweeping = {false, true, &found};
    (void)lithops__home_visit(home, sweep_job, &sweeping);
}

void lithops__detached_sweep_at_times(void)
{
    enum { EVERY_S = 60 };
    char root[PATH_MAX - 40], path[PATH_MAX];
    struct lithops__job_sweep found;
    struct stat status;
    if (lithops__home_root(root, sizeof root, false, NULL) != 0)
        return;
    snprintf(path, sizeof path, "%s/.swept", root);
    int64_t now = (int64_t)(lithops__wall_ns() / 1000000000);
    if (stat(path, &status) == 0 && status.st_mtime <= now && now - status.st_mtime < EVERY_S)
        return;
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    (void)futimens(fd, NULL);
    close(fd);
    (void)lithops__detached_sweep(false, &found, NULL);
}
