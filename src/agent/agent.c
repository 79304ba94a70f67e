/* SPDX-License-Identifier: Apache-2.0 */
/* The main loop of a worker: hello, then messages until the client is gone. */
#include "agent/agent.h"
#include "agent/fetch.h"

#include "base/error.h"
#include "base/module.h"
#include "compute/setup.h"
#include "function/image.h"
#include "ipc/bell.h"
#include "storage/backends/client/client.h"
#include "value/value.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    BEGIN_MS = 1,
    LONG_BYTES = 128 << 10,
    SIGN_BYTES = 16 << 10,
    SIGN_NS = 500000000,
    LOST_TIMEOUT_MS = 15000,
    AHEAD_MS = 50,
    SILENCES = 4, /* a client may be suspended for a while and go on later */
};

static int send_map(struct lithops__agent *agent, uint16_t type, lithops_value *map,
                    lithops_error *err)
{
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    int rc = map ? lithops__frame_write(&out, type, 0, map, (lithops_bytes){NULL, 0}, err)
                 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc == 0 && !lithops__agent_send(agent, &out))
        rc = lithops__fail(err, LITHOPS_EIO, "the client is gone");
    lithops__buffer_deinit(&out);
    lithops_value_free(map);
    return rc;
}

/* ---- hello ----------------------------------------------------------------------------------- */

static int fail_hello(lithops_error *err)
{
    return lithops__fail(err, LITHOPS_EPARSE, "the client's hello is not complete");
}

static int read_command(struct lithops__agent *agent, const lithops_value *words,
                        lithops_error *err)
{
    size_t count = lithops_value_size(words);
    agent->command = calloc(count + 1, sizeof *agent->command);
    if (!agent->command)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        const char *word = lithops_value_get_string(lithops_value_at(words, i));
        if (!word)
            return fail_hello(err);
        if (!(agent->command[i] = strdup(word)))
            return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    }
    return 0;
}

/* The table has a name of its own, as this worker's memory file, memory groups and leftovers are
 * not the executor's. The calls keep the executor's name. */
static int open_table(struct lithops__agent *agent, const char *executor_id, lithops_error *err)
{
    struct lithops__capacity capacity;
    char own_id[64]; /* cut to 31 bytes there */
    snprintf(agent->executor_id, sizeof agent->executor_id, "%s", executor_id);
    snprintf(own_id, sizeof own_id, "w%ld-%.20s", (long)getpid(), agent->executor_id);
    int rc = agent->driver->ops->capacity(agent->driver, agent->config, &capacity, err);
    if (rc == 0)
        rc = lithops__table_open(&agent->table, own_id, capacity.workers, capacity.memory_bytes,
                                 err);
    if (rc != 0)
        return rc;
    agent->has_table = true;
    agent->table.area.control->is_elsewhere = LITHOPS__ELSEWHERE;
    agent->processes = capacity.workers;
    lithops__table_name_memory(&agent->table, capacity.memory_key);
    lithops__compute_setup(&agent->table, agent->config, &agent->clock);
    return lithops__compute_share_config(&agent->table, agent->config, err);
}

static int check_version(const lithops_value *hello, lithops_error *err)
{
    int64_t protocol = lithops_value_get_int(lithops_value_get(hello, "protocol"));
    const char *version = lithops_value_get_string(lithops_value_get(hello, "version"));
    if (protocol == LITHOPS__WIRE_PROTOCOL && version && strcmp(version, LITHOPS_VERSION) == 0)
        return 0;
    return lithops__fail(err, LITHOPS_EUNSUPPORTED,
                         "the client is Lithops %s (protocol %lld), the worker " LITHOPS_VERSION
                         " (protocol %d): install one version on both",
                         version ? version : "?", (long long)protocol, LITHOPS__WIRE_PROTOCOL);
}

