/* SPDX-License-Identifier: Apache-2.0 */
/* The commands and options of `lithops`: two tables, which parsing, --help, completion and the man
 * page use. A new option is a row in options.c and a field here. */
#ifndef LITHOPS_CLI_OPTIONS_H
#define LITHOPS_CLI_OPTIONS_H

#include <lithops/error.h>

struct cli;

/* One bit per command: which options it takes. */
#define CLI_MAP (UINT64_C(1) << 0)
#define CLI_MAP_REDUCE (UINT64_C(1) << 1)
#define CLI_CALL (UINT64_C(1) << 2)
#define CLI_HELLO (UINT64_C(1) << 3)
#define CLI_TEST (UINT64_C(1) << 4)
#define CLI_CLEAN (UINT64_C(1) << 5)
#define CLI_LOGS (UINT64_C(1) << 6)
#define CLI_STORAGE_PUT (UINT64_C(1) << 7)
#define CLI_STORAGE_GET (UINT64_C(1) << 8)
#define CLI_STORAGE_LIST (UINT64_C(1) << 9)
#define CLI_STORAGE_DELETE (UINT64_C(1) << 10)
#define CLI_CONFIG_SHOW (UINT64_C(1) << 11) /* and prices: the same options */
#define CLI_CONFIG_CHECK (UINT64_C(1) << 12)
#define CLI_CONFIG_PATH (UINT64_C(1) << 13)
#define CLI_JOB_LIST (UINT64_C(1) << 14)
#define CLI_JOB_STOP (UINT64_C(1) << 15)
#define CLI_COMPLETION (UINT64_C(1) << 16)
#define CLI_PLAIN (UINT64_C(1) << 17) /* logs get, supervisor: no options of their own */
#define CLI_LOGS_POLL (UINT64_C(1) << 18)
#define CLI_WORKER (UINT64_C(1) << 19)
#define CLI_COMMAND (UINT64_C(1) << 20) /* `lithops run` */
#define CLI_WORKER_LIST (UINT64_C(1) << 21)
#define CLI_WORKER_STOP (UINT64_C(1) << 22)
#define CLI_STORAGE_HEAD (UINT64_C(1) << 23)
#define CLI_STORAGE_CHECK (UINT64_C(1) << 24)
#define CLI_WORKER_START (UINT64_C(1) << 25)
#define CLI_ATTACH (UINT64_C(1) << 26)
#define CLI_STORAGE_COPY (UINT64_C(1) << 27)
#define CLI_JOB_HANDLE                                                                             \
    (UINT64_C(1) << 28) /* job status, cancel, release, logs and plot: the same options */
#define CLI_JOB_WAIT (UINT64_C(1) << 29)
#define CLI_JOB_RESULT (UINT64_C(1) << 30)
#define CLI_RUNTIME_BUILD (UINT64_C(1) << 31)
#define CLI_RUNTIME_DEPLOY (UINT64_C(1) << 32) /* and update */
#define CLI_RUNTIME_LIST (UINT64_C(1) << 33)
#define CLI_RUNTIME_DELETE (UINT64_C(1) << 34)

#define CLI_MAPS (CLI_MAP | CLI_MAP_REDUCE)
#define CLI_RUNS (CLI_MAPS | CLI_CALL)
#define CLI_STORAGES                                                                               \
    (CLI_STORAGE_PUT | CLI_STORAGE_GET | CLI_STORAGE_LIST | CLI_STORAGE_DELETE |                   \
     CLI_STORAGE_HEAD | CLI_STORAGE_CHECK | CLI_STORAGE_COPY)
#define CLI_CONFIGS (CLI_CONFIG_SHOW | CLI_CONFIG_CHECK | CLI_CONFIG_PATH)
#define CLI_RUNTIMES                                                                               \
    (CLI_RUNTIME_BUILD | CLI_RUNTIME_DEPLOY | CLI_RUNTIME_LIST | CLI_RUNTIME_DELETE)
#define CLI_EXECUTORS (CLI_RUNS | CLI_COMMAND | CLI_HELLO | CLI_TEST)
#define CLI_LISTS                                                                                  \
    (CLI_STORAGE_LIST | CLI_STORAGE_HEAD | CLI_STORAGE_CHECK | CLI_CONFIG_SHOW | CLI_JOB_LIST |    \
     CLI_JOB_HANDLE | CLI_TEST | CLI_CLEAN | CLI_WORKER_LIST | CLI_RUNTIME_LIST)
#define CLI_ALL ((UINT64_C(1) << 35) - 1)

struct cli_command {
    const char *name; /* "map", "storage put" */
    uint64_t bit;
    const char *arguments; /* "FUNCTION", "BUCKET [KEY...]"; "" for none */
    int min_arguments, max_arguments;
    const char *help;  /* one line, for the list of commands */
    const char *notes; /* more, for --help and the man page; may be NULL */
    int (*run)(const struct cli *cli);
};
extern const struct cli_command cli_commands[]; /* ends with a NULL name */

