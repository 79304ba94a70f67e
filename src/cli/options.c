/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of commands and options: the only place that describes them.
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
     "The reducer gets the results as they arrive. Only its own result is written.",
     cmd_map_reduce},
    {"call", CLI_CALL, "FUNCTION [ARGUMENT...]", 1, INT32_MAX, "call a function once",
     "Several arguments are bound by position. An argument that is JSON is taken as\n"
     "such, anything else as a string; see --strings.",
     cmd_call},
    {"run", CLI_COMMAND, "COMMAND [ARGUMENT...]", 1, INT32_MAX, "run a program once per input",
     "Each input replaces {} in the arguments, or is added after them. {.} is\n"
     "the input without its extension, {/} without its folder, {//} its folder, {/.}\n"
     "without both, {#} the number of the call, {2} the second of several inputs. No\n"
     "shell reads the command, unless --shell says so. What programs write to standard\n"
     "output is written in the order of the inputs. The exit status is the number of\n"
     "programs that failed, 101 for more than 100; 127 or 126 when there is no such\n"
     "program; 255 when something else is wrong.",
     cmd_run},
    {"hello", CLI_HELLO, "", 0, 0, "run one call and say hello: does it work here?", NULL,
     cmd_hello},
    {"test", CLI_TEST, "", 0, 0, "test the configured backend and storage", NULL, cmd_test},
    {"clean", CLI_CLEAN, "", 0, 0, "remove what ended programs left behind",
     "Kept output of calls, and of programs that were killed: processes that their\n"
     "functions had started, and memory groups. With --all also what Lithops itself\n"
     "has put into the storage, and its queues at a broker; your own objects stay.\n"
     "With --cache also the files that clients have sent to workers here, but those\n"
     "in use.",
     cmd_clean},
    {"logs get", CLI_PLAIN, "JOB|EXECUTOR", 1, 1, "the same as logs JOB", NULL, cmd_logs},
    {"logs poll", CLI_LOGS_POLL, "", 0, 0, "show what calls print, as executors close", NULL,
     cmd_logs_poll},
    {"logs", CLI_LOGS, "[JOB|EXECUTOR]", 0, 1, "show what calls printed",
     "Without an argument, it lists the logs.", cmd_logs},
    {"storage put", CLI_STORAGE_PUT, "FILE [BUCKET]", 1, 2,
     "store a file or a folder; - is standard input",
     "BUCKET defaults to the one in the configuration. Without --key, the object\n"
     "is named after the file. The files of a folder are named after their paths below\n"
     "it, with --key before them.",
     cmd_storage_put},
    {"storage get", CLI_STORAGE_GET, "BUCKET [KEY]", 1, 2, "fetch an object, or many",
     "It is written to the file that --out names (- is standard output), else to one\n"
     "in this folder, named after the last part of the key. With --prefix, all objects\n"
     "whose key begins with it are written below the folder that --out names.",
     cmd_storage_get},
    {"storage head", CLI_STORAGE_HEAD, "BUCKET KEY", 2, 2, "show size and time of an object", NULL,
     cmd_storage_head},
    {"storage copy", CLI_STORAGE_COPY, "BUCKET KEY TO-BUCKET [TO-KEY]", 3, 4,
     "store an object under another name", "It keeps its key if no other is given.",
     cmd_storage_copy},
    {"storage check", CLI_STORAGE_CHECK, "[BUCKET]", 0, 1,
     "check connection, credentials and permissions",
     "It stores a small object in the bucket, and deletes it.", cmd_storage_check},
    {"storage list", CLI_STORAGE_LIST, "[BUCKET]", 0, 1, "list the objects of a bucket", NULL,
     cmd_storage_list},
    {"storage delete", CLI_STORAGE_DELETE, "BUCKET [KEY...]", 1, INT32_MAX, "delete objects",
     "Give keys, or --prefix, or --all for the whole bucket.", cmd_storage_delete},
    {"config show", CLI_CONFIG_SHOW, "[SECTION...]", 0, INT32_MAX,
     "show the configuration in force, defaults included, secrets masked", NULL, cmd_config_show},
    {"config check", CLI_CONFIG_CHECK, "[FILE]", 0, 1, "check the configuration, or a file", NULL,
     cmd_config_check},
    {"config prices", CLI_CONFIG_SHOW, "[LIST...]", 0, INT32_MAX,
     "show the price lists, with the source and date of each", NULL, cmd_config_prices},
    {"config path", CLI_CONFIG_PATH, "", 0, 0, "say where the configuration comes from", NULL,
     cmd_config_path},
    {"job list", CLI_JOB_LIST, "", 0, 0, "list the jobs of this machine and the configured hosts",
     "CLIENT is the process that has started a job, or the machine where that is. Of\n"
     "jobs of clients elsewhere, what hosts have of them now is counted.",
     cmd_job_list},
    {"job stop", CLI_JOB_STOP, "[JOB|EXECUTOR...]", 0, INT32_MAX, "stop jobs, wherever they run",
     "The calls end as cancelled; programs that wait for them get that error.", cmd_job_stop},
    {"job status", CLI_JOB_HANDLE, "JOB", 1, 1, "say how far a detached job is",
     "JOB is the handle that --detach has printed, the name of a file with it, - for\n"
     "standard input, or the name of a job as job list --detached has it.",
     cmd_job_status},
    {"job wait", CLI_JOB_WAIT, "JOB", 1, 1, "wait until a detached job is done",
     "JOB is a handle, a file, - or a name: see job status. The exit status is that\n"
     "of the command that has started the job.",
     cmd_job_wait},
    {"job result", CLI_JOB_RESULT, "JOB", 1, 1, "write the results of a detached job",
     "JOB is a handle, a file, - or a name: see job status. What is not done yet is\n"
     "waited for. Results can be read again until the job is released.",
     cmd_job_result},
    {"job cancel", CLI_JOB_HANDLE, "JOB", 1, 1, "cancel what is not done of a detached job",
     "JOB is a handle, a file, - or a name: see job status.", cmd_job_cancel},
    {"job logs", CLI_JOB_HANDLE, "JOB", 1, 1, "show what the calls of a detached job have printed",
     "JOB is a handle, a file, - or a name: see job status. Of calls that are done.", cmd_job_logs},
    {"job plot", CLI_JOB_HANDLE, "JOB PREFIX", 2, 2,
     "draw PREFIX_timeline.png and PREFIX_histogram.png of a detached job",
     "JOB is a handle, a file, - or a name: see job status.", cmd_job_plot},
    {"job release", CLI_JOB_HANDLE, "JOB", 1, 1, "forget a detached job and its results",
     "JOB is a handle, a file, - or a name: see job status. What still runs is\n"
     "cancelled.",
     cmd_job_release},
    {"worker list", CLI_WORKER_LIST, "", 0, 0,
     "list the workers that clients have started here and on the configured hosts",
     "A worker runs calls of one client, and ends with it. CLIENT is where that is.",
     cmd_worker_list},
    {"worker start", CLI_WORKER_START, "", 0, 0,
     "make the configured hosts ready, and say what each has",
     "Each gets the engine, and the image of its runtime is pulled; then a worker is\n"
     "started there, and ended. Programs that use the hosts start faster then.\n"
     "Nothing stays but what is cached: a worker belongs to its client.",
     cmd_worker_start},
    {"worker stop", CLI_WORKER_STOP, "[WORKER...]", 0, INT32_MAX, "stop workers",
     "WORKER is as worker list has it: a process id, or host/process. Calls that run\n"
     "there fail or, with call_retries, run elsewhere. Those that have\n"
     "not begun run elsewhere.\n"
     "The client starts it again only when too few others are left.",
     cmd_worker_stop},
    {"worker", CLI_WORKER, "", 0, 0, "run calls for a client that started this elsewhere",
     "Compute backends start it, and speak with it over its standard input and\n"
     "output, through a storage, or over TCP. For the last it has a secret of the\n"
     "client's in LITHOPS_WORKER_SECRET, which is good for one connection. With --http\n"
     "it is what a container of a service runs: requests that are signed with the\n"
     "secret, and are new, start workers. GET /health says how many run. With\n"
     "--lambda it is the runtime of a function, and asks the service that\n"
     "AWS_LAMBDA_RUNTIME_API names for what to run. With --batch it is a job, or one\n"
     "part of an array job, of a batch service.",
     cmd_worker},
    {"runtime build", CLI_RUNTIME_BUILD, "[NAME]", 0, 1,
     "make the package that a runtime is deployed with",
     "With aws_lambda, gcp_functions and azure_functions it is a zip archive, written\n"
     "to the file that --out names. With\n"
     "k8s and services of containers it is an image: the engine over --base, without\n"
     "docker. It is pushed to the registry in its name, or written to --out, for\n"
     "docker load, podman load, and ctr image import.",
     cmd_runtime_build},
    {"runtime deploy", CLI_RUNTIME_DEPLOY, "[NAME]", 0, 1,
     "make a runtime of the backend: what its workers run in",
     "NAME is as the key runtime of the section of the backend, which it defaults to.\n"
     "One that is there is brought up to date.",
     cmd_runtime_deploy},
    {"runtime update", CLI_RUNTIME_DEPLOY, "[NAME]", 0, 1,
     "bring a runtime up to date with this engine and the configuration", NULL, cmd_runtime_update},
    {"runtime list", CLI_RUNTIME_LIST, "[NAME]", 0, 1, "list the runtimes that are deployed", NULL,
     cmd_runtime_list},
    {"runtime delete", CLI_RUNTIME_DELETE, "[NAME]", 0, 1, "delete a runtime",
     "The one of this name, and of the memory that --memory or the configuration says.",
     cmd_runtime_delete},
    {"supervisor", CLI_PLAIN, "FOLDER", 1, 1, "run the detached jobs of a folder",
     "The first detached job of an executor starts it; it ends by itself.", cmd_supervisor},
    {"attach", CLI_ATTACH, "[HOST]", 0, 1, "open a shell on a host of the backend vm",
     "By ssh, with the keys of the section vm. HOST is as in the key hosts, and may\n"
     "be left out where that names one.",
     cmd_attach},
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
    {NULL, 0, "over", "INPUT...", CLI_REST, AT(over), CLI_COMMAND, 0, 0, NULL,
     "one call per input; - reads lines of standard input; several times: one call per "
     "combination"},
    {NULL, 0, "link", NULL, CLI_SWITCH, AT(link), CLI_COMMAND, 0, 0, NULL,
     "take the inputs of several --over side by side, instead of all combinations"},
    {NULL, 'n', "max-args", "N", CLI_NUMBER, AT(max_args), CLI_COMMAND, 1, INT32_MAX, NULL,
     "up to N inputs in one call"},
    {NULL, 0, "colsep", "TEXT", CLI_TEXT, AT(colsep), CLI_COMMAND, 0, 0, NULL,
     "what separates the columns of an input, which are {1}, {2}, ..."},
    {NULL, '0', "null", NULL, CLI_SWITCH, AT(null_ends), CLI_MAPS | CLI_COMMAND, 0, 0, NULL,
     "--over -: inputs end with a NUL, as find -print0 writes them, not with a newline"},
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

    {"Command", 0, "shell", NULL, CLI_SWITCH, AT(shell), CLI_COMMAND, 0, 0, NULL,
     "the command is a line for /bin/sh, in which inputs are quoted"},
    {NULL, 0, "pipe", NULL, CLI_SWITCH, AT(pipe), CLI_COMMAND, 0, 0, NULL,
     "an input is the standard input of the program, not an argument"},
    {NULL, 0, "workdir", "FOLDER", CLI_FOLDER, AT(folder), CLI_COMMAND, 0, 0, NULL,
     "the folder to run in"},
    {NULL, 0, "dry-run", NULL, CLI_SWITCH, AT(dry_run), CLI_COMMAND, 0, 0, NULL,
     "only print the commands, quoted for a shell"},
    {NULL, 0, "joblog", "FILE", CLI_FILE, AT(joblog), CLI_COMMAND, 0, 0, NULL,
     "write a line for each ended call, in the columns of GNU parallel"},
    {NULL, 0, "resume", NULL, CLI_SWITCH, AT(resume), CLI_COMMAND, 0, 0, NULL,
     "leave out the calls in the job log"},
    {NULL, 0, "resume-failed", NULL, CLI_SWITCH, AT(resume_failed), CLI_COMMAND, 0, 0, NULL,
     "leave out the calls in the job log that succeeded"},
    {NULL, 0, "halt", "WHEN", CLI_CHOICE, AT(halt), CLI_COMMAND, 0, 0, "never|soon|now",
     "after a failure: go on; start no more; or end what runs, too"},
    {NULL, 0, "retries", "N", CLI_NUMBER, AT(retries), CLI_COMMAND, 0, 1000, NULL,
     "run a failed one again, up to N times"},

    {"Calls", 't', "timeout", "SECONDS", CLI_SECONDS, AT(timeout_ms), CLI_RUNS | CLI_COMMAND, 0, 0,
     NULL, "time limit of one call"},
    {NULL, 't', "timeout", "SECONDS", CLI_SECONDS, AT(timeout_ms), CLI_RUNTIME_DEPLOY, 0, 0, NULL,
     "time limit of what the platform runs"},
    {NULL, 'm', "memory", "MB", CLI_NUMBER, AT(memory_mb), CLI_RUNTIME_DEPLOY | CLI_RUNTIME_DELETE,
     1, INT32_MAX, NULL, "memory of the runtime"},
    {NULL, 0, "deadline", "SECONDS", CLI_SECONDS, AT(deadline_ms),
     CLI_EXECUTORS | CLI_JOB_WAIT | CLI_JOB_RESULT, 0, 0, NULL, "time limit of all calls together"},
    {NULL, 0, "memory", "MB", CLI_NUMBER, AT(memory_mb), CLI_RUNS | CLI_COMMAND, 1, INT32_MAX, NULL,
     "memory of a worker process"},
    {NULL, 'e', "env", "KEY=VALUE", CLI_PAIR, AT(env), CLI_RUNS | CLI_COMMAND, 0, 0, NULL,
     "environment of the calls"},
    {NULL, 0, "include", "FILE", CLI_LIST, AT(include), CLI_RUNS | CLI_COMMAND, 0, 0, NULL,
     "a file, folder or library that the function needs"},
    {NULL, 0, "exclude", "NAME", CLI_LIST, AT(exclude), CLI_RUNS, 0, 0, NULL,
     "a library to leave out"},
    {NULL, 0, "group", "N", CLI_NUMBER, AT(group), CLI_MAPS | CLI_COMMAND, 1, INT32_MAX, NULL,
     "calls that a worker process takes at a time; by default it adapts"},
    {NULL, 0, "detach", NULL, CLI_SWITCH, AT(detach), CLI_RUNS, 0, 0, NULL,
     "print a handle of the job and end; it goes on: see job status, wait, result"},
    {NULL, 0, "detached", NULL, CLI_SWITCH, AT(detach), CLI_JOB_LIST, 0, 0, NULL,
     "list the detached jobs of this user, also those that are done"},
    {NULL, 'k', "keep-going", NULL, CLI_SWITCH, AT(keep_going), CLI_MAP | CLI_JOB_RESULT, 0, 0,
     NULL, "go on after a failed call"},

    {"Output", 0, "json", NULL, CLI_SWITCH, AT(json),
     CLI_RUNS | CLI_JOB_RESULT | CLI_LISTS | CLI_LOGS, 0, 0, NULL,
     "JSON lines; a failed call is a line too: {\"error\": ...}"},
    {NULL, 0, "json", NULL, CLI_SWITCH, AT(json), CLI_COMMAND, 0, 0, NULL,
     "JSON lines: seq, status, signal, command, stdout, stderr"},
    {NULL, 0, "strict-json", NULL, CLI_SWITCH, AT(strict_json), CLI_RUNS | CLI_JOB_RESULT, 0, 0,
     NULL, "write null for numbers that JSON does not have: NaN, Infinity, -Infinity"},
    {NULL, 0, "raw", NULL, CLI_SWITCH, AT(raw), CLI_RUNS | CLI_JOB_RESULT, 0, 0, NULL,
     "write strings and bytes as they are, not as JSON"},
    {NULL, 0, "out", "FOLDER", CLI_FOLDER, AT(out), CLI_RUNS | CLI_COMMAND | CLI_JOB_RESULT, 0, 0,
     NULL, "write each result to a file of its own"},
    {NULL, 'u', "unordered", NULL, CLI_SWITCH, AT(unordered),
     CLI_MAP | CLI_COMMAND | CLI_JOB_RESULT, 0, 0, NULL,
     "write results as they arrive, not in the order of the inputs"},
    {NULL, 0, "plot", "PREFIX", CLI_FILE, AT(plot), CLI_RUNS | CLI_COMMAND, 0, 0, NULL,
     "draw PREFIX_timeline.png and PREFIX_histogram.png"},
    {NULL, 0, "summary", NULL, CLI_SWITCH, AT(summary), CLI_RUNS | CLI_COMMAND | CLI_JOB_RESULT, 0,
     0, NULL, "a table of statistics at the end, on standard error"},
    {NULL, 'p', "progress", NULL, CLI_YES, AT(progress),
     CLI_RUNS | CLI_COMMAND | CLI_JOB_WAIT | CLI_JOB_RESULT, 0, 0, NULL,
     "show a progress bar; by default where standard error is a terminal"},
    {NULL, 0, "progress", NULL, CLI_YES, AT(progress), CLI_STORAGE_PUT | CLI_STORAGE_GET, 0, 0,
     NULL, "show how many of several objects are done; by default on a terminal"},
    {NULL, 0, "no-progress", NULL, CLI_NO, AT(progress),
     CLI_RUNS | CLI_COMMAND | CLI_JOB_WAIT | CLI_JOB_RESULT | CLI_STORAGE_PUT | CLI_STORAGE_GET, 0,
     0, NULL, "show no progress bar"},

    {"Objects", 'k', "key", "KEY", CLI_TEXT, AT(key), CLI_STORAGE_PUT, 0, 0, NULL,
     "the name of the object"},
    {NULL, 'o', "out", "FILE", CLI_FILE, AT(out), CLI_STORAGE_GET, 0, 0, NULL,
     "where to write it; - is standard output"},
    {NULL, 'o', "out", "FILE", CLI_FILE, AT(out), CLI_RUNTIME_BUILD, 0, 0, NULL,
     "where to write the package"},
    {NULL, 'f', "file", "FILE", CLI_FILE, AT(file), CLI_RUNTIME_BUILD, 0, 0, NULL,
     "a Dockerfile, of which docker or podman make the image"},
    {NULL, 0, "base", "IMAGE", CLI_TEXT, AT(base), CLI_RUNTIME_BUILD | CLI_RUNTIME_DEPLOY, 0, 0,
     NULL, "the image that an image is made over; scratch: none"},
    {NULL, 'p', "prefix", "TEXT", CLI_TEXT, AT(prefix),
     CLI_STORAGE_LIST | CLI_STORAGE_DELETE | CLI_STORAGE_GET, 0, 0, NULL,
     "only objects whose key starts with this"},
    {NULL, 'a', "all", NULL, CLI_SWITCH, AT(all),
     CLI_STORAGE_DELETE | CLI_CLEAN | CLI_JOB_STOP | CLI_WORKER_STOP, 0, 0, NULL, "everything"},
    {NULL, 0, "cache", NULL, CLI_SWITCH, AT(cache), CLI_CLEAN, 0, 0, NULL,
     "also what clients have sent to workers here"},
    {NULL, 0, "dry-run", NULL, CLI_SWITCH, AT(dry_run), CLI_CLEAN, 0, 0, NULL,
     "only say what would be removed"},

    {"Checks", 't', "test", "NAME", CLI_TEXT, AT(test), CLI_TEST, 0, 0, NULL,
     "only checks whose name contains this; help lists them"},
    {NULL, 'x', "exitfirst", NULL, CLI_SWITCH, AT(exit_first), CLI_TEST, 0, 0, NULL,
     "stop at the first check that fails"},
    {NULL, 0, "online", NULL, CLI_SWITCH, AT(online), CLI_CONFIG_CHECK, 0, 0, NULL,
     "connect to where the backend runs calls, and say what is there"},
    {NULL, 'm', "map", "N", CLI_NUMBER, AT(hello_calls), CLI_HELLO, 1, 1000000, NULL,
     "a map of N calls in place of one call"},

    {NULL, 0, "start", NULL, CLI_SWITCH, AT(start), CLI_ATTACH, 0, 0, NULL,
     "as upstream: hosts are up, and nothing is started"},

    {"Where", 0, "here", NULL, CLI_SWITCH, AT(here),
     CLI_JOB_LIST | CLI_JOB_STOP | CLI_WORKER_LIST | CLI_WORKER_STOP, 0, 0, NULL,
     "only this machine, whatever the configuration says"},
    {NULL, 'b', "backend", "NAME", CLI_TEXT, AT(backend),
     CLI_EXECUTORS | CLI_CONFIGS | CLI_CLEAN | CLI_JOB_LIST | CLI_JOB_STOP | CLI_WORKER_LIST |
         CLI_WORKER_START | CLI_WORKER_STOP | CLI_ATTACH | CLI_RUNTIMES,
     0, 0, NULL, "the compute backend"},
    {NULL, 'm', "mode", "MODE", CLI_CHOICE, AT(mode), (CLI_EXECUTORS & ~CLI_HELLO) | CLI_CONFIGS, 0,
     0, "localhost|serverless|standalone", "the kind of backend"},
    {NULL, 0, "mode", "MODE", CLI_CHOICE, AT(mode), CLI_HELLO, 0, 0,
     "localhost|serverless|standalone", "the kind of backend"},
    {NULL, 'b', "backend", "NAME", CLI_TEXT, AT(storage), CLI_STORAGES, 0, 0, NULL,
     "the storage backend; the same as --storage"},
    {NULL, 's', "storage", "NAME", CLI_TEXT, AT(storage),
     CLI_EXECUTORS | CLI_CONFIGS | CLI_STORAGES | CLI_CLEAN | CLI_RUNTIMES, 0, 0, NULL,
     "the storage backend"},
    {NULL, 'w', "workers", "N", CLI_NUMBER, AT(workers), CLI_EXECUTORS, 1, 65536, NULL,
     "worker processes; by default as many as CPUs"},
    {NULL, 'c', "config", "FILE", CLI_FILE, AT(config_file),
     CLI_EXECUTORS | CLI_STORAGES | CLI_CONFIG_SHOW | CLI_CONFIG_PATH | CLI_CLEAN | CLI_JOB_LIST |
         CLI_JOB_STOP | CLI_WORKER_LIST | CLI_WORKER_START | CLI_WORKER_STOP | CLI_ATTACH |
         CLI_RUNTIMES,
     0, 0, NULL, "read this configuration file and no other"},
    {NULL, 'o', "set", "KEY=VALUE", CLI_PAIR, AT(set), CLI_EXECUTORS | CLI_CONFIGS, 0, 0, NULL,
     "a key of the configuration section of the backend"},
    {NULL, 0, "connect", "HOST:PORT", CLI_TEXT, AT(connect), CLI_WORKER, 0, 0, NULL,
     "the client is reached over TCP, there or at one of several with commas between them"},
    {NULL, 0, "through", "KEY", CLI_TEXT, AT(through), CLI_WORKER, 0, 0, NULL,
     "the client is reached through the configured storage, under this key"},
    {NULL, 0, "http", NULL, CLI_SWITCH, AT(http), CLI_WORKER, 0, 0, NULL,
     "workers are started by signed HTTP requests, as in a container of a service"},
    {NULL, 0, "openwhisk", NULL, CLI_SWITCH, AT(openwhisk), CLI_WORKER, 0, 0, NULL,
     "the same, by /init and /run, as in the container of an action of OpenWhisk"},
    {NULL, 0, "fn", NULL, CLI_SWITCH, AT(fn), CLI_WORKER, 0, 0, NULL,
     "the same, by /call on the socket FN_LISTENER, as in a container of Oracle Cloud Functions"},
    {NULL, 0, "port", "PORT", CLI_NUMBER, AT(port), CLI_WORKER, 0, 65535, NULL,
     "with --http: listen there; 0: a free one; by default what FUNCTIONS_CUSTOMHANDLER_PORT or "
     "PORT in the environment says, else 8080"},
    {NULL, 0, "concurrency", "N", CLI_NUMBER, AT(concurrency), CLI_WORKER, 1, 1024, NULL,
     "with --http: workers at a time, by default 1; more requests are answered with 429"},
    {NULL, 0, "drain", "SECONDS", CLI_SECONDS, AT(drain_ms), CLI_WORKER, 0, 0, NULL,
     "with --http: how long workers go on after SIGTERM, by default 8"},
    {NULL, 0, "secret-file", "FILE", CLI_FILE, AT(secret_file), CLI_WORKER, 0, 0, NULL,
     "with --http: the secret of the requests is in this file, not in LITHOPS_WORKER_SECRET"},
    {NULL, 0, "lambda", NULL, CLI_SWITCH, AT(lambda), CLI_WORKER, 0, 0, NULL,
     "run workers as a function of AWS Lambda is asked to"},
    {NULL, 0, "batch", NULL, CLI_SWITCH, AT(batch), CLI_WORKER, 0, 0, NULL,
     "the client is reached as LITHOPS_BATCH says, as in a job of AWS Batch"},

    {"General", 0, "log-level", "LEVEL", CLI_CHOICE, AT(log_level), CLI_ALL & ~CLI_COMPLETION, 0, 0,
     LOG_LEVELS, "what the engine logs to standard error"},
    {NULL, 'd', "debug", NULL, CLI_SWITCH, AT(debug), CLI_ALL & ~CLI_COMPLETION, 0, 0, NULL,
     "the same as --log-level debug"},
    {NULL, 'h', "help", NULL, CLI_SWITCH, AT(help), CLI_ALL, 0, 0, NULL, "show this"},
    {NULL, 0, NULL, NULL, CLI_SWITCH, 0, 0, 0, 0, NULL, NULL},
};