static int answer_hello(struct lithops__agent *agent, lithops_error *err)
{
    return send_map(agent, LITHOPS__MESSAGE_HELLO,
                    lithops_pack("{s:i,s:s,s:I,s:I}", "protocol", LITHOPS__WIRE_PROTOCOL, "version",
                                 LITHOPS_VERSION, "processes", (int64_t)agent->processes, "now_ns",
                                 (int64_t)lithops__now_ns()),
                    err);
}

/* A runtime that the client has sent needs the engine's library, which lies beside the folder of
 * its modules. It comes last, and folders of the system are left out, which a runtime with
 * libraries of its own may not want to be looked into. */
static void add_library_folder(void)
{
    char folder[4096], path[4096 + 4096];
    const char *old = getenv("LD_LIBRARY_PATH");
    lithops__module_folder(folder, sizeof folder);
    char *slash = strrchr(folder, '/');
    if (!slash || slash == folder || strncmp(folder, "/usr/", 5) == 0 ||
        strncmp(folder, "/lib", 4) == 0)
        return;
    *slash = '\0';
    snprintf(path, sizeof path, "%s%s%s", old ? old : "", old && *old ? ":" : "", folder);
    setenv("LD_LIBRARY_PATH", path, 1);
}

/* Set the environment by which worker processes find this engine, its modules and the libraries
 * that the program links. */
static void set_environment(const struct lithops__agent *agent)
{
    char path[4096 + 4096];
    if (!getenv("LITHOPS_MODULE_PATH")) {
        lithops__module_folder(path, sizeof path);
        setenv("LITHOPS_MODULE_PATH", path, 1);
    }
    if (agent->command && agent->program.count > 0) {
        setenv("LITHOPS_WORKER_FILES", agent->program.folder, 1);
        add_library_folder();
    }
    for (size_t i = 0; i < agent->program.count; i++)
        if (agent->program.files[i].role == LITHOPS__IMAGE_LINKED) {
            const char *old = getenv("LD_LIBRARY_PATH");
            snprintf(path, sizeof path, "%s%s%s", agent->program.folder, old ? ":" : "",
                     old ? old : "");
            setenv("LD_LIBRARY_PATH", path, 1);
            return;
        }
}

/* The program has arrived: start the pool. */
static int open_pool(struct lithops__agent *agent, lithops_error *err)
{
    int rc = 0;
    set_environment(agent);
    if (!agent->command) {
        char path[8192];
        snprintf(path, sizeof path, "%s/%s", agent->program.folder,
                 agent->program.count ? agent->program.files[0].name : "");
        if (!(agent->command = calloc(2, sizeof *agent->command)) ||
            !(agent->command[0] = strdup(path)))
            rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    }
    if (rc == 0)
        rc = lithops__objects_open(agent, err);
    void *pool = rc == 0 ? calloc(1, agent->driver->state_size) : NULL;
    if (rc == 0 && !pool)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc == 0)
        rc = agent->driver->ops->open(agent->driver, pool, &agent->table, agent->config,
                                      (const char *const *)agent->command, err);
    if (rc != 0) {
        free(pool);
        return rc;
    }
    if (agent->driver->ops->prepare_limits)
        agent->driver->ops->prepare_limits(pool);
    pthread_mutex_lock(&agent->table.lock);
    agent->pool = pool;
    lithops__agent_offer(agent);
    pthread_mutex_unlock(&agent->table.lock);
    return 0;
}

/* Start it before there is a pool: calls may be asked back while files are on their way. */
static int start_reporter(struct lithops__agent *agent, lithops_error *err)
{
    agent->reports = lithops__reports_new(agent);
    if (!agent->reports)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    int rc = pthread_create(&agent->reporter, NULL, lithops__agent_report, agent);
    agent->has_reporter = rc == 0;
    return rc ? lithops__fail_errno(err, rc, "cannot start a thread") : 0;
}

static int open_cache(struct lithops__agent *agent, lithops_error *err)
{
    int rc = lithops__cache_open(&agent->cache, err);
    int64_t most = lithops__config_int(agent->config, "lithops", "worker_cache");
    agent->most_cache_bytes = (uint64_t)most << 20;
    if (rc == 0)
        lithops__cache_hold_engine(&agent->cache);
    return rc;
}

