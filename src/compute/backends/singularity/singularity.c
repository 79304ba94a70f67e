/* SPDX-License-Identifier: Apache-2.0 */
/* The backend singularity: workers of this machine in containers that Singularity or Apptainer,
 * whose command line is the same, starts for this user. No daemon, no rights, and nothing in the
 * image but a shell, a C library and, for Python, an interpreter.
 *
 *     client                          singularity exec IMAGE sh -c ...
 *     the talk of bootstrap.c     ->  the container's shell: engine, libc, Python
 *     frames                     <->  lithops worker
 *
 * Standard input and output of the program are the link, as with ssh. The container sees the cache
 * of this machine, where the engine is put once, and the folders of shared_filesystem; whatever
 * else it sees the program decides. Its processes have numbers of their own (--pid), so that all of
 * them end with the first one, which ends with the program. */
#include "base/buffer.h"
#include "base/error.h"
#include "base/log.h"
#include "base/user_folder.h"
#include "compute/bootstrap.h"
#include "compute/child.h"
#include "compute/linked.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { END_MS = 2000, EXIT_MS = 1000, ANSWER_S = 60, PULL_S = 1800 };

struct singularity {
    lithops_value *settings;
    char image[PATH_MAX]; /* a path or a URI */
    char cache[PATH_MAX]; /* that workers have, too, without the last part */
    char python[16];      /* version that workers need; "": none */
    struct lithops__child *workers;
    uint32_t count;
};

/* ---- the image ------------------------------------------------------------------------------- */

/* Of a registry or a library, from where the program fetches it: "docker://debian:12". */
static bool is_uri(const char *image)
{
    size_t len = strspn(image, "abcdefghijklmnopqrstuvwxyz-");
    return islower((unsigned char)image[0]) && strncmp(image + len, "://", 3) == 0;
}

/* A file or folder: its absolute path, which no program takes for an option. */
static bool is_there(const char *folder, const char *name, const char *suffix, char *ret_path)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof path, "%s%s%s%s", folder, folder[0] ? "/" : "", name, suffix);
    return len > 0 && (size_t)len < sizeof path && realpath(path, ret_path) != NULL;
}

static int find_image(const lithops_value *settings, char *ret_image, lithops_error *err)
{
    const char *runtime = lithops_value_get_string(lithops_value_get(settings, "runtime"));
    const char *folder = lithops_value_get_string(lithops_value_get(settings, "sif_path"));
    if (!runtime) {
        runtime = folder;
        folder = NULL;
    }
    if (!runtime || !runtime[0])
        return lithops__fail(
            err, LITHOPS_ECONFIG,
            "singularity.runtime names no image: set it to a file (.sif), a folder "
            "with a system, or a URI such as docker://debian:12");
    if (is_uri(runtime)) {
        snprintf(ret_image, PATH_MAX, "%s", runtime);
        return 0;
    }
    if (folder && runtime[0] != '/' &&
        (is_there(folder, runtime, "", ret_image) || is_there(folder, runtime, ".sif", ret_image)))
        return 0;
    if (is_there("", runtime, "", ret_image) || is_there("", runtime, ".sif", ret_image))
        return 0;
    return lithops__fail(err, LITHOPS_ECONFIG,
                         "singularity.runtime: there is no image '%s'%s%s%s, neither with .sif nor "
                         "without",
                         runtime, folder ? " here or in '" : "", folder ? folder : "",
                         folder ? "'" : "");
}

/* ---- the command line ------------------------------------------------------------------------ */

struct words {
    char **words; /* ends with NULL */
    size_t count;
    bool failed;
};

static void add(struct words *argv, const char *word)
{
    char **more =
        argv->failed ? NULL : reallocarray(argv->words, argv->count + 2, sizeof *argv->words);
    argv->failed = !more;
    if (!more)
        return;
    argv->words = more;
    argv->words[argv->count] = strdup(word);
    argv->failed = !argv->words[argv->count];
    argv->words[++argv->count] = NULL;
}

/* An option, and its value: both texts, one behind the other. */
static void add_option(struct words *argv, const char *option, const char *first,
                       const char *second)
{
    char *value = NULL;
    if (asprintf(&value, "%s%s", first, second) < 0)
        value = NULL;
    argv->failed |= !value;
    add(argv, option);
    add(argv, value ? value : "");
    free(value);
}

static void add_list(struct words *argv, const lithops_value *list, bool is_bound)
{
    for (size_t i = 0; i < lithops_value_size(list); i++) {
        const char *word = lithops_value_get_string(lithops_value_at(list, i));
        if (is_bound && access(word, F_OK) == 0)
            add_option(argv, "--bind", word, "");
        else if (!is_bound)
            add(argv, word);
    }
}

