/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine runs besides the worker: two small shell programs, all of POSIX's shell and of
 * util-linux's flock.
 *
 * The guard is root's. It holds the lock /run/lithops/guard while it runs, so there is one, and
 * looks every few seconds whether somebody holds /run/lithops/lease: whoever does has the machine.
 * It ends the machine when that lock is free for soft seconds, or when one lease is older than
 * hard seconds, by what it wrote into the file: it runs what the cloud has left there for that, and
 * turns the machine off. Times are those since the boot, which nobody sets.
 *
 *     client                                     machine
 *     a line: the program that takes it      ->
 *                                            <-  LITHOPS-LEASE yes, and a shell for bootstrap.c; or
 *                                            <-  LITHOPS-LEASE busy; or LITHOPS-ERROR why
 *
 * The shell that holds the lock waits for the worker; the worker does not have it, nor what
 * functions start. So the lease ends with the connection. */
#include "base/clock.h"
#include "base/error.h"
#include "compute/backends/machines/machines.h"
#include "compute/talk.h"
#include "net/sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDER "/run/lithops"

/* The arguments: seconds that it may be free, that one lease may last, and that it may be free
 * before the first one. A lease that came and went between two looks has left its time. What is
 * read of an old one, whose lock another one just got, is not looked at twice. Who asks whether
 * there is a guard has its lock for a moment, so that is waited for. */
#define GUARD                                                                                      \
    "d=" FOLDER "; umask 022; mkdir -p $d && : >>$d/lease && chmod 666 $d/lease || exit 1; "       \
    "exec 8>>$d/guard 9<>$d/lease; flock -w 2 8 || exit 0; "                                       \
    "up() { read -r u x </proc/uptime; u=${u%%.*}; }; "                                            \
    "k=$(($1 / 4)); [ $k -le 10 ] || k=10; [ $k -ge 1 ] || k=1; m=$3; o=; up; i=$u; "              \
    "while :; do sleep $k 8>&- 9>&-; up; "                                                         \
    "t=; read -r t <$d/lease; case $t in *[!0-9]*) t= ;; esac; "                                   \
    "if [ -n \"$t\" ]; then m=$1; [ $t -le $i ] || i=$t; fi; "                                     \
    "if flock -n 9; then o=; [ $((u - i)) -lt $m ] || break; flock -u 9; "                         \
    "else i=$u; m=$1; t=${t:-$u}; "                                                                \
    "if [ $((u - t)) -lt $2 ]; then o=; elif [ \"$o\" = \"$t\" ]; then break; else o=$t; fi; "     \
    "fi; done; e=/var/lib/lithops/end; [ ! -e $e ] || sh $e; "                                     \
    "shutdown -h now || poweroff || halt -p"

static const char guard[] = GUARD;

/* R: it is new, and ready once that file is there; T: for so many seconds at most. A: the guard's
 * arguments, "": none is needed; G: the guard; L: options of flock. */
static const char program[] =
    "d=" FOLDER "; fail() { printf \"LITHOPS-ERROR %s\\n\" \"$*\"; exit 1; }; "
    "up() { read -r u x </proc/uptime; u=${u%%.*}; }; "
    "up; b=$u; while [ -n \"$R\" ] && ! [ -e $d/ready ]; do sleep 0.3; up; "
    "[ $((u - b)) -lt $T ] || fail \"its first boot has not finished within $T s: does the image "
    "have cloud-init? /var/log/cloud-init-output.log says what it did\"; done; "
    "command -v flock >/dev/null || fail \"it has no flock: install util-linux there\"; "
    "there() { [ -e $d/guard ] && ! flock -n $d/guard true; }; "
    "if [ -n \"$A\" ] && ! there; then s=; [ \"$(id -u)\" = 0 ] || s=\"sudo -n\"; "
    "o=$($s sh -c \"setsid sh -c \\\"\\$1\\\" lithops-guard $A </dev/null >/dev/null 2>&1 &\" x "
    "\"$G\" 2>&1 </dev/null) || fail \"it could not be made to turn itself off (${o:-no sudo}): "
    "allow its user sudo, or set standalone.auto_dismantle to false\"; "
    "b=0; until there; do sleep 0.1; b=$((b + 1)); [ $b -lt 100 ] || fail \"its guard does not "
    "start, which is to turn it off\"; done; fi; "
    "if [ -w $d/lease ]; then exec 9<>$d/lease; "
    "flock -w 1 $L 9 || { echo LITHOPS-LEASE busy; exit 0; }; up; echo $u >$d/lease; fi; "
    "echo LITHOPS-LEASE yes; sh -c 'IFS= read -r s && eval \"$s\"' 9>&-; exit $?\n";