/* Folders that this host shares with the client. */
static void share_folders(const lithops_value *folders)
{
    struct lithops__buffer list = LITHOPS__BUFFER_INIT;
    for (size_t i = 0; i < lithops_value_size(folders); i++) {
        const char *folder = lithops_value_get_string(lithops_value_at(folders, i));
        lithops__buffer_printf(&list, "%s%s", i ? ":" : "", folder ? folder : "");
    }
    char *text = lithops__buffer_steal(&list);
    setenv(LITHOPS__CLIENT_SHARED, text ? text : "", 1);
    free(text);
}

static int hello_came(struct lithops__agent *agent, const struct lithops__frame *frame,
                      lithops_error *err)
{
    if (agent->has_table)
        return lithops__fail(err, LITHOPS_EPARSE, "the client says hello twice");
    lithops_value *hello = lithops__frame_map(frame, err);
    if (!hello)
        return err->code;
    const char *executor = lithops_value_get_string(lithops_value_get(hello, "executor"));
    const lithops_value *command = lithops_value_get(hello, "command");
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    options.config = lithops_value_get(hello, "config");
    share_folders(lithops_value_get(hello, "shared"));
    int64_t lost_ms = lithops_value_get_int(lithops_value_get(hello, "lost_timeout_ms"));
    agent->silent_ns = (uint64_t)(lost_ms > 0 ? lost_ms : LOST_TIMEOUT_MS) * SILENCES * 1000000;
    int64_t ahead_ms = lithops_value_get_int(lithops_value_get(hello, "ahead_ms"));
    agent->ahead_us = 1000 * (uint64_t)(ahead_ms > 0 && ahead_ms < 60000 ? ahead_ms : AHEAD_MS);
    int rc = check_version(hello, err);
    if (rc == 0 && (!executor || !options.config))
        rc = fail_hello(err);
    if (rc == 0)
        rc = lithops__config_load(&options, &agent->config, err);
    if (rc == 0)
        rc = open_table(agent, executor, err);
    if (rc == 0)
        rc = answer_hello(agent, err);
    if (rc == 0)
        rc = start_reporter(agent, err);
    if (rc == 0)
        rc = open_cache(agent, err);
    if (rc == 0 && lithops_value_size(command) > 0)
        rc = read_command(agent, command, err);
    if (rc == 0)
        rc = lithops__files_read(&agent->program, hello, err);
    if (rc == 0 && !agent->command && agent->program.count == 0)
        rc = fail_hello(err);
    if (rc == 0 && agent->program.count > 0)
        rc = lithops__files_ask(agent, &agent->program, 0, err);
    lithops_value_free(hello);
    return rc == 0 && agent->program.missing == 0 ? open_pool(agent, err) : rc;
}

/* ---- messages -------------------------------------------------------------------------------- */

/* Some of a job's files have come. */
static void go_on_with(struct lithops__agent *agent, struct lithops__agent_job *job)
{
    pthread_mutex_lock(&agent->table.lock);
    job->has_files = job->files.missing == 0;
    lithops__agent_offer(agent);
    lithops__agent_drop_job(agent, job);
    pthread_mutex_unlock(&agent->table.lock);
}

static int file_came(struct lithops__agent *agent, const struct lithops__frame *frame,
                     lithops_error *err)
{
    bool is_stored = frame->flags & LITHOPS__FRAME_STORED;
    if (frame->stream == 0) {
        int rc = agent->pool ? lithops__fail(err, LITHOPS_EPARSE, "a file that was not asked for")
                             : lithops__files_receive(agent, &agent->program, frame, err);
        return rc == 0 && !is_stored && agent->program.missing == 0 ? open_pool(agent, err) : rc;
    }
    struct lithops__agent_job *job = lithops__agent_receiving_job(
        agent, frame->stream - 1, is_stored ? LITHOPS__FILES_PUT : LITHOPS__FILES_SENT);
    if (!job)
        return lithops__fail(err, LITHOPS_EPARSE, "a file of an unknown job");
    int rc = lithops__files_receive(agent, &job->files, frame, err);
    if (rc == 0 && !is_stored) /* else they are the fetcher's */
        go_on_with(agent, job);
    return rc;
}