static void words_free(struct words *argv)
{
    for (size_t i = 0; i < argv->count; i++)
        free(argv->words[i]);
    free(argv->words);
}

static void make_words(struct words *argv, const struct singularity *own)
{
    static const char *const first[] = {"", "--quiet", "--nocolor", "exec", "--pid"};
    for (size_t i = 0; i < sizeof first / sizeof *first; i++)
        add(argv, first[i]); /* its name comes last */
    if (lithops_value_get_bool(lithops_value_get(own->settings, "use_gpu")))
        add(argv, "--nv");
    add_option(argv, "--bind", own->cache, "/lithops");
    add_option(argv, "--env", "XDG_CACHE_HOME=", own->cache);
    add_list(argv, lithops_value_get(own->settings, "shared_filesystem"), true);
    add_list(argv, lithops_value_get(own->settings, "singularity_options"), false);
    add(argv, own->image);
    add(argv, "sh");
    add(argv, "-c");
    add(argv, lithops__bootstrap_script);
}

static int start(const struct singularity *own, struct lithops__child *worker, int *ret_fd,
                 lithops_error *err)
{
    static const char *const programs[] = {"singularity", "apptainer"};
    struct words argv = {.words = NULL};
    int rc = ENOENT;
    make_words(&argv, own);
    for (size_t i = 0; rc == ENOENT && i < 2 && !argv.failed; i++) {
        free(argv.words[0]);
        argv.words[0] = strdup(programs[i]);
        rc = argv.words[0]
                 ? lithops__child_start(worker, programs[i], argv.words, environ, ret_fd, err)
                 : ENOMEM;
    }
    if (argv.failed)
        rc = ENOMEM;
    words_free(&argv);
    if (rc == ENOENT)
        return lithops__fail(err, LITHOPS_EBACKEND,
                             "there is neither a program singularity nor apptainer on the search "
                             "path: install one (Debian sid: apptainer; elsewhere apptainer.org)");
    return rc > 0 ? lithops__fail_errno(err, rc, "cannot start singularity") : rc;
}

/* ---- the driver of links --------------------------------------------------------------------- */

static void singularity_close(void *state)
{
    struct singularity *own = state;
    free(own->workers);
    lithops_value_free(own->settings);
}

/* Options that bind folders separate them by these. */
static int check_paths(const struct singularity *own, lithops_error *err)
{
    const lithops_value *folders = lithops_value_get(own->settings, "shared_filesystem");
    if (strpbrk(own->cache, ",:"))
        return lithops__fail(
            err, LITHOPS_ECONFIG,
            "singularity cannot show workers the cache '%s', whose name has a comma "
            "or colon: set XDG_CACHE_HOME to another folder",
            own->cache);
    for (size_t i = 0; i < lithops_value_size(folders); i++) {
        const char *folder = lithops_value_get_string(lithops_value_at(folders, i));
        if (!folder || strpbrk(folder, ",:"))
            return lithops__fail(
                err, LITHOPS_ECONFIG,
                "singularity.shared_filesystem has '%s': names with a comma or colon "
                "cannot be bound",
                folder ? folder : "?");
    }
    return 0;
}

static int find_cache(struct singularity *own, lithops_error *err)
{
    lithops__cache_folder(own->cache, sizeof own->cache);
    int failed = lithops__make_folders(own->cache);
    if (failed)
        return lithops__fail_errno(err, failed, "cannot make the cache '%s'", own->cache);
    *strrchr(own->cache, '/') = '\0';
    return 0;
}

static int singularity_open(const lithops_link_driver *driver, void *state,
                            const lithops_value *settings, const char *program,
                            lithops_workers *ret_workers, lithops_error *err)
{
    (void)driver;
    struct singularity *own = state;
    if (program && strncmp(program, "python", 6) == 0)
        snprintf(own->python, sizeof own->python, "%s", program + 6);
    own->settings = lithops_value_copy(settings);
    own->count = (uint32_t)lithops_value_get_int(lithops_value_get(settings, "max_workers"));
    own->count = own->count > 0 ? own->count : 1;
    own->workers = calloc(own->count, sizeof *own->workers);
    int rc = own->settings && own->workers ? find_image(settings, own->image, err)
                                           : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    rc = rc ? rc : find_cache(own, err);
    rc = rc ? rc : check_paths(own, err);
    if (rc != 0) {
        singularity_close(own);
        return rc;
    }
    for (uint32_t i = 0; i < own->count; i++)
        own->workers[i].log_fd = -1;
    const lithops_value *processes = lithops_value_get(settings, "worker_processes");
    double idle = lithops_value_get_double(lithops_value_get(settings, "idle_timeout"));
    *ret_workers = (lithops_workers){
        .workers = own->count,
        .idle_timeout_ms = (uint32_t)(idle * 1000),
        .worker_processes = lithops_value_type(processes) == LITHOPS_INT
                                ? (uint32_t)lithops_value_get_int(processes)
                                : 0,
    };
    return 0;
}