enum cli_kind {
    CLI_SWITCH,  /* bool: true */
    CLI_YES,     /* int: 1 */
    CLI_NO,      /* int: 0 */
    CLI_TEXT,    /* const char * */
    CLI_FILE,    /* const char *; completed with files */
    CLI_FOLDER,  /* const char *; completed with folders */
    CLI_CHOICE,  /* const char *, one of `choices` */
    CLI_NUMBER,  /* int64_t, min..max */
    CLI_SIZE,    /* int64_t: bytes, as in 64MiB, 10MB, 4096; at least 1 */
    CLI_SECONDS, /* int64_t: milliseconds; above 0, may have a fraction */
    CLI_PAIR,    /* struct cli_list, appended; KEY=VALUE */
    CLI_LIST,    /* struct cli_list, appended */
    CLI_REST,    /* struct cli_list: all arguments up to the next option */
};

struct cli_option {
    const char *group; /* heading in --help; NULL: the same as the row before */
    char letter;       /* 0: none */
    const char *name;  /* without the dashes */
    const char *argument;
    enum cli_kind kind;
    size_t offset; /* of the field in struct cli_options */
    uint64_t commands;
    int64_t min, max;    /* of a number */
    const char *choices; /* "a|b|c" */
    const char *help;
};
extern const struct cli_option cli_option_table[]; /* ends with a NULL name */

enum { CLI_MOST_SOURCES = 32 };

struct cli_list {
    const char **items;
    size_t count, capacity;
};

/* The parsed command line. Strings are borrowed from argv. Unset numbers are LITHOPS_DEFAULT, unset
 * strings NULL. */
struct cli_options {
    struct cli_list over, extra, extra_reduce, env, include, exclude, set;
    bool over_given, null_ends, strings, json_lines, objects;
    int64_t chunk_size, chunk_number;
    const char *newline;
    size_t sources[CLI_MOST_SOURCES], source_count; /* where in `over` each --over begins */

    const char *reduce;
    bool reduce_by_object;
    int64_t spawn_reducer, reduce_memory_mb;

    int64_t timeout_ms, deadline_ms, memory_mb, group;
    bool keep_going, unordered, dry_run, detach;

    const char *folder, *colsep, *joblog, *halt;
    bool shell, pipe, link, resume, resume_failed;
    int64_t max_args, retries;

    bool raw, strict_json, summary, json;
    const char *out, *plot, *base;
    int progress; /* -1: if standard error is a terminal */

    const char *config_file, *mode, *backend, *storage, *log_level;
    int64_t workers;
    bool debug;

    const char *key, *file, *prefix, *through, *connect, *secret_file;
    bool http, openwhisk, fn;
    int64_t port, concurrency, drain_ms;
    const char *test; /* which check; "help" lists them */
    bool exit_first, online;
    int64_t hello_calls;
    bool all, force, cache, here, start, lambda, batch;
    bool help;
};

struct cli {
    const struct cli_command *command;
    struct cli_options options;
    struct cli_list arguments; /* everything but options */
};

/* Parse the arguments after the program's name. With --help nothing else is checked: only
 * options.help is set.
 * @return 0; LITHOPS_EUSAGE naming the argument, and the nearest known one */
int cli_parse(int argc, char *const *argv, struct cli *ret_cli, lithops_error *err);
void cli_deinit(struct cli *cli);

/* The command of that name, such as "map" or "storage" "put"; *ret_words is how many words were
 * used. NULL: there is none. */
const struct cli_command *cli_command_find(int argc, char *const *argv, int *ret_words);

/* 0; LITHOPS_EUSAGE naming the option. For CLI_SIZE and CLI_SECONDS. */
int cli_parse_size(const char *text, int64_t *ret_bytes, lithops_error *err);
int cli_parse_seconds(const char *text, int64_t *ret_ms, lithops_error *err);

/* The list borrows `item`. 0 or LITHOPS_ENOMEM. */
int cli_list_append(struct cli_list *list, const char *item);
/* For a list that owns all its items. */
int cli_list_append_copy(struct cli_list *list, const char *item);
void cli_list_free_copies(struct cli_list *list);

/* ---- help.c, completion.c: the tables as text --------------------------------------------------
 */

void cli_print_overview(FILE *out);                                 /* lithops --help */
void cli_print_usage(FILE *out, const struct cli_command *command); /* lithops map FUNCTION ... */
void cli_print_help(FILE *out, const struct cli_command *command);  /* lithops map --help */
void cli_print_group(FILE *out, const char *word);                  /* lithops storage --help */
bool cli_is_group(const char *word);                                /* "storage" */
int cli_print_completion(FILE *out, const char *shell, lithops_error *err);

#endif