/* [its files] */
static struct lithops__agent_job *job_of(struct lithops__agent *agent,
                                         const struct lithops__agent_files *files)
{
    pthread_mutex_lock(&agent->table.lock);
    struct lithops__agent_job *job = agent->jobs;
    while (&job->files != files)
        job = job->next;
    pthread_mutex_unlock(&agent->table.lock);
    return job;
}

/* Files were looked for in the storage. */
static int take_fetched(struct lithops__agent *agent, lithops_error *err)
{
    struct lithops__agent_files *files;
    int rc = 0;
    while (rc == 0 && agent->fetch && (files = lithops__fetch_take(agent->fetch)) != NULL) {
        rc = lithops__files_fetched(agent, files, err);
        if (rc != 0 || files->missing > 0)
            continue;
        if (files == &agent->program)
            rc = open_pool(agent, err);
        else
            go_on_with(agent, job_of(agent, files));
    }
    return rc;
}

/* `heard`: what the client's clock was when it asked; 0: it did not. */
static int send_beat(struct lithops__agent *agent, uint64_t heard, lithops_error *err)
{
    struct lithops__beat beat = {.sent = lithops__now_ns(), .heard = heard};
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    int rc = lithops__frame_write(&out, LITHOPS__MESSAGE_BEAT, 0, NULL,
                                  (lithops_bytes){&beat, sizeof beat}, err);
    if (rc == 0 && !lithops__agent_send(agent, &out))
        rc = lithops__fail(err, LITHOPS_EIO, "the client is gone");
    lithops__buffer_deinit(&out);
    return rc;
}

static int beat_came(struct lithops__agent *agent, const struct lithops__frame *frame,
                     lithops_error *err)
{
    struct lithops__beat beat;
    if (frame->payload.len != sizeof beat)
        return lithops__fail(err, LITHOPS_EPARSE, "an invalid beat");
    memcpy(&beat, frame->payload.ptr, sizeof beat);
    return send_beat(agent, beat.sent, err);
}

/* Where much comes over a narrow link, the client's question waits behind it for seconds, in the
 * buffers of the network: so that something comes is answered too. */
static int note_bytes(struct lithops__agent *agent, size_t count, lithops_error *err)
{
    agent->unsaid_bytes += count;
    if (!agent->has_table || agent->unsaid_bytes < SIGN_BYTES)
        return 0;
    agent->unsaid_bytes = 0;
    uint64_t now = lithops__now_ns();
    if (now < agent->said_ns + SIGN_NS)
        return 0;
    agent->said_ns = now;
    return send_beat(agent, 0, err);
}

/* 0; 1: bye; negative: the link cannot go on. */
static int message_came(void *user, const struct lithops__frame *frame, lithops_error *err)
{
    struct lithops__agent *agent = user;
    if (!agent->has_table && frame->type != LITHOPS__MESSAGE_HELLO)
        return lithops__fail(err, LITHOPS_EPARSE, "the client does not begin with hello");
    switch (frame->type) {
    case LITHOPS__MESSAGE_HELLO:
        return hello_came(agent, frame, err);
    case LITHOPS__MESSAGE_BEAT:
        return beat_came(agent, frame, err);
    case LITHOPS__MESSAGE_BLOB:
        return lithops__agent_blob_came(agent, frame, err);
    case LITHOPS__MESSAGE_FILE:
        return file_came(agent, frame, err);
    case LITHOPS__MESSAGE_JOB:
        return lithops__agent_job_came(agent, frame, err);
    case LITHOPS__MESSAGE_RUN:
        return lithops__agent_run_came(agent, frame, err);
    case LITHOPS__MESSAGE_MIRROR:
        return lithops__agent_mirror_came(agent, frame, err);
    case LITHOPS__MESSAGE_CANCEL:
        return lithops__agent_cancel_came(agent, frame, err);
    case LITHOPS__MESSAGE_HOLD:
        return lithops__agent_hold_came(agent, frame, err);
    case LITHOPS__MESSAGE_WANT:
        return lithops__agent_want_came(agent, frame, err);
    case LITHOPS__MESSAGE_FORGET:
        lithops__agent_forget_job(agent, frame->stream);
        return 0;
    case LITHOPS__MESSAGE_ANSWER:
        lithops__objects_answer_came(agent, frame);
        return 0;
    case LITHOPS__MESSAGE_BYE:
        return 1;
    default:
        return lithops__fail(err, LITHOPS_EPARSE, "a message of unknown type %u", frame->type);
    }
}

