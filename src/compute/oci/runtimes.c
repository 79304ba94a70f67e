/* SPDX-License-Identifier: Apache-2.0 */
/* Runtimes of backends whose workers run in containers: images.
 *
 *     runtime build    makes the image, and pushes it, or writes it to a file
 *     runtime deploy   the same, unless the registry has it with this engine; and records it
 *     runtime update   makes it again over the base that it has, and records it
 *
 * Of a Dockerfile docker or podman make it, by `build` alone, and it is asked what it has.
 *
 * `list` and `delete` are of the records, which core keeps; what is in a registry stays there.
 *
 * What is in an image stands in a label of it, as JSON: `version` and `protocol` of the engine,
 * `pythons`, `modules` of each, `machine`, `base`. */
#include "base/error.h"
#include "base/log.h"
#include "base/program_output.h"
#include "base/spawn.h"
#include "compute/oci/oci.h"
#include "relay/relay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define LABEL "org.lithops.runtime"

enum { MOST_BYTES = 8 << 20 };

static const char *text_at(const lithops_value *map, const char *key)
{
    const char *text = lithops_value_get_string(lithops_value_get(map, key));
    return text ? text : "";
}

/* What a container of it runs. Pods and jobs are told. */
static const char *const *command_of(const char *backend)
{
    static const char *const plain[] = {"lithops", NULL},
                             *const http[] = {"lithops", "worker", "--http", NULL},
                             *const fn[] = {"lithops", "worker", "--fn", NULL},
                             *const whisk[] = {"lithops", "worker", "--openwhisk", NULL};
    return strcmp(backend, "k8s") == 0 || strcmp(backend, "code_engine") == 0    ? plain
           : strcmp(backend, "oracle_f") == 0                                    ? fn
           : strcmp(backend, "openwhisk") == 0 || strcmp(backend, "ibm_cf") == 0 ? whisk
                                                                                 : http;
}

static int name_of(const struct lithops__config *config, const struct lithops__runtime_wish *wish,
                   const char **ret_backend, const char **ret_name, lithops_error *err)
{
    struct lithops__oci_name parsed;
    *ret_backend = lithops__config_string(config, "lithops", "backend");
    *ret_name = wish->name ? wish->name : lithops__config_string(config, *ret_backend, "runtime");
    return *ret_name && **ret_name
               ? lithops__oci_name(*ret_name, &parsed, err)
               : lithops__fail(err, LITHOPS_ECONFIG,
                               "which image? Name it, as REGISTRY/REPOSITORY:TAG, or by the key "
                               "%s.runtime",
                               *ret_backend);
}

/* ---- over a base ----------------------------------------------------------------------------- */

/* What an image is and has; `modules` of each Python (null: not known) are consumed. NULL: out of
 * memory. */
static lithops_value *make_about(const char *base, lithops_value *modules)
{
    struct utsname system = {.machine = ""};
    char pythons[128] = "";
    size_t used = 0;
    for (size_t i = 0; i < lithops_value_size(modules); i++) {
        const char *version;
        lithops_value_pair(modules, i, &version);
        if (used + strlen(version) + 3 < sizeof pythons)
            used += (size_t)snprintf(pythons + used, sizeof pythons - used, "%s%s",
                                     used ? ", " : "", version);
    }
    uname(&system);
    lithops_value *about = lithops_pack(
        "{s:s,s:i,s:s,s:s,s:s}", "version", LITHOPS_VERSION, "protocol", lithops__relay_protocol(),
        "machine", system.machine, "pythons", pythons, "base", base ? base : "scratch");
    bool is_known = lithops_value_type(modules) == LITHOPS_MAP;
    bool good =
        about && modules && (!is_known || lithops_value_set(about, "modules", modules) == 0);
    if (!is_known)
        lithops_value_free(modules);
    if (good)
        return about;
    lithops_value_free(about);
    return NULL;
}