static void singularity_name(void *state, uint32_t worker, char *buf, size_t size)
{
    (void)state;
    snprintf(buf, size, "singularity-%u", worker);
}

/* No worker runs: say why, with what the program has said last. */
static int give_up(const struct singularity *own, uint32_t number, lithops_error *err)
{
    struct lithops__child *worker = &own->workers[number];
    char why[512], said[600];
    siginfo_t status;
    int code = err->code;
    bool hung_up = code == LITHOPS_EIO;
    snprintf(why, sizeof why, "%.500s", err->message);
    lithops__child_reap(worker, hung_up ? EXIT_MS : 0, &status);
    lithops__child_tell_end(worker, &status, said, sizeof said);
    if (code == LITHOPS_ECANCELED)
        return code;
    if (hung_up)
        return lithops__fail(
            err, LITHOPS_EBACKEND,
            "worker singularity-%u: no container of '%s' (singularity.runtime): %s", number,
            own->image, said);
    if (code == LITHOPS_ETIMEDOUT)
        return lithops__fail(
            err, LITHOPS_EBACKEND,
            "worker singularity-%u: the container of '%s' has not answered in time: "
            "%s",
            number, own->image, said);
    lithops__error_prefix(err, "worker singularity-%u, image '%s'", number, own->image);
    return err->code;
}

static int singularity_connect(void *state, uint32_t number, int cancel_fd, lithops_link *ret_link,
                               lithops_error *err)
{
    struct singularity *own = state;
    struct lithops__bootstrap_answer answer;
    const struct lithops__bootstrap wanted = {
        .python = own->python[0] ? own->python : NULL,
        .python_key = "singularity.runtime",
        .leave_out = "use another image (singularity.runtime)",
        .timeout_s = is_uri(own->image) ? PULL_S : ANSWER_S,
    };
    int fd = -1;
    int rc = start(own, &own->workers[number], &fd, err);
    if (rc != 0)
        return rc;
    rc = lithops__bootstrap(fd, cancel_fd, &wanted, &answer, err);
    if (rc != 0) {
        close(fd);
        return give_up(own, number, err);
    }
    lithops__log(LITHOPS_LOG_INFO, "singularity", "singularity-%u: %s, %s%s", number,
                 answer.machine, answer.libc,
                 answer.has_engine ? "" : "; the engine was put into the cache");
    *ret_link = (lithops_link){.read_fd = fd, .write_fd = fd, .id = number};
    snprintf(ret_link->program, sizeof ret_link->program, "%s", answer.python);
    return 0;
}

static void singularity_abandon(void *state, const lithops_link *link)
{
    const struct singularity *own = state;
    lithops__watch_signal(&own->workers[link->id].watch, SIGKILL);
}

static void singularity_disconnect(void *state, const lithops_link *link, char *ret_how,
                                   size_t size)
{
    struct singularity *own = state;
    struct lithops__child *worker = &own->workers[link->id];
    siginfo_t status;
    lithops__child_reap(worker, END_MS, &status);
    lithops__child_tell_end(worker, &status, ret_how, size);
}

static const lithops_link_ops link_ops = {
    .open = singularity_open,
    .close = singularity_close,
    .name = singularity_name,
    .connect = singularity_connect,
    .abandon = singularity_abandon,
    .disconnect = singularity_disconnect,
};

static const lithops_link_driver link_driver = {
    .abi = LITHOPS_COMPUTE_ABI,
    .name = "singularity",
    .is_elsewhere = true,
    .state_size = sizeof(struct singularity),
    .ops = &link_ops,
};

/* ---- the compute backend --------------------------------------------------------------------- */

static const struct lithops__compute_ops singularity_ops = {
    LITHOPS__LINKED_SLOTS,
};

const struct lithops__compute_driver lithops__compute_singularity = {
    .name = "singularity",
    .mode = "serverless",
    .summary = "Containers of Singularity or Apptainer on this machine.",
    .is_direct = true,
    .is_elsewhere = true,
    .state_size = sizeof(struct lithops__linked),
    .ops = &singularity_ops,
    .links = &link_driver,
    .workers_key = "max_workers",
};