static int piece_began(void *user, const struct lithops__frame *frame, size_t left,
                       struct lithops__rest *ret_rest, lithops_error *err)
{
    struct lithops__agent *agent = user;
    if (!agent->has_table)
        return 0;
    if (frame->type == LITHOPS__MESSAGE_BLOB)
        return lithops__agent_blob_began(agent, frame, left, ret_rest, err);
    lithops__objects_answer_began(agent, frame, left, ret_rest);
    return 0;
}

/* poll() for what the client says, who stops this worker, and files that were fetched. */
static bool has_message(struct lithops__agent *agent, int timeout_ms)
{
    struct pollfd fds[] = {{agent->read_fd, POLLIN, 0},
                           {agent->stop_fd, POLLIN, 0},
                           {agent->fetch ? lithops__fetch_fd(agent->fetch) : -1, POLLIN, 0}};
    bool any = poll(fds, 3, timeout_ms) > 0;
    agent->is_stopped = any && fds[1].revents != 0;
    return any;
}

static bool has_runs(struct lithops__agent *agent)
{
    pthread_mutex_lock(&agent->table.lock);
    bool any = agent->runs != NULL;
    pthread_mutex_unlock(&agent->table.lock);
    return any;
}

/* Calls that came a moment ago may take long, so the reporter checks whether they have begun. Most
 * have ended by then. */
static void look_again(struct lithops__agent *agent)
{
    agent->has_news = false;
    pthread_mutex_lock(&agent->table.lock);
    bool any = agent->runs != NULL;
    agent->look_again = any;
    pthread_mutex_unlock(&agent->table.lock);
    if (any)
        lithops__bell_landed(agent->table.area.control);
}

static int fail_silent(const struct lithops__agent *agent, lithops_error *err)
{
    return lithops__fail(err, LITHOPS_ETIMEDOUT, "the client said nothing for %g s",
                         (double)agent->silent_ns / 1e9);
}

/* Wait until the client says something. While it has calls here it does so each second; else it is
 * gone, even if the link shows no error: its machine or the network is down. */
static int await_client(struct lithops__agent *agent, lithops_error *err)
{
    if (agent->has_news) {
        if (has_message(agent, BEGIN_MS))
            return 0;
        look_again(agent);
    }
    uint64_t until = lithops__now_ns() + agent->silent_ns;
    while (agent->has_table && has_runs(agent)) {
        uint64_t now = lithops__now_ns();
        if (now >= until)
            return fail_silent(agent, err);
        if (has_message(agent, (int)((until - now) / 1000000 + 1)))
            return 0;
    }
    (void)has_message(agent, -1);
    return 0;
}

static int serve(struct lithops__agent *agent, lithops_error *err)
{
    static const struct lithops__intake_user ops = {.came = message_came, .began = piece_began};
    struct lithops__intake in = {.in = LITHOPS__BUFFER_INIT};
    int rc = 0;
    while (rc == 0 && (rc = await_client(agent, err)) == 0) {
        if (agent->is_stopped) {
            rc = lithops__fail(err, LITHOPS_ECANCELED,
                               "it was stopped there by 'lithops worker stop'");
            break;
        }
        if ((rc = take_fetched(agent, err)) != 0)
            break;
        ssize_t n = lithops__intake_read(&in, agent->read_fd);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0 && errno == ENOMEM)
            rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        if (n <= 0)
            break; /* the client is gone */
        rc = lithops__intake_take(&in, &ops, agent, err);
        if (rc == 0)
            rc = note_bytes(agent, (size_t)n, err);
        if (!lithops__agent_end_watch(agent) && rc == 0)
            rc = fail_silent(agent, err);
    }
    lithops__intake_deinit(&in);
    return rc < 0 ? rc : 0;
}