/* ---- a new machine --------------------------------------------------------------------------- */

static void quote(struct lithops__buffer *out, const char *text)
{
    lithops__buffer_append_string(out, "'");
    for (; *text; text++)
        if (*text == '\'')
            lithops__buffer_append_string(out, "'\\''");
        else
            lithops__buffer_append(out, text, 1);
    lithops__buffer_append_string(out, "'");
}

static void add_packages(struct lithops__buffer *out, const lithops_value *list,
                         const char *command)
{
    if (lithops_value_size(list) == 0)
        return;
    lithops__buffer_append_string(out, command);
    for (size_t i = 0; i < lithops_value_size(list); i++) {
        lithops__buffer_append_string(out, " ");
        quote(out, lithops_value_get_string(lithops_value_at(list, i)));
    }
    lithops__buffer_append_string(out, "\n");
}

static void guard_arguments(const struct lithops__machines_options *options, char *buf, size_t size)
{
    uint32_t first = options->soft_s > options->start_s ? options->soft_s : options->start_s;
    snprintf(buf, size, "%u %u %u", options->soft_s, options->hard_s, first);
}

/* What ends the machine, if turning it off is not all. The program that takes a machine of the
 * user's has this and the guard in it, and the shell there reads just one line (bootstrap.c): so it
 * is one line, and the script, which has several, is written in base64. */
static void add_end(struct lithops__buffer *out, const struct lithops__machines_options *options,
                    enum lithops__machine_ending how)
{
    struct lithops__buffer end = LITHOPS__BUFFER_INIT;
    if (options->cloud->add_end)
        options->cloud->add_end(options->api, how, &end);
    char *text = end.len > 0 ? malloc(4 * (end.len / 3) + 5) : NULL;
    out->failed |= end.failed || (end.len > 0 && !text);
    if (text) {
        lithops__base64(end.data, end.len, text);
        lithops__buffer_printf(
            out, "e=/var/lib/lithops; mkdir -p $e; echo %s | base64 -d >$e/end; ", text);
    }
    free(text);
    lithops__buffer_deinit(&end);
}

/* The start of its guard is kept for later boots, where cloud-init runs it. */
char *lithops__lease_user_data(const struct lithops__machines_options *options)
{
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    const char *user =
        lithops_value_get_string(lithops_value_get(options->settings, "ssh_username"));
    char arguments[64];
    guard_arguments(options, arguments, sizeof arguments);
    lithops__buffer_append_string(&out, "#!/bin/sh\n"
                                        "# A machine of Lithops, which turns itself off.\n"
                                        "f=/var/lib/lithops b=/var/lib/cloud/scripts/per-boot\n"
                                        "mkdir -p $f $b " FOLDER "\n"
                                        "cat >$f/guard <<'END'\n");
    lithops__buffer_append_string(&out, guard);
    lithops__buffer_append_string(&out, "\nEND\n");
    add_end(&out, options,
            lithops_value_get_bool(lithops_value_get(options->settings, "delete_on_dismantle"))
                ? LITHOPS__ENDING_DELETES
                : LITHOPS__ENDING_STOPS);
    lithops__buffer_append_string(&out, "\n");
    lithops__buffer_append_string(&out, "cat >$f/start <<'END'\n#!/bin/sh\n"
                                        "mkdir -p " FOLDER "; : >>" FOLDER
                                        "/lease; chmod 666 " FOLDER "/lease\n");
    if (options->is_guarded)
        lithops__buffer_printf(
            &out, "setsid sh /var/lib/lithops/guard %s </dev/null >/dev/null 2>&1 &\n", arguments);
    lithops__buffer_append_string(&out, "END\nsh $f/start\n"
                                        "printf '#!/bin/sh\\nsh %s/start\\n: >>" FOLDER
                                        "/ready\\n' $f >$b/lithops\nchmod 755 $b/lithops\n");
    if (options->public_key) {
        lithops__buffer_append_string(&out, "u=");
        quote(&out, user ? user : "root");
        lithops__buffer_append_string(&out, "\nk=");
        quote(&out, options->public_key);
        lithops__buffer_append_string(
            &out, "\nh=$(getent passwd \"$u\" | cut -d: -f6)\n"
                  "mkdir -p \"$h/.ssh\" && echo \"$k\" >>\"$h/.ssh/authorized_keys\"\n"
                  "chown -R \"$u:\" \"$h/.ssh\"; chmod 700 \"$h/.ssh\"; chmod 600 "
                  "\"$h/.ssh/authorized_keys\"\n");
    }
    add_packages(&out, lithops_value_get(options->settings, "extra_apt_packages"),
                 "apt-get -qq update; DEBIAN_FRONTEND=noninteractive apt-get -qq -y install");
    add_packages(&out, lithops_value_get(options->settings, "extra_python_packages"),
                 "PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install -q");
    lithops__buffer_append_string(&out, ": >>" FOLDER "/ready\n");
    return lithops__buffer_steal(&out);
}