/* JSON for the label; for free(). That a base cannot be looked at fails nothing. */
static int describe(const char *base, char **ret_text, lithops_error *err)
{
    lithops_error unknown = LITHOPS_ERROR_INIT;
    lithops_value *modules = NULL;
    if (!base) {
        modules = lithops_value_map();
    } else if (lithops__oci_look(base, &modules, &unknown) != 0) {
        lithops__log(LITHOPS_LOG_WARNING, "runtime",
                     "which Pythons and modules %s has is not known: %s", base, unknown.message);
        modules = lithops_value_null();
    }
    lithops_value *about = make_about(base, modules);
    int rc = about ? lithops_value_to_json(about, ret_text, err)
                   : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    lithops_value_free(about);
    return rc;
}

static int make(const char *backend, const char *name, const char *base,
                struct lithops__oci_image **ret_image, lithops_error *err)
{
    if (base && strcmp(base, "scratch") == 0)
        base = NULL;
    char *about = NULL;
    int rc = describe(base, &about, err);
    lithops_value *labels = rc == 0 ? lithops_pack("{s:s}", LABEL, about) : NULL;
    const struct lithops__oci_wanted wanted = {
        .name = name, .base = base, .command = command_of(backend), .labels = labels};
    if (rc == 0)
        rc = labels ? lithops__oci_make(&wanted, ret_image, err)
                    : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    lithops_value_free(labels);
    free(about);
    return rc;
}

static int make_and_push(const char *backend, const char *name, const char *base,
                         uint64_t *ret_sent, lithops_error *err)
{
    struct lithops__oci_image *image;
    int rc = make(backend, name, base, &image, err);
    if (rc != 0)
        return rc;
    rc = lithops__oci_push(image, ret_sent, err);
    lithops__oci_free(image);
    return rc;
}

/* ---- of a Dockerfile ------------------------------------------------------------------------- */

/* Whichever is there. */
static const char *find_program(void)
{
    static const char *const programs[] = {"docker", "podman"};
    const char *path = getenv("PATH");
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
        for (const char *at = path ? path : ""; *at; at += strcspn(at, ":"), at += *at == ':') {
            char name[4096];
            snprintf(name, sizeof name, "%.*s/%s", (int)strcspn(at, ":"), at, programs[i]);
            if (access(name, X_OK) == 0)
                return programs[i];
        }
    return NULL;
}