static void close_agent(struct lithops__agent *agent)
{
    if (agent->has_table) {
        pthread_mutex_lock(&agent->table.lock);
        agent->is_closing = true;
        pthread_mutex_unlock(&agent->table.lock);
    }
    if (agent->pool)
        agent->driver->ops->close(agent->pool);
    if (agent->has_reporter) {
        atomic_store(&agent->table.area.control->waiting, 1);
        lithops__bell_landed(agent->table.area.control);
        pthread_join(agent->reporter, NULL);
    }
    lithops__fetch_free(agent->fetch);
    lithops__reports_free(agent->reports);
    free(agent->pool);
    lithops__objects_close(agent);
    if (agent->has_table) {
        lithops__agent_free_jobs(agent);
        lithops__table_close(&agent->table);
    }
    lithops__files_deinit(&agent->program);
    for (size_t i = 0; agent->command && agent->command[i]; i++)
        free(agent->command[i]);
    free(agent->command);
    lithops__cache_close(&agent->cache);
    lithops__config_free(agent->config);
    pthread_mutex_destroy(&agent->write_lock);
}

/* Long parts of jobs go back to the system with the job: once one was freed, glibc would keep the
 * next ones in its heap. */
static void return_memory(void)
{
#if defined(__GLIBC__)
    (void)mallopt(M_MMAP_THRESHOLD, LONG_BYTES);
#endif
}

static int set_up_link(struct lithops__agent *agent, lithops_error *err)
{
    const int fds[] = {agent->read_fd, agent->write_fd};
    agent->end_fd = eventfd(0, EFD_CLOEXEC);
    int failed = agent->end_fd < 0 ? errno : 0;
    for (size_t i = 0; i < 2 && !failed; i++)
        if (fcntl(fds[i], F_SETFL, fcntl(fds[i], F_GETFL) | O_NONBLOCK) != 0)
            failed = errno;
    return failed ? lithops__fail_errno(err, failed, "cannot use the link to the client") : 0;
}

int lithops__agent_serve(const struct lithops__compute_driver *driver, int read_fd, int write_fd,
                         int stop_fd, lithops_storage *storage, lithops_error *err)
{
    struct lithops__agent agent = {.read_fd = read_fd,
                                   .write_fd = write_fd,
                                   .stop_fd = stop_fd,
                                   .driver = driver,
                                   .storage = storage,
                                   .program = {.receiving = {.fd = -1}},
                                   .hold_bytes = UINT64_MAX,
                                   .cache = {.fd = -1}};
    return_memory();
    pthread_mutex_init(&agent.write_lock, NULL);
    lithops__tick_clock_init(&agent.clock);
    int rc = set_up_link(&agent, err);
    if (rc == 0 && storage && !(agent.fetch = lithops__fetch_new(&agent, storage)))
        rc = lithops__fail(err, LITHOPS_ENOMEM, "no memory or thread to fetch files");
    if (rc == 0)
        rc = serve(&agent, err);
    if (agent.end_fd >= 0)
        (void)eventfd_write(agent.end_fd, 1);
    if (rc != 0)
        (void)send_map(&agent, LITHOPS__MESSAGE_END,
                       lithops_pack("{s:i,s:s}", "code", rc, "message", err->message), NULL);
    close_agent(&agent);
    if (agent.end_fd >= 0)
        close(agent.end_fd);
    close(read_fd);
    if (write_fd != read_fd)
        close(write_fd);
    return rc;
}
