/* SPDX-License-Identifier: Apache-2.0 */
/* The dialogue with a host, until the worker runs there.
 *
 *     client                                    host
 *     a line: the shell program below       ->
 *                                           <-  LITHOPS-HOST machine|libc|cpus|memory|engine|python
 *     SEND n, and n bytes of the archive    ->      if it has no engine of this hash
 *                                           <-  LITHOPS-READY, and becomes the worker; or
 *                                           <-  LITHOPS-ERROR why
 *
 * The program is a line for `read`, since any login shell can be made to read one. Output of the
 * shell's start-up files is ignored. Exactly whole lines are read: what follows READY belongs to
 * the worker. */
#include "compute/bootstrap.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "compute/talk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE_BYTES = 256 << 10, CONTAINER_START_S = 60 };

#define SCRIPT "IFS= read -r s && eval \"$s\""
const char lithops__bootstrap_script[] = SCRIPT;
const char lithops__bootstrap_command[] = "exec sh -c '" SCRIPT "'";

/* h: hash of the engine; p: wanted version of Python, P: its path as configured; t: only a test;
 * W, K: where the worker connects, and with which secret, which is in no argument.
 * Two clients may send at once: an existing engine stays, since its name is the hash of its
 * content. The time of SUMS is when an engine was last used (agent/cache.h). CHECKED has the stamps
 * of files that were compared with SUMS, all changed in an earlier second than that: while they are
 * the same, 50 MB need not be hashed again. */
static const char program[] =
    "umask 077; c=${XDG_CACHE_HOME:-$HOME/.cache}/lithops; d=$c/engine; e=$d/$h; "
    "fail() { printf \"LITHOPS-ERROR %s\\n\" \"$*\"; exit 1; }; "
    "stamps() { (cd \"$1\" && while read -r s f; do set -- \"$@\" \"$f\"; done <SUMS && shift && "
    "stat -c \"%n %i %s %Y %Z\" \"$@\") 2>/dev/null; }; "
    "whole() { [ -f \"$1/SUMS\" ] || return 1; s=$(sha256sum 2>/dev/null <\"$1/SUMS\") || s=$h; "
    "[ \"${s%% *}\" = \"$h\" ] || return 1; command -v sha256sum >/dev/null || return 0; "
    "i=$(stamps \"$1\") && [ \"$i\" = \"$(cat \"$1/CHECKED\" 2>/dev/null)\" ] && return 0; "
    "w=$(date +%s); i=$(stamps \"$1\"); (cd \"$1\" && sha256sum -c SUMS) >/dev/null 2>&1 || return "
    "1; "
    "[ -z \"$i\" ] || { echo \"$i\" | while read -r f j s m z; do [ \"$z\" -lt $((w - 1)) ] || "
    "exit 1; "
    "done && echo \"$i\" >\"$1/CHECKED\"; } 2>/dev/null; return 0; }; "
    "has=no; whole \"$e\" && has=yes; "
    "y=; [ -z \"$p\" ] || for i in \"$P\" \"python$p\" \"/usr/bin/python$p\" "
    "\"/usr/local/bin/python$p\" \"$HOME/.pyenv/versions/$p\".*/bin/\"python$p\" python3; do "
    "[ -n \"$i\" ] || continue; "
    "y=$(\"$i\" -c \"import sys; print(sys.executable if sys.version_info[:2] == "
    "tuple(map(int, \\\"$p\\\".split(\\\".\\\"))) else str())\" 2>/dev/null </dev/null) || y=; "
    "[ -z \"$y\" ] && [ -z \"$P\" ] || break; done; "
    "l=$(getconf GNU_LIBC_VERSION 2>/dev/null) || l=; "
    "[ -n \"$l\" ] || l=$(ldd --version 2>&1 | head -n 1); "
    "n=$(getconf _NPROCESSORS_ONLN 2>/dev/null) || n=0; "
    "m=0; while read -r k v u; do [ \"$k\" = MemTotal: ] && m=$v; done </proc/meminfo; "
    "printf \"LITHOPS-HOST %s|%s|%s|%s|%s|%s\\n\" \"$(uname -m)\" \"$l\" \"$n\" \"$m\" \"$has\" "
    "\"$y\"; [ -z \"$t\" ] || { v=; "
    "for i in 10 11 12 13 14; do command -v python3.$i >/dev/null && v=\"$v${v:+, }3.$i\"; done; "
    "k=$(du -sk \"$c\" 2>/dev/null) || k=0; set -- $k; "
    "printf \"LITHOPS-FOUND %s|%s\\n\" \"$v\" \"${1:-0}\"; "
    "while read -r w; do echo LITHOPS-PONG; done; exit 0; }; "
    "if [ $has = no ]; then read -r w z && [ \"$w\" = SEND ] || exit 1; x=$d/.$h.$$; "
    "for i in head tar; do command -v $i >/dev/null || fail \"it has no $i: install it there\"; "
    "done; "
    "rm -rf \"$e\" 2>/dev/null; "
    "o=$(mkdir -p \"$x\" 2>&1) || fail \"cache $o\"; "
    "o=$(head -c \"$z\" | tar xof - -C \"$x\" 2>&1) && whole \"$x\" || "
    "{ rm -rf \"$x\"; fail \"unpack $c: ${o:-what came is not what was sent}\"; }; "
    "mv \"$x\" \"$e\" 2>/dev/null; rm -rf \"$e/.$h.$$\" \"$x\"; "
    "[ -f \"$e/SUMS\" ] || fail \"unpack $c\"; fi; touch \"$e/SUMS\" 2>/dev/null; "
    "export LITHOPS_MODULE_PATH=\"$e/lib/lithops\"; "
    "export LD_LIBRARY_PATH=\"$e/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}\"; "
    "set -- worker; [ -z \"$W\" ] || { export LITHOPS_WORKER_SECRET=\"$K\"; set -- \"$@\" "
    "--connect \"$W\"; }; echo LITHOPS-READY; exec \"$e/bin/lithops\" \"$@\"\n";

