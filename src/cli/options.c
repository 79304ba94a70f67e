/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of commands and options: everything that is said about them is said here.
 *
 * The order of rows is the order in --help and in the man page. Help texts are short, begin with a
 * small letter and have no final full stop; they must not contain ' or backslashes, which the
 * shells' completion files would have to quote. */
#include "cli/options.h"

#include "cli/commands.h"

const struct cli_command cli_commands[] = {
    {"map", CLI_MAP, "FUNCTION", 1, 1, "call a function once per input",
     "FUNCTION is library.so:name for a function made with LITHOPS_FUNCTION, or\n"
     "library.so:name:signature for any C function, as in\n"
     "libm.so.6:pow:double(double,double).\n"
     "Results are written to standard output in the order of the inputs, one JSON\n"
     "value per line.",
     cmd_map},
    {"map-reduce", CLI_MAP_REDUCE, "FUNCTION", 1, 1,
     "call a function once per input, and another one over the results",
     "The reducer gets the results while they land. Its own result is what is written.",
     cmd_map_reduce},
    {"call", CLI_CALL, "FUNCTION [ARGUMENT...]", 1, INT32_MAX, "call a function once",
     "Several arguments are bound by position. An argument that is JSON is taken as\n"
     "such, anything else as a string; see --strings.",
     cmd_call},
    {"hello", CLI_HELLO, "", 0, 0, "run one call and say hello: does it work here?", NULL,
     cmd_hello},
    {"test", CLI_TEST, "", 0, 0, "test the configured backend and storage", NULL, cmd_test},
    {"clean", CLI_CLEAN, "", 0, 0, "remove what ended programs left behind",
     "Kept output of calls, and of programs that were killed: processes that their\n"
     "functions had started, and memory groups. With --all also what Lithops itself\n"
     "has put into the storage; your own objects stay.",
     cmd_clean},
    {"logs", CLI_LOGS, "[JOB|EXECUTOR]", 0, 1, "show what calls printed",
     "Without an argument, the logs that there are are listed.", cmd_logs},
    {"storage put", CLI_STORAGE_PUT, "FILE [BUCKET]", 1, 2, "store a file; - is standard input",
     "Without BUCKET, the one of the configuration is used. Without --key, the object\n"
     "is called as the file.",
     cmd_storage_put},
    {"storage get", CLI_STORAGE_GET, "BUCKET KEY", 2, 2, "fetch an object",
     "It is written to the file that --out names (- is standard output), else to one\n"
     "in this folder that is called as the last part of the key.",
     cmd_storage_get},
    {"storage list", CLI_STORAGE_LIST, "[BUCKET]", 0, 1, "list the objects of a bucket", NULL,
     cmd_storage_list},
    {"storage delete", CLI_STORAGE_DELETE, "BUCKET [KEY...]", 1, INT32_MAX, "delete objects",
     "Give keys, or --prefix, or --all for the whole bucket.", cmd_storage_delete},
    {"config show", CLI_CONFIG_SHOW, "[SECTION...]", 0, INT32_MAX,
     "show the configuration in force, defaults included, secrets masked", NULL, cmd_config_show},
    {"config check", CLI_CONFIG_CHECK, "[FILE]", 0, 1, "check the configuration, or a file", NULL,
     cmd_config_check},
    {"config path", CLI_CONFIG_PATH, "", 0, 0, "say where the configuration comes from", NULL,
     cmd_config_path},
    {"job list", CLI_JOB_LIST, "", 0, 0, "list the jobs that run on this machine", NULL,
     cmd_job_list},
    {"job stop", CLI_JOB_STOP, "[JOB|EXECUTOR...]", 0, INT32_MAX, "stop jobs",
     "The calls end as cancelled; the programs that wait for them get that error.", cmd_job_stop},
    {"completion", CLI_COMPLETION, "bash|zsh|fish", 1, 1,
     "print the completion of a shell, as in: source <(lithops completion bash)", NULL,
     cmd_completion},
    {NULL, 0, NULL, 0, 0, NULL, NULL, NULL},
};

#define AT(field) offsetof(struct cli_options, field)
#define LOG_LEVELS "debug|info|warning|error|none"