/* To the end, with this program's output. */
static int do_it(const char *const *words, lithops_error *err)
{
    pid_t pid = 0;
    int status = 0;
    int failed =
        lithops__spawn(&pid, words[0], NULL, NULL, (char *const *)(uintptr_t)words, environ);
    if (failed)
        return lithops__fail_errno(err, failed, "%s cannot be started", words[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return status == 0
               ? 0
               : lithops__fail(err, LITHOPS_EBACKEND, "%s %s has failed", words[0], words[1]);
}

/* What the image has: the engine's version, a search path, and files of Pythons, a line each. */
static int look(const char *program, const char *name, lithops_value **ret_about,
                lithops_error *err)
{
    static const char script[] =
        "lithops --version; echo \"$PATH\"; IFS=:; for d in $PATH; do echo $d/; for p in "
        "$d/python3.*; do "
        "[ -x $p ] && printf '%s\\n' $p ${d%/bin}/lib/python3*/*-packages/* "
        "${d%/bin}/lib/python3*/*-packages/*/__init__.py; done; done; "
        "printf '%s\\n' /usr/local/lib/python3*/dist-packages/* "
        "/usr/local/lib/python3*/dist-packages/*/__init__.py; true";
    const char *const words[] = {program, "run", "--rm", "--network", "none", "--entrypoint",
                                 "sh",    name,  "-c",   script,      NULL};
    const struct lithops__bounds bounds = {.deadline_ns = UINT64_MAX};
    char *text = calloc(1, MOST_BYTES), version[64] = "";
    size_t len = 0;
    int rc = text ? lithops__program_output((char *const *)(uintptr_t)words, environ, &bounds, text,
                                            MOST_BYTES - 1, &len, err)
                  : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc == 0 && sscanf(text, "lithops %63s", version) != 1)
        rc = lithops__fail(err, LITHOPS_EUNSUPPORTED,
                           "the image %s has no command lithops on its PATH, which workers are",
                           name);
    char *path = rc == 0 ? strchr(text, '\n') : NULL, *files = path ? strchr(path + 1, '\n') : NULL;
    if (files)
        *files++ = '\0';
    else if (rc == 0)
        rc = lithops__fail(err, LITHOPS_EBACKEND, "the image %s does not say what is in it", name);
    if (rc == 0 && strcmp(version, LITHOPS_VERSION) != 0)
        rc = lithops__fail(err, LITHOPS_EUNSUPPORTED,
                           "the image %s has Lithops %s, and this is Lithops " LITHOPS_VERSION
                           ": its Dockerfile must install that",
                           name, version);
    lithops_value *seen = rc == 0 ? lithops_value_map() : NULL;
    if (seen && lithops__oci_note(seen, files, path + 1) == 0)
        *ret_about = make_about("Dockerfile", lithops__oci_pythons(seen, path + 1));
    lithops_value_free(seen);
    free(text);
    return rc == 0 && !*ret_about ? lithops__fail(err, LITHOPS_ENOMEM, "out of memory") : rc;
}

/* The label, in a layer of no bytes. */
static int label(const char *program, const char *name, const lithops_value *about,
                 lithops_error *err)
{
    static const char script[] =
        "printf 'FROM %s\\n' \"$2\" | \"$1\" build --label \"$3\" -t \"$2\" -";
    char *json = NULL, *pair = NULL;
    int rc = lithops_value_to_json(about, &json, err);
    if (rc == 0 && asprintf(&pair, LABEL "=%s", json) < 0) {
        pair = NULL;
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    }
    const char *const words[] = {"sh", "-c", script, "sh", program, name, pair, NULL};
    if (rc == 0)
        rc = do_it(words, err);
    free(json);
    free(pair);
    return rc;
}

static int build_by(const char *name, const char *dockerfile, lithops_error *err)
{
    const char *program = find_program();
    lithops_value *about = NULL;
    if (!program)
        return lithops__fail(err, LITHOPS_EUNSUPPORTED,
                             "a Dockerfile needs docker or podman, and neither is on PATH; without "
                             "one, 'lithops runtime build --base IMAGE' needs none");
    const char *const build[] = {program, "build", "-t", name, "-f", dockerfile, ".", NULL};
    const char *const push[] = {program, "push", name, NULL};
    int rc = do_it(build, err);
    if (rc == 0)
        rc = look(program, name, &about, err);
    if (rc == 0)
        rc = label(program, name, about, err);
    if (rc == 0)
        rc = do_it(push, err);
    lithops_value_free(about);
    return rc;
}

/* ---- build, deploy, remove ------------------------------------------------------------------- */

/* Where the command is that of the Python package, workers need its Python. */
static const char *default_base(char buf[64])
{
    static const char script[] = "import sys; print('%d.%d' % sys.version_info[:2])";
    const char *python = getenv("LITHOPS_PYTHON");
    const char *const words[] = {python, "-c", script, NULL};
    const struct lithops__bounds bounds = {.deadline_ns = UINT64_MAX};
    char version[16] = "";
    size_t len = 0;
    if (!python || lithops__program_output((char *const *)(uintptr_t)words, environ, &bounds,
                                           version, sizeof version - 1, &len, NULL) != 0)
        return NULL;
    version[strcspn(version, "\n")] = '\0';
    snprintf(buf, 64, "docker.io/library/python:%s-slim", version);
    return buf;
}

static int build(const struct lithops__config *config, const struct lithops__runtime_wish *wish,
                 char **ret_text, lithops_error *err)
{
    struct lithops__oci_image *image = NULL;
    const char *backend, *name;
    char buf[64];
    uint64_t bytes = 0;
    int rc = name_of(config, wish, &backend, &name, err);
    if (rc != 0)
        return rc;
    if (wish->dockerfile && (wish->base || wish->file))
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "--file is a Dockerfile, which says what the base is; its image is "
                             "pushed: leave out --base and --out");
    if (wish->dockerfile) {
        rc = build_by(name, wish->dockerfile, err);
    } else {
        rc = make(backend, name, wish->base ? wish->base : default_base(buf), &image, err);
        if (rc == 0)
            rc = wish->file ? lithops__oci_save(image, wish->file, &bytes, err)
                            : lithops__oci_push(image, &bytes, err);
        lithops__oci_free(image);
    }
    int len = rc != 0            ? 0
              : wish->file       ? asprintf(ret_text, "%s: %llu KiB, the image %s", wish->file,
                                            (unsigned long long)bytes >> 10, name)
              : wish->dockerfile ? asprintf(ret_text, "%s is pushed", name)
                                 : asprintf(ret_text, "%s is pushed: %llu KiB were new", name,
                                            (unsigned long long)bytes >> 10);
    return len < 0 ? lithops__fail(err, LITHOPS_ENOMEM, "out of memory") : rc;
}