/* ---- the dialogue ---------------------------------------------------------------------------- */

static int send_program(const struct lithops__talk *talk, const char *hash,
                        const struct lithops__bootstrap *wanted, lithops_error *err)
{
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    lithops__talk_quote(&out, "h", hash);
    lithops__talk_quote(&out, "p", wanted->python ? wanted->python : "");
    lithops__talk_quote(&out, "P", wanted->python_path ? wanted->python_path : "");
    lithops__talk_quote(&out, "t", wanted->is_test ? "yes" : "");
    lithops__talk_quote(&out, "W", wanted->where ? wanted->where : "");
    lithops__talk_quote(&out, "K", wanted->secret ? wanted->secret : "");
    lithops__buffer_append_string(&out, program);
    int rc = out.failed ? lithops__fail(err, LITHOPS_ENOMEM, "out of memory")
                        : lithops__talk_write(talk, (const char *)out.data, out.len, err);
    lithops__buffer_deinit(&out);
    return rc == 1 ? 0 : rc; /* what a start file prints is read next */
}

static void next_field(char **at, char *buf, size_t size)
{
    size_t len = strcspn(*at, "|");
    snprintf(buf, size, "%.*s", (int)len, *at);
    *at += len + ((*at)[len] == '|');
}

static void parse(char *text, struct lithops__bootstrap_answer *ret)
{
    char number[32], engine[8];
    next_field(&text, ret->machine, sizeof ret->machine);
    next_field(&text, ret->libc, sizeof ret->libc);
    next_field(&text, number, sizeof number);
    ret->cpus = (int)strtol(number, NULL, 10);
    next_field(&text, number, sizeof number);
    ret->memory_mb = strtoll(number, NULL, 10) / 1024;
    next_field(&text, engine, sizeof engine);
    ret->has_engine = strcmp(engine, "yes") == 0;
    next_field(&text, ret->python, sizeof ret->python);
}

