/* SPDX-License-Identifier: Apache-2.0 */
/* A container around the shell that bootstrap.c talks to.
 *
 *     client                                    host
 *     a line: the shell program below       ->
 *                                           <-  LITHOPS-PULLS, where the image is not there
 *                                           <-  LITHOPS-CONTAINER docker|podman, and becomes the
 *                                               container's shell; or
 *                                           <-  LITHOPS-ERROR why
 *
 * So the container is asked for its architecture, its C library and its Python as a host is. The
 * cache is the host's, at the same path. The container's first process is a shell that waits for
 * the worker: it reaps what functions leave behind, and all ends with it. It ends with its standard
 * input, and so with the link. */
#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "compute/bootstrap.h"

#include <stdio.h>
#include <string.h>

enum { PULL_S = 600 };

/* i: the image; n: pull it anyway; g: with GPUs. Positional: folders that the container sees, too.
 * Whichever has the image runs it. */
static const char program[] =
    "c=${XDG_CACHE_HOME:-$HOME/.cache}; f=; r=; s=; "
    "fail() { printf \"LITHOPS-ERROR %s\\n\" \"$*\"; exit 1; }; "
    "o=$(umask 077; mkdir -p \"$c/lithops\" 2>&1) || fail \"cache $o\"; "
    "for e in docker podman; do command -v $e >/dev/null || continue; f=\"$f $e\"; "
    "[ -z \"$n$r\" ] && $e image inspect \"$i\" </dev/null >/dev/null 2>&1 && r=$e; done; "
    "[ -n \"$f\" ] || fail \"containers '$i'\"; "
    "[ -n \"$r\" ] || { echo LITHOPS-PULLS; "
    "for e in $f; do o=$($e pull -q \"$i\" </dev/null 2>&1) && { r=$e; break; }; "
    "s=\"$s${s:+; }$e: $(printf \"%s\" \"$o\" | tail -n 1)\"; done; }; "
    "[ -n \"$r\" ] || fail \"image '$i' ($s)\"; "
    "k=$#; while [ $k -gt 0 ]; do [ -d \"$1\" ] && set -- \"$@\" --volume \"$1:$1\"; shift; "
    "k=$((k - 1)); done; "
    "[ $r = docker ] || [ \"$(id -u)\" = 0 ] || set -- --userns keep-id \"$@\"; "
    "[ -z \"$g\" ] || set -- --gpus all \"$@\"; "
    "echo LITHOPS-CONTAINER $r; "
    "exec $r run --rm --interactive --network host --user \"$(id -u):$(id -g)\" "
    "--security-opt label=disable --volume \"$c/lithops:$c/lithops\" "
    "--env \"XDG_CACHE_HOME=$c\" --env SSH_CONNECTION --entrypoint sh \"$@\" \"$i\" -c \"$w\"\n";

/* Of the container. */
static const char inner[] = "[ -w \"$HOME\" ] || export HOME=/tmp; cd \"$HOME\" || cd /; "
                            "sh -c 'IFS= read -r s && eval \"$s\"'; exit $?";

static int send_container(const struct lithops__talk *talk,
                          const struct lithops__container *container, lithops_error *err)
{
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    lithops__talk_quote(&out, "i", container->image);
    lithops__talk_quote(&out, "n", container->is_pulled ? "yes" : "");
    lithops__talk_quote(&out, "g", container->has_gpus ? "yes" : "");
    lithops__talk_quote(&out, "w", inner);
    lithops__buffer_append_string(&out, "set --; ");
    for (size_t i = 0; i < lithops_value_size(container->folders); i++) {
        const char *folder = lithops_value_get_string(lithops_value_at(container->folders, i));
        lithops__talk_quote(&out, "x", folder ? folder : "");
        lithops__buffer_append_string(&out, "set -- \"$@\" \"$x\"; ");
    }
    lithops__buffer_append_string(&out, program);
    int rc = out.failed ? lithops__fail(err, LITHOPS_ENOMEM, "out of memory")
                        : lithops__talk_write(talk, (const char *)out.data, out.len, err);
    lithops__buffer_deinit(&out);
    return rc == 1 ? 0 : rc;
}

int lithops__container_start(struct lithops__talk *talk, const struct lithops__container *container,
                             char *ret_by, size_t size, lithops_error *err)
{
    char line[LITHOPS__TALK_LINE];
    const char *by = NULL;
    bool is_pulling = false;
    int rc = send_container(talk, container, err);
    while (rc == 0 && !by) {
        rc = lithops__talk_read_answer(talk, "LITHOPS-", line, err);
        by = rc == 0 ? lithops__talk_after(line, "LITHOPS-CONTAINER ") : NULL;
        if (rc == 0 && strcmp(line, "LITHOPS-PULLS") == 0) {
            is_pulling = true;
            talk->until_ns = lithops__now_ns() + PULL_S * (uint64_t)1000000000;
        }
    }
    if (rc == LITHOPS_ETIMEDOUT && is_pulling)
        return lithops__fail(err, LITHOPS_EBACKEND,
                             "it has not pulled image '%s' within %d s: pull it there by hand",
                             container->image, PULL_S);
    if (rc == 0)
        snprintf(ret_by, size, "%s", by);
    return rc;
}

/* ---- the key --------------------------------------------------------------------------------- */

static bool is_of(const char *text, const char *allowed)
{
    return text[strspn(text, allowed)] == '\0';
}

enum lithops__runtime_kind lithops__runtime_kind(const char *runtime)
{
    static const char word[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    static const char name[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/@-";
    if (!runtime || !runtime[0] || strcmp(runtime, "python3") == 0 ||
        strcmp(runtime, "python") == 0)
        return LITHOPS__RUNTIME_ANY;
    if (runtime[0] == '/' ||
        (strncmp(runtime, "python", 6) == 0 && is_of(runtime + 6, "0123456789.")))
        return LITHOPS__RUNTIME_INTERPRETER;
    return strchr(word, runtime[0]) && is_of(runtime, name) ? LITHOPS__RUNTIME_IMAGE
                                                            : LITHOPS__RUNTIME_WRONG;
}