/* What the label of an image says; ENOTFOUND: there is no image. */
static int read_about(const char *name, lithops_value **ret_about, lithops_error *err)
{
    lithops_value *labels = NULL;
    int rc = lithops__oci_labels(name, &labels, err);
    if (rc != 0)
        return rc;
    const char *text = text_at(labels, LABEL);
    lithops_value *about = lithops_value_from_json(text, strlen(text), NULL);
    lithops_value_free(labels);
    if (lithops_value_type(about) == LITHOPS_MAP) {
        *ret_about = about;
        return 0;
    }
    lithops_value_free(about);
    return lithops__fail(err, LITHOPS_EUNSUPPORTED,
                         "the image %s does not say what is in it: 'lithops runtime build' makes "
                         "one that does, over --base IMAGE or from --file Dockerfile",
                         name);
}

static bool is_current(const lithops_value *about)
{
    return strcmp(text_at(about, "version"), LITHOPS_VERSION) == 0 &&
           lithops_value_get_int(lithops_value_get(about, "protocol")) == lithops__relay_protocol();
}

static int deploy(const struct lithops__config *config, const struct lithops__runtime_wish *wish,
                  bool must_exist, char **ret_name, lithops_value **ret_meta, lithops_error *err)
{
    lithops_error missing = LITHOPS_ERROR_INIT;
    lithops_value *about = NULL;
    const char *backend, *name, *base = wish->base;
    char buf[64], own[LITHOPS__OCI_NAME] = "";
    uint64_t sent;
    int rc = name_of(config, wish, &backend, &name, err);
    if (rc != 0)
        return rc;
    rc = read_about(name, &about, &missing);
    bool is_there = rc == 0, is_new = rc == LITHOPS_ENOTFOUND && !must_exist;
    if (!is_there && !is_new) {
        *err = missing;
        return rc;
    }
    bool is_of_file = strcmp(text_at(about, "base"), "Dockerfile") == 0;
    snprintf(own, sizeof own, "%s", text_at(about, "base"));
    if (!base)
        base = is_there ? own : default_base(buf);
    rc = 0;
    if (is_there && is_of_file && !wish->base && !is_current(about)) {
        rc = lithops__fail(err, LITHOPS_EUNSUPPORTED,
                           "the image %s has Lithops %s, and is of a Dockerfile: 'lithops runtime "
                           "build -f Dockerfile %s' makes it again, then 'lithops runtime update'",
                           name, text_at(about, "version"), name);
        lithops_value_free(about);
        return rc;
    }
    if (is_new || wish->base || ((must_exist || !is_current(about)) && !is_of_file)) {
        rc = make_and_push(backend, name, base, &sent, err);
        lithops_value_free(about);
        about = NULL;
        if (rc == 0)
            rc = read_about(name, &about, err);
    }
    if (rc == 0 && !(*ret_name = strdup(name)))
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc == 0)
        *ret_meta = about;
    else
        lithops_value_free(about);
    return rc;
}

const struct lithops__runtime_ops lithops__image_runtimes = {.build = build, .deploy = deploy};