const struct cli_option cli_option_table[] = {
    {"Input", 0, "over", "INPUT...", CLI_REST, AT(over), CLI_MAPS, 0, 0, NULL,
     "one call per input: JSON, else a string; - reads lines of standard input"},
    {NULL, 0, "strings", NULL, CLI_SWITCH, AT(strings), CLI_RUNS, 0, 0, NULL,
     "take all inputs as strings, also those that look like JSON"},
    {NULL, 0, "json-lines", NULL, CLI_SWITCH, AT(json_lines), CLI_MAPS, 0, 0, NULL,
     "each input must be JSON"},
    {NULL, 0, "objects", NULL, CLI_SWITCH, AT(objects), CLI_MAPS, 0, 0, NULL,
     "inputs are files, folders, URLs, bucket/key or bucket/prefix/; one call each"},
    {NULL, 0, "chunk-size", "SIZE", CLI_SIZE, AT(chunk_size), CLI_MAPS, 0, 0, NULL,
     "inputs are objects, split into chunks of whole lines, as in 64MiB"},
    {NULL, 0, "chunk-number", "N", CLI_NUMBER, AT(chunk_number), CLI_MAPS, 1, INT64_MAX, NULL,
     "inputs are objects, each split into N chunks"},
    {NULL, 0, "newline", "TEXT", CLI_TEXT, AT(newline), CLI_MAPS, 0, 0, NULL,
     "what ends a line of an object; empty: chunks are plain byte ranges"},
    {NULL, 0, "extra", "KEY=VALUE", CLI_LIST, AT(extra), CLI_RUNS, 0, 0, NULL,
     "an argument by name for every call; or a JSON list or map"},

    {"Reduce", 0, "reduce", "FUNCTION", CLI_TEXT, AT(reduce), CLI_MAP_REDUCE, 0, 0, NULL,
     "the function over the results"},
    {NULL, 0, "reduce-by-object", NULL, CLI_SWITCH, AT(reduce_by_object), CLI_MAP_REDUCE, 0, 0,
     NULL, "one reducer per object"},
    {NULL, 0, "spawn-reducer", "PERCENT", CLI_NUMBER, AT(spawn_reducer), CLI_MAP_REDUCE, 0, 100,
     NULL, "how much of the map must be done before the reducer starts; 20"},
    {NULL, 0, "extra-reduce", "KEY=VALUE", CLI_LIST, AT(extra_reduce), CLI_MAP_REDUCE, 0, 0, NULL,
     "an argument by name for the reducer; or a JSON list or map"},
    {NULL, 0, "reduce-memory", "MB", CLI_NUMBER, AT(reduce_memory_mb), CLI_MAP_REDUCE, 1, INT32_MAX,
     NULL, "memory of the reducer"},

    {"Calls", 't', "timeout", "SECONDS", CLI_SECONDS, AT(timeout_ms), CLI_RUNS, 0, 0, NULL,
     "the longest that one call may take"},
    {NULL, 0, "deadline", "SECONDS", CLI_SECONDS, AT(deadline_ms), CLI_EXECUTORS, 0, 0, NULL,
     "the longest that all may take"},
    {NULL, 0, "memory", "MB", CLI_NUMBER, AT(memory_mb), CLI_RUNS, 1, INT32_MAX, NULL,
     "memory of a worker process"},
    {NULL, 'e', "env", "KEY=VALUE", CLI_PAIR, AT(env), CLI_RUNS, 0, 0, NULL,
     "environment of the calls"},
    {NULL, 0, "include", "FILE", CLI_LIST, AT(include), CLI_RUNS, 0, 0, NULL,
     "a file, folder or library that the function needs"},
    {NULL, 0, "exclude", "NAME", CLI_LIST, AT(exclude), CLI_RUNS, 0, 0, NULL,
     "a library that stays behind"},
    {NULL, 0, "group", "N", CLI_NUMBER, AT(group), CLI_MAPS, 1, INT32_MAX, NULL,
     "calls that a worker process takes at a time; by default it adapts"},
    {NULL, 'k', "keep-going", NULL, CLI_SWITCH, AT(keep_going), CLI_MAP, 0, 0, NULL,
     "go on after a failed call"},

    {"Output", 0, "json", NULL, CLI_SWITCH, AT(json), CLI_RUNS | CLI_LISTS | CLI_LOGS, 0, 0, NULL,
     "JSON lines; a failed call is a line too: {\"error\": ...}"},
    {NULL, 0, "raw", NULL, CLI_SWITCH, AT(raw), CLI_RUNS, 0, 0, NULL,
     "write strings and bytes as they are, not as JSON"},
    {NULL, 0, "out", "FOLDER", CLI_FOLDER, AT(out), CLI_RUNS, 0, 0, NULL,
     "write each result to a file of its own"},
    {NULL, 'u', "unordered", NULL, CLI_SWITCH, AT(unordered), CLI_MAP, 0, 0, NULL,
     "write results as they end, not in the order of the inputs"},
    {NULL, 0, "plot", "PREFIX", CLI_FILE, AT(plot), CLI_RUNS, 0, 0, NULL,
     "draw PREFIX_timeline.png and PREFIX_histogram.png"},
    {NULL, 0, "summary", NULL, CLI_SWITCH, AT(summary), CLI_RUNS, 0, 0, NULL,
     "a table of statistics at the end, on standard error"},
    {NULL, 'p', "progress", NULL, CLI_YES, AT(progress), CLI_RUNS, 0, 0, NULL,
     "show a progress bar; by default where standard error is a terminal"},
    {NULL, 0, "no-progress", NULL, CLI_NO, AT(progress), CLI_RUNS, 0, 0, NULL,
     "show no progress bar"},

    {"Objects", 'k', "key", "KEY", CLI_TEXT, AT(key), CLI_STORAGE_PUT, 0, 0, NULL,
     "the name of the object"},
    {NULL, 'o', "out", "FILE", CLI_FILE, AT(out), CLI_STORAGE_GET, 0, 0, NULL,
     "where to write it; - is standard output"},
    {NULL, 'p', "prefix", "TEXT", CLI_TEXT, AT(prefix), CLI_STORAGE_LIST | CLI_STORAGE_DELETE, 0, 0,
     NULL, "only objects whose key starts with this"},
    {NULL, 'a', "all", NULL, CLI_SWITCH, AT(all), CLI_STORAGE_DELETE | CLI_CLEAN | CLI_JOB_STOP, 0,
     0, NULL, "everything"},

    {"Where", 'b', "backend", "NAME", CLI_TEXT, AT(backend), CLI_EXECUTORS | CLI_CONFIGS, 0, 0,
     NULL, "the compute backend"},
    {NULL, 'm', "mode", "MODE", CLI_CHOICE, AT(mode), CLI_EXECUTORS | CLI_CONFIGS, 0, 0,
     "localhost|serverless|standalone", "the kind of backend"},
    {NULL, 's', "storage", "NAME", CLI_TEXT, AT(storage),
     CLI_EXECUTORS | CLI_CONFIGS | CLI_STORAGES | CLI_CLEAN, 0, 0, NULL, "the storage backend"},
    {NULL, 'w', "workers", "N", CLI_NUMBER, AT(workers), CLI_EXECUTORS, 1, 65536, NULL,
     "worker processes; by default as many as CPUs"},
    {NULL, 'c', "config", "FILE", CLI_FILE, AT(config_file),
     CLI_EXECUTORS | CLI_STORAGES | CLI_CONFIG_SHOW | CLI_CONFIG_PATH | CLI_CLEAN, 0, 0, NULL,
     "read this configuration file and no other"},
    {NULL, 'o', "set", "KEY=VALUE", CLI_PAIR, AT(set), CLI_EXECUTORS | CLI_CONFIGS, 0, 0, NULL,
     "a key of the configuration section of the backend"},

    {"General", 0, "log-level", "LEVEL", CLI_CHOICE, AT(log_level), CLI_ALL & ~CLI_COMPLETION, 0, 0,
     LOG_LEVELS, "what the engine tells on standard error"},
    {NULL, 'd', "debug", NULL, CLI_SWITCH, AT(debug), CLI_ALL & ~CLI_COMPLETION, 0, 0, NULL,
     "the same as --log-level debug"},
    {NULL, 'h', "help", NULL, CLI_SWITCH, AT(help), CLI_ALL, 0, 0, NULL, "show this"},
    {NULL, 0, NULL, NULL, CLI_SWITCH, 0, 0, 0, 0, NULL, NULL},
};