/* Whether this engine can run there. */
static int check(const struct lithops__bootstrap_answer *answer,
                 const struct lithops__engine *engine, const struct lithops__bootstrap *wanted,
                 lithops_error *err)
{
    int minor = 0;
    if (strcmp(answer->machine, engine->machine) != 0)
        return lithops__fail(err, LITHOPS_EBACKEND,
                             "its architecture is %s, and this machine's is %s: run the "
                             "client on a machine like it, or %s",
                             answer->machine, engine->machine, wanted->leave_out);
    if (sscanf(answer->libc, "glibc 2.%d", &minor) != 1)
        return lithops__fail(err, LITHOPS_EBACKEND,
                             "its C library is '%s', and glibc 2.%d or later is needed: %s",
                             answer->libc, engine->glibc_minor, wanted->leave_out);
    if (minor < engine->glibc_minor)
        return lithops__fail(err, LITHOPS_EBACKEND,
                             "it has %s, and this engine needs 2.%d: build or install Lithops on a "
                             "system as old as it is (the wheels need 2.31), or %s",
                             answer->libc, engine->glibc_minor, wanted->leave_out);
    if (wanted->python && !answer->python[0] && wanted->python_path)
        return lithops__fail(err, LITHOPS_EBACKEND,
                             "'%s' is not Python %s there: install it, or correct %s",
                             wanted->python_path, wanted->python, wanted->python_key);
    if (wanted->python && !answer->python[0])
        return lithops__fail(err, LITHOPS_EBACKEND,
                             "it has no Python %s, which this program runs: install it there, or "
                             "say where it is by %s",
                             wanted->python, wanted->python_key);
    return 0;
}

/* For tests of a host only: the shortest of three round trips. */
static int look_around(struct lithops__talk *talk, struct lithops__bootstrap_answer *ret_answer,
                       lithops_error *err)
{
    char line[LITHOPS__TALK_LINE], number[32];
    int rc = lithops__talk_read_answer(talk, "LITHOPS-FOUND ", line, err);
    char *at = line + strlen("LITHOPS-FOUND ");
    if (rc != 0)
        return rc;
    next_field(&at, ret_answer->pythons, sizeof ret_answer->pythons);
    next_field(&at, number, sizeof number);
    ret_answer->cache_mb = strtoll(number, NULL, 10) / 1024;
    ret_answer->round_trip_ns = INT64_MAX;
    for (int i = 0; rc == 0 && i < 3; i++) {
        uint64_t start = lithops__now_ns();
        rc = lithops__talk_write(talk, "PING\n", 5, err);
        if (rc == 0)
            rc = lithops__talk_read_answer(talk, "LITHOPS-PONG", line, err);
        int64_t took = (int64_t)(lithops__now_ns() - start);
        if (took < ret_answer->round_trip_ns)
            ret_answer->round_trip_ns = took;
    }
    return rc;
}

static int send_engine(struct lithops__talk *talk, const struct lithops__engine *engine,
                       lithops_error *err)
{
    char line[64];
    struct lithops__engine_archive archive;
    int rc = lithops__engine_archive(engine, &archive, err);
    if (rc != 0)
        return rc;
    snprintf(line, sizeof line, "SEND %llu\n", (unsigned long long)archive.size);
    rc = lithops__talk_write(talk, line, strlen(line), err);
    char *piece = rc == 0 ? malloc(PIECE_BYTES) : NULL;
    if (rc == 0 && !piece)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    for (uint64_t at = 0; rc == 0 && at < archive.size;) {
        ssize_t n = pread(archive.fd, piece, PIECE_BYTES, (off_t)at);
        if (n <= 0)
            rc = lithops__fail_errno(err, n < 0 ? errno : EIO, "cannot read the packed engine");
        else
            rc = lithops__talk_write(talk, piece, (size_t)n, err);
        at += n > 0 ? (uint64_t)n : 0;
        lithops__talk_more_time(talk); /* slow is not dead */
    }
    free(piece);
    close(archive.fd);
    return rc == 1 ? 0 : rc; /* why it takes no more is read next */
}