/* ---- taking it ------------------------------------------------------------------------------- */

static uint32_t timeout_of(const struct lithops__lease *lease)
{
    return lease->options->ssh.connect_timeout_s + 2 + (lease->is_new ? lease->timeout_s : 0);
}

static int hold_dialogue(const struct lithops__lease *lease, int fd, int cancel_fd,
                         lithops_error *err)
{
    struct lithops__talk talk = {fd, cancel_fd, 0, timeout_of(lease)};
    struct lithops__buffer out = LITHOPS__BUFFER_INIT, own = LITHOPS__BUFFER_INIT;
    char line[LITHOPS__TALK_LINE], arguments[64] = "", seconds[16];
    if (lease->is_guarded)
        guard_arguments(lease->options, arguments, sizeof arguments);
    if (lease->is_guarded && lease->is_shared) /* the user's, and nothing of ours is there yet */
        add_end(&own, lease->options, LITHOPS__ENDING_LENT);
    lithops__buffer_append_string(&own, guard);
    char *whole = lithops__buffer_steal(&own);
    lithops__talk_more_time(&talk);
    snprintf(seconds, sizeof seconds, "%u", lease->timeout_s);
    lithops__talk_quote(&out, "R", lease->is_new ? "yes" : "");
    lithops__talk_quote(&out, "T", seconds);
    lithops__talk_quote(&out, "A", arguments);
    lithops__talk_quote(&out, "G", whole ? whole : "");
    lithops__talk_quote(&out, "L", lease->is_shared ? "-s" : "-x");
    lithops__buffer_append_string(&out, program);
    int rc = out.failed || !whole
                 ? lithops__fail(err, LITHOPS_ENOMEM, "out of memory")
                 : lithops__talk_write(&talk, (const char *)out.data, out.len, err);
    lithops__buffer_deinit(&out);
    free(whole);
    if (rc >= 0)
        rc = lithops__talk_read_answer(&talk, "LITHOPS-LEASE ", line, err);
    if (rc == 0 && strcmp(line, "LITHOPS-LEASE yes") != 0)
        rc = lithops__fail(err, LITHOPS_EEXIST, "somebody else has it");
    return rc;
}

int lithops__lease_take(const struct lithops__lease *lease, int cancel_fd,
                        struct lithops__child *child, int *ret_fd, lithops_error *err)
{
    const struct lithops__vm_options *ssh = &lease->options->ssh;
    struct lithops__vm_host host;
    int fd = -1;
    lithops__machine_host(lease->options, lease->id, lease->address, &host);
    int rc = lithops__vm_spawn(ssh, &host, lithops__bootstrap_command, child, &fd, err);
    if (rc == 0)
        rc = hold_dialogue(lease, fd, cancel_fd, err);
    if (rc == 0) {
        *ret_fd = fd;
        return 0;
    }
    int code = err->code;
    if (code == LITHOPS_ETIMEDOUT && lease->is_new)
        lithops__fail(
            err, LITHOPS_EBACKEND,
            "no answer within %u s: is it up, the address right, and no firewall between?",
            timeout_of(lease));
    if (fd >= 0) {
        close(fd);
        (void)lithops__vm_give_up(ssh, &host, child, err);
    }
    err->code = code == LITHOPS_EEXIST ? code : err->code;
    err->retryable |= code == LITHOPS_ETIMEDOUT ||
                      (code == LITHOPS_EIO && (strstr(err->message, "Permission denied") ||
                                               strstr(err->message, "timed out")));
    return err->code;
}
