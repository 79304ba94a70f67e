/* SPDX-License-Identifier: Apache-2.0 */
/* The child `ssh`.
 *
 * In its own session it has no terminal to ask on. A password is passed in its environment: ssh
 * runs the lithops command to get it (SSH_ASKPASS), so it is in no argument and no file. */
#include "base/error.h"
#include "compute/backends/vm/vm.h"
#include "compute/linked.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_ARGUMENTS = 128, MOST_ENVIRONMENT = 4096 };

struct words {
    const char *words[MOST_ARGUMENTS];
    size_t count;
    char port[16], timeout[40], key_name[280];
};

static void add(struct words *argv, const char *word)
{
    if (argv->count + 1 < MOST_ARGUMENTS)
        argv->words[argv->count++] = word;
}

static void add_two(struct words *argv, const char *option, const char *value)
{
    add(argv, option);
    add(argv, value);
}

/* Nobody is there to be asked, and nothing but the command is to run. */
static void be_quiet(struct words *argv, const struct lithops__vm_options *options)
{
    if (!options->password)
        add_two(argv, "-o", "BatchMode=yes");
    add_two(argv, "-o", "LogLevel=INFO"); /* a quiet one would not say why */
    add_two(argv, "-o", "ClearAllForwardings=yes");
    add_two(argv, "-o", "ForwardX11=no");
    add_two(argv, "-o", "RemoteCommand=none");
    add(argv, "-T");
}

/* The user's options come first, as ssh takes the first value of each.
 * @param command  NULL: a shell for the user */
static void make_arguments(struct words *argv, const struct lithops__vm_options *options,
                           const struct lithops__vm_host *host, const char *command)
{
    add(argv, "ssh");
    for (size_t i = 0; options->options && options->options[i]; i++)
        add_two(argv, "-o", options->options[i]);
    snprintf(argv->timeout, sizeof argv->timeout, "ConnectTimeout=%u", options->connect_timeout_s);
    add_two(argv, "-o", argv->timeout);
    if (options->password)
        add_two(argv, "-o", "NumberOfPasswordPrompts=1");
    if (host->key_name) {
        snprintf(argv->key_name, sizeof argv->key_name, "HostKeyAlias=%s", host->key_name);
        add_two(argv, "-o", argv->key_name);
    }
    if (command)
        be_quiet(argv, options);
    if (options->key) {
        add_two(argv, "-i", options->key);
        add_two(argv, "-o", "IdentitiesOnly=yes");
    }
    if (host->port) {
        snprintf(argv->port, sizeof argv->port, "%d", host->port);
        add_two(argv, "-p", argv->port);
    }
    if (host->user)
        add_two(argv, "-l", host->user);
    add(argv, "--");
    add(argv, host->name);
    if (command)
        add(argv, command);
    argv->words[argv->count] = NULL;
}

/* ---- environment ----------------------------------------------------------------------------- */

struct surroundings {
    const char *words[MOST_ENVIRONMENT];
    char *own[4];
    size_t count, own_count;
};

static bool is_set_here(const char *entry)
{
    static const char *const names[] = {
        "SSH_ASKPASS=", "SSH_ASKPASS_REQUIRE=", "LITHOPS_SSH_PASSWORD="};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(entry, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static void set(struct surroundings *env, const char *name, const char *value)
{
    char *entry = NULL;
    if (env->count + 1 >= MOST_ENVIRONMENT || asprintf(&entry, "%s=%s", name, value) < 0)
        return;
    env->own[env->own_count++] = entry;
    env->words[env->count++] = entry;
}

static void make_environment(struct surroundings *env, const char *password)
{
    char command[PATH_MAX + 32];
    for (char **entry = environ; *entry && env->count + 5 < MOST_ENVIRONMENT; entry++)
        if (!is_set_here(*entry))
            env->words[env->count++] = *entry;
    if (password) {
        lithops__own_command(command, sizeof command);
        set(env, "SSH_ASKPASS", command);
        set(env, "SSH_ASKPASS_REQUIRE", "force");
        set(env, "LITHOPS_SSH_PASSWORD", password);
        if (!getenv("DISPLAY")) /* ssh before 8.4 asks only then */
            set(env, "DISPLAY", "none:0");
    }
    env->words[env->count] = NULL;
}

static void free_environment(struct surroundings *env)
{
    for (size_t i = 0; i < env->own_count; i++) {
        explicit_bzero(env->own[i], strlen(env->own[i]));
        free(env->own[i]);
    }
    free(env);
}

static int fail_start(int failed, lithops_error *err)
{
    if (failed == ENOENT)
        return lithops__fail(err, LITHOPS_EBACKEND,
                             "there is no program ssh here: install it (Debian: openssh-client)");
    return lithops__fail_errno(err, failed, "cannot start ssh");
}

int lithops__vm_attach(const struct lithops__vm_options *options,
                       const struct lithops__vm_host *host, lithops_error *err)
{
    struct words argv = {.count = 0};
    struct surroundings *env = calloc(1, sizeof *env);
    if (!env)
        return fail_start(ENOMEM, err);
    make_arguments(&argv, options, host, NULL);
    make_environment(env, options->password);
    (void)execvpe("ssh", (char *const *)argv.words, (char *const *)env->words);
    int failed = errno;
    free_environment(env);
    return fail_start(failed, err);
}

/* ---- the child ------------------------------------------------------------------------------- */

int lithops__vm_spawn(const struct lithops__vm_options *options,
                      const struct lithops__vm_host *host, const char *command,
                      struct lithops__child *child, int *ret_fd, lithops_error *err)
{
    struct words argv = {.count = 0};
    struct surroundings *env = calloc(1, sizeof *env);
    int rc = ENOMEM;
    if (env) {
        make_arguments(&argv, options, host, command);
        make_environment(env, options->password);
        rc = lithops__child_start(child, "ssh", (char *const *)argv.words,
                                  (char *const *)env->words, ret_fd, err);
        free_environment(env);
    }
    return rc > 0 ? fail_start(rc, err) : rc;
}