static int talk_to_shell(struct lithops__talk *talk, const struct lithops__engine *engine,
                         const struct lithops__bootstrap *wanted,
                         struct lithops__bootstrap_answer *ret_answer, lithops_error *err)
{
    char line[LITHOPS__TALK_LINE];
    int rc = send_program(talk, engine->hash, wanted, err);
    if (rc == 0)
        rc = lithops__talk_read_answer(talk, "LITHOPS-HOST ", line, err);
    if (rc != 0)
        return rc;
    parse(line + strlen("LITHOPS-HOST "), ret_answer);
    rc = check(ret_answer, engine, wanted, err);
    if (rc != 0 || wanted->is_test)
        return rc ? rc : look_around(talk, ret_answer, err);
    lithops__talk_more_time(talk);
    if (!ret_answer->has_engine)
        rc = send_engine(talk, engine, err);
    return rc ? rc : lithops__talk_read_answer(talk, "LITHOPS-READY", line, err);
}

int lithops__bootstrap(int fd, int cancel_fd, const struct lithops__bootstrap *wanted,
                       struct lithops__bootstrap_answer *ret_answer, lithops_error *err)
{
    struct lithops__talk talk = {fd, cancel_fd, 0, wanted->timeout_s};
    lithops__talk_more_time(&talk);
    /* The engine is packed and hashed while the connection is made, where it is not known. */
    const struct lithops__engine *engine = lithops__engine(err);
    if (!engine)
        return err->code;
    *ret_answer = (struct lithops__bootstrap_answer){.cpus = 0};
    if (!wanted->container)
        return talk_to_shell(&talk, engine, wanted, ret_answer, err);
    int rc = lithops__container_start(&talk, wanted->container, ret_answer->container,
                                      sizeof ret_answer->container, err);
    if (rc != 0)
        return rc;
    lithops__talk_more_time(&talk);
    talk.until_ns += CONTAINER_START_S * (uint64_t)1000000000;
    rc = talk_to_shell(&talk, engine, wanted, ret_answer, err);
    if (rc == LITHOPS_EBACKEND)
        lithops__error_prefix(err, "in image '%s'", wanted->container->image);
    return rc;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* This engine, or else one that another version of the client has left. */
static const char asking[] =
    "c=${XDG_CACHE_HOME:-$HOME/.cache}/lithops/engine; x=0; echo LITHOPS-SAYS; "
    "for e in \"$c/$h\" \"$c\"/*; do [ -x \"$e/bin/lithops\" ] || continue; "
    "export LITHOPS_MODULE_PATH=\"$e/lib/lithops\"; "
    "export LD_LIBRARY_PATH=\"$e/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}\"; "
    "eval \"\\\"\\$e/bin/lithops\\\" $a\" </dev/null 2>&1; x=$?; break; done; "
    "echo LITHOPS-END $x\n";

int lithops__bootstrap_ask(int fd, const char *arguments, uint32_t timeout_s,
                           struct lithops__buffer *ret_said, lithops_error *err)
{
    struct lithops__talk talk = {fd, -1, 0, timeout_s};
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    char line[LITHOPS__TALK_LINE];
    const struct lithops__engine *engine = lithops__engine(err);
    if (!engine)
        return err->code;
    lithops__talk_more_time(&talk);
    lithops__talk_quote(&out, "h", engine->hash);
    lithops__talk_quote(&out, "a", arguments);
    lithops__buffer_append_string(&out, asking);
    int rc = out.failed ? lithops__fail(err, LITHOPS_ENOMEM, "out of memory")
                        : lithops__talk_write(&talk, (const char *)out.data, out.len, err);
    lithops__buffer_deinit(&out);
    if (rc >= 0)
        rc = lithops__talk_read_answer(&talk, "LITHOPS-SAYS", line, err);
    while (rc == 0 && (rc = lithops__talk_read_line(&talk, line, err)) == 0 &&
           !lithops__talk_after(line, "LITHOPS-END "))
        lithops__buffer_printf(ret_said, "%s\n", line);
    if (rc == 0 && strcmp(line, "LITHOPS-END 0") != 0)
        rc = lithops__fail(err, LITHOPS_EBACKEND, "%.*s", (int)ret_said->len,
                           ret_said->len ? (const char *)ret_said->data : "");
    return rc;
}
