/* SPDX-License-Identifier: Apache-2.0 */
/* The tables: the sections and keys of the configuration that belong to no storage driver, and the
 * names of backends. A storage driver brings a table of its own (lithops/plugin/storage.h).
 *
 * The names and defaults are upstream's (Lithops 3.8) wherever upstream has the key, so that its
 * files work unchanged. A row is the whole definition of a key: checks, error messages, `lithops
 * config`, docs/configuration.md and lithops-config(5) are made from it (`ninja config-doc`
 * rewrites the two pages; a test fails while they are out of date).
 *
 * `help` is plain text without markup. Upper limits catch sure mistakes (a wrong unit); they do not
 * state what the engine can do. */
#include "config/config.h"
#include "config/keys.h"

#define WITHOUT_LIMIT 1e15 /* for rows that have a minimum only */

static const lithops_config_key lithops_keys[] = {
    {.name = "backend",
     .type = LITHOPS_KEY_STRING,
     .help = "Compute backend that runs the functions. Decides the mode. Default: the backend of "
             "the mode, else localhost."},
    {.name = "mode",
     .type = LITHOPS_KEY_STRING,
     .choices = "localhost|serverless|standalone",
     .help = "Execution mode. Only asked where no backend is named: then the section of that name "
             "may name one. Default: the mode of the backend."},
    {.name = "storage",
     .type = LITHOPS_KEY_STRING,
     .help = "Storage backend for Lithops' own data. Default: localhost with the backends "
             "localhost, vm and slurm, else aws_s3."},
    {.name = "monitoring",
     .type = LITHOPS_KEY_STRING,
     .choices = "direct|storage|rabbitmq|redis|aws_sqs|gcp_pubsub|azure_queue",
     .help = "How outcomes of workers that only a storage connects with the client are known: by "
             "looking there (direct, storage), or at once through a broker (the others). "
             "Those of others always come directly. Default: direct, but storage in serverless "
             "mode."},
    {.name = "monitoring_interval",
     .type = LITHOPS_KEY_DOUBLE,
     .fallback = "2",
     .min = 0.001,
     .max = 86400,
     .help = "Polling interval of the storage monitor, in seconds: the longest one, while little "
             "happens, or while a broker says what does."},
    {.name = "status_interval",
     .type = LITHOPS_KEY_DOUBLE,
     .fallback = "1",
     .min = 0.001,
     .max = 86400,
     .help = "Seconds for which a worker that is reached through the storage gathers outcomes, "
             "while it has more to do."},
    {.name = "data_cleaner",
     .type = LITHOPS_KEY_BOOL,
     .fallback = "true",
     .help = "Delete the temporary data of an executor when it closes."},
    {.name = "data_limit",
     .type = LITHOPS_KEY_DOUBLE,
     .min = 0,
     .max = WITHOUT_LIMIT,
     .choices = "false",
     .help = "Refuse a job whose input data is larger, in MiB; false or 0 for no limit. Default: "
             "the backend's own limit; localhost has none."},
    {.name = "max_cost",
     .type = LITHOPS_KEY_DOUBLE,
     .min = 0,
     .max = WITHOUT_LIMIT,
     .help = "Most USD that the calls of an executor may cost, as job summaries reckon it: then "
             "what runs is ended, and nothing more begins. What is done is kept. Default: no "
             "limit."},
    {.name = "max_activations",
     .type = LITHOPS_KEY_INT,
     .min = 1,
     .max = WITHOUT_LIMIT,
     .help = "Most workers that an executor may start, all in all: requests, allocations, "
             "processes elsewhere. Calls for which there is none then fail. What is done is kept. "
             "Default: no limit."},
    {.name = "price_file",
     .type = LITHOPS_KEY_STRING,
     .help = "A file of price lists, in YAML or JSON, that add to those of 'lithops config prices' "
             "or replace them."},
    {.name = "execution_timeout",
     .type = LITHOPS_KEY_INT,
     .fallback = "3600",
     .min = 1,
     .max = 1e9,
     .help = "Seconds a call may run before it is ended with TimeoutError. The timeout of a job "
             "wins over it."},
    {.name = "include_modules",
     .type = LITHOPS_KEY_LIST,
     .help = "What travels with a function: own shared libraries and extra files of a native "
             "function, modules of a Python function. Default or empty: what it needs; null: "
             "nothing."},
    {.name = "exclude_modules",
     .type = LITHOPS_KEY_LIST,
     .help = "What does not travel with a function, though it needs it."},
    {.name = "chunksize",
     .type = LITHOPS_KEY_INT,
     .min = 0,
     .max = 1e9,
     .help = "Calls per activation of a map. Default or 0: adapts to how long calls take."},
    {.name = "retries",
     .type = LITHOPS_KEY_INT,
     .fallback = "0",
     .min = 0,
     .max = 1000,
     .help = "How often RetryingFunctionExecutor of the Python package starts a failed call again, "
             "where its map does not say. No other executor looks at it."},
    {.name = "call_retries",
     .type = LITHOPS_KEY_INT,
     .fallback = "0",
     .min = 0,
     .max = 1000,
     .help = "How often the engine runs a failed call again, before its future fails."},
    {.name = "detached",
     .type = LITHOPS_KEY_BOOL,
     .fallback = "false",
     .help = "Jobs run under a supervisor, not under the program that starts them, and go on when "
             "that ends: 'lithops job' and lithops.attach() find them again."},
    {.name = "detached_expiry",
     .type = LITHOPS_KEY_DOUBLE,
     .fallback = "86400",
     .min = 1,
     .max = 1e9,
     .help = "Seconds after the end of a detached job from which on its results are removed, if "
             "nobody releases it before."},
    {.name = "detached_idle",
     .type = LITHOPS_KEY_DOUBLE,
     .fallback = "5",
     .min = 0,
     .max = 1e6,
     .help = "Seconds that the supervisor of a detached executor stays without calls, with its "
             "worker processes."},
    {.name = "on_supervisor_lost",
     .type = LITHOPS_KEY_STRING,
     .fallback = "retry",
     .choices = "retry|fail",
     .help =
         "What becomes of the calls of a detached job that were not done when its supervisor "
         "was killed: they run again, also those that had begun, or they fail. Nothing that was "
         "done is lost."},
    {.name = "strict",
     .type = LITHOPS_KEY_BOOL,
     .fallback = "false",
     .help = "Unknown sections and keys are errors, not warnings."},
    {.name = "log_level",
     .type = LITHOPS_KEY_STRING,
     .choices = "debug|info|warning|warn|error|critical|none",
     .help = "Log records of this level and above are written. Default: what LITHOPS_LOG_LEVEL in "
             "the environment says, else none."},
    {.name = "log_format",
     .type = LITHOPS_KEY_STRING,
     .inert = true,
     .help = "Format of log records, in the notation of Python's logging."},
    {.name = "log_stream",
     .type = LITHOPS_KEY_STRING,
     .fallback = "ext://sys.stderr",
     .choices = "ext://sys.stderr|ext://sys.stdout",
     .help = "Where log records go."},
    {.name = "log_filename",
     .type = LITHOPS_KEY_STRING,
     .help = "A file to append log records to. Wins over log_stream."},
    {.name = "output_per_call",
     .type = LITHOPS_KEY_INT,
     .fallback = "16",
     .min = 0,
     .max = 1e6,
     .help = "MiB that are kept of what a call prints: its beginning and its end, with a line that "
             "says how much is missing."},
    {.name = "output_kept",
     .type = LITHOPS_KEY_INT,
     .fallback = "256",
     .min = 0,
     .max = 1e6,
     .help = "MiB that are kept of what all calls print, in memory while an executor is open, and "
             "in the folder that 'lithops logs' lists: what is older goes."},
    {.name = "worker_cache",
     .type = LITHOPS_KEY_INT,
     .fallback = "2048",
     .min = 0,
     .max = 1e9,
     .help = "MiB that workers reached over links keep of the files that clients have sent, in "
             "~/.cache/lithops of each host: what was not used for longest goes. 0: only what is "
             "in use."},
    {.name = "telemetry",
     .type = LITHOPS_KEY_STRING,
     .choices = "false|true|prometheus|otlp",
     .help =
         "Where metrics of jobs go: to a Prometheus push gateway or an OpenTelemetry collector, "
         "see the sections of these names. true: prometheus. Default: nowhere."},
    {.name = "telemetry_interval",
     .type = LITHOPS_KEY_DOUBLE,
     .fallback = "10",
     .min = 0.1,
     .max = 1e6,
     .help = "Seconds from one sending of metrics to the next."},
    {.name = "customized_runtime",
     .type = LITHOPS_KEY_BOOL,
     .inert = true,
     .help = "Build the function into a new container image."},
    {.name = "workers",
     .type = LITHOPS_KEY_ANY,
     .inert = true,
     .help = "Limit of concurrent workers in earlier versions of upstream."},
    {.name = NULL},
};

#define RUNTIME(text)                                                                              \
    {                                                                                              \
        .name = "runtime", .type = LITHOPS_KEY_STRING, .help = text                                \
    }
static const lithops_config_key runtime_here_keys[] = {
    RUNTIME("Interpreter that runs Python functions; in programs in Python also the image of a "
            "container, run by docker or podman. It must be of the client's version of Python. "
            "Native functions need none. Default: the interpreter of the client."),
    {.name = NULL},
};
static const lithops_config_key runtime_of_hosts_keys[] = {
    RUNTIME("An image: workers run in a container of it, by docker or podman of the host. Or the "
            "interpreter that runs Python functions, by its path on the hosts. Default: that of "
            "the section standalone, which is a Python of the client's version, wherever it is "
            "found there."),
    {.name = NULL},
};
static const lithops_config_key runtime_of_nodes_keys[] = {
    RUNTIME("Interpreter that runs Python functions, by its path on the nodes; 'python' says the "
            "same. Default: a Python of the client's version, wherever it is found there."),
    {.name = NULL},
};

/* Of every section of a compute backend. */
#define POOL_KEYS                                                                                  \
    {.name = "max_tasks_per_child",                                                                \
     .type = LITHOPS_KEY_INT,                                                                      \
     .fallback = "0",                                                                              \
     .min = 0,                                                                                     \
     .max = 1e9,                                                                                   \
     .help = "Calls that a worker process runs before a fresh one takes its place; 0 for no "      \
             "limit. Items of a map count one by one."},                                           \
        {.name = "shared_memory",                                                                  \
         .type = LITHOPS_KEY_INT,                                                                  \
         .min = 0,                                                                                 \
         .max = 1e9,                                                                               \
         .help = "How much shared memory inputs and results may take together, in MiB, in the "    \
                 "client and in each worker elsewhere. Default or 0: three quarters of the "       \
                 "machine's memory, or of the container's memory limit if that is less."},         \
        {.name = "cost_per_gb_s",                                                                  \
         .type = LITHOPS_KEY_DOUBLE,                                                               \
         .fallback = "0",                                                                          \
         .min = 0,                                                                                 \
         .max = WITHOUT_LIMIT,                                                                     \
         .help = "Price of one GB-second of a call in USD, for the Cost column of job "            \
                 "summaries. It takes the place of the price list."},                              \
        {.name = "cost_per_request",                                                               \
         .type = LITHOPS_KEY_DOUBLE,                                                               \
         .fallback = "0",                                                                          \
         .min = 0,                                                                                 \
         .max = WITHOUT_LIMIT,                                                                     \
         .help = "Price of one call in USD, added to that of its time. It takes the place of "     \
                 "the price list."},                                                               \
    {                                                                                              \
        .name = "price_list", .type = LITHOPS_KEY_STRING,                                          \
        .help = "The price list that job summaries and max_cost use, of those that 'lithops "      \
                "config prices' shows. Default: the one of the backend's name, if there is one."   \
    }

/* Of every section whose workers are pools of processes, beside the section's own rows. */
static const lithops_config_key pool_keys[] = {
    {.name = "worker_processes",
     .type = LITHOPS_KEY_INT,
     .fallback = "AUTO",
     .min = 1,
     .max = 4096,
     .choices = "AUTO",
     .help = "Worker processes of each worker, that is, how many calls it runs at the same time; "
             "localhost is one worker. AUTO: as many as there are CPUs that it may use, by its "
             "affinity and the CPU quota of its container."},
    {.name = "runtime_memory",
     .type = LITHOPS_KEY_INT,
     .min = 1,
     .max = 1e9,
     .help = "Memory limit of each worker process, in MiB; a call that needs more ends with "
             "MemoryError. Default: no limit."},
    {.name = "runtime_timeout",
     .type = LITHOPS_KEY_INT,
     .min = 1,
     .max = 1e9,
     .help = "Seconds; an upper limit for the timeout of every job. Default: no limit."},
    {.name = "spin_us",
     .type = LITHOPS_KEY_INT,
     .fallback = "50",
     .min = 0,
     .max = 1e6,
     .help = "Microseconds that idle workers and waits look at shared memory before they sleep. "
             "More is faster for calls that follow each other closely and costs CPU time; 0 sleeps "
             "at once."},
    POOL_KEYS,
    {.name = NULL},
};

/* Where the section itself says what a worker has. */
static const lithops_config_key rented_pool_keys[] = {
    POOL_KEYS,
    {.name = NULL},
};

static const lithops_config_key link_keys[] = {
    {.name = "shared_filesystem",
     .type = LITHOPS_KEY_LIST,
     .help = "Folders, as absolute paths, that workers see as the client does: files below them "
             "are read there. All others come from the client."},
    {.name = NULL},
};

static const lithops_config_key localhost_keys[] = {
    {.name = "max_workers",
     .type = LITHOPS_KEY_ANY,
     .inert = true,
     .help = "On localhost there is one worker."},
    {.name = "version",
     .type = LITHOPS_KEY_ANY,
     .inert = true,
     .help = "Which of upstream's two localhost implementations runs."},
    {.name = "use_gpu",
     .type = LITHOPS_KEY_BOOL,
     .inert = true,
     .help = "Give containers the GPUs. Worker processes have them anyway."},
    {.name = "pull_runtime",
     .type = LITHOPS_KEY_BOOL,
     .inert = true,
     .help = "Pull the container image before the first job."},
    {.name = NULL},
};

static const lithops_config_key process_keys[] = {
    {.name = "workers",
     .type = LITHOPS_KEY_INT,
     .fallback = "1",
     .min = 1,
     .max = 1024,
     .help = "Workers to start; each has worker processes of its own."},
    {.name = "min_workers",
     .type = LITHOPS_KEY_INT,
     .fallback = "0",
     .min = 0,
     .max = 1024,
     .help = "With idle_timeout: workers that are started at once, and stay."},
    {.name = "idle_timeout",
     .type = LITHOPS_KEY_DOUBLE,
     .min = 0.01,
     .max = 1e6,
     .help = "Start workers as calls wait for them, and end those that have had none for so many "
             "seconds. Default: all are started at once, and stay."},
    {.name = "transport",
     .type = LITHOPS_KEY_STRING,
     .fallback = "socket",
     .choices = "socket|tcp|storage",
     .help = "How workers are reached. tcp: they connect to a port of the client. storage: through "
             "the configured storage and nothing else, as "
             "where they run in a cloud; they are started as calls wait for them, and idle_timeout "
             "is 10 by default."},
    {.name = "tcp_address",
     .type = LITHOPS_KEY_STRING,
     .fallback = "127.0.0.1",
     .help = "With the transport tcp: an interface, an address or a name of this machine, where "
             "workers find it."},
    {.name = "tcp_port",
     .type = LITHOPS_KEY_ANY,
     .fallback = "0",
     .help = "With the transport tcp: the port that they connect to, or a range such as "
             "\"60000-60100\", of which the first that is free is used. 0: the system chooses."},
    {.name = "lifetime",
     .type = LITHOPS_KEY_DOUBLE,
     .min = 0.01,
     .max = 1e6,
     .help = "With idle_timeout: seconds after which another worker takes the place of one, as "
             "where machines are lent for a time. Default: no limit."},
    {.name = "worker_lost_timeout",
     .type = LITHOPS_KEY_INT,
     .fallback = "15",
     .min = 2,
     .max = 1e6,
     .help =
         "Seconds without a sign of a worker that has calls, after which it is lost: calls that "
         "have not begun run elsewhere, others again where call_retries is set, or end with "
         "an error."},
    {.name = "command",
     .type = LITHOPS_KEY_STRING,
     .help = "The lithops command that is started as 'lithops worker'. Default: the one that was "
             "installed with this library, else that of the search path."},
    {.name = NULL},
};

static const lithops_config_key singularity_keys[] = {
    {.name = "runtime",
     .type = LITHOPS_KEY_STRING,
     .help =
         "The image: a file (.sif), a folder with a system, or a URI such as docker://debian:12. "
         "Its name without .sif will do, and without sif_path. Default: sif_path itself."},
    {.name = "sif_path", .type = LITHOPS_KEY_STRING, .help = "Folder with images, or one image."},
    {.name = "max_workers",
     .type = LITHOPS_KEY_INT,
     .fallback = "1",
     .min = 1,
     .max = 1024,
     .help = "Most containers at a time; each has worker processes of its own. They are started as "
             "calls wait for them."},
    {.name = "idle_timeout",
     .type = LITHOPS_KEY_DOUBLE,
     .fallback = "60",
     .min = 0.01,
     .max = 1e6,
     .help = "Seconds without calls after which a container is ended."},
    {.name = "singularity_options",
     .type = LITHOPS_KEY_LIST,
     .help = "More words for 'singularity exec', as [\"--cpus\", \"2\", \"--memory\", \"4G\"]."},
    {.name = "use_gpu",
     .type = LITHOPS_KEY_BOOL,
     .fallback = "false",
     .help = "Give containers the GPUs of NVIDIA (--nv)."},
    {.name = "remote_invoker",
     .type = LITHOPS_KEY_BOOL,
     .inert = true,
     .help = "Start the calls from a function in the cloud."},
    {.name = "runtime_include_function",
     .type = LITHOPS_KEY_BOOL,
     .inert = true,
     .help = "Build the function into the image."},
    {.name = NULL},
};

static const lithops_config_key vm_keys[] = {
    {.name = "hosts",
     .type = LITHOPS_KEY_ANY,
     .help =
         "The hosts, a list: names (of DNS, addresses, names of ~/.ssh/config), user@name:port, "
         "or maps with name and, if wanted, worker_processes, weight (its share of a long map, "
         "default 1) and python (path of the interpreter there)."},
    {.name = "ip_address", .type = LITHOPS_KEY_STRING, .help = "One host, instead of hosts."},
    {.name = "ssh_username",
     .type = LITHOPS_KEY_STRING,
     .help = "User on all hosts that name none. Default: ssh's choice, as ~/.ssh/config has it."},
    {.name = "ssh_password",
     .type = LITHOPS_KEY_STRING,
     .secret = true,
     .help = "Password of that user. Default: none, keys are used."},
    {.name = "ssh_key_filename",
     .type = LITHOPS_KEY_STRING,
     .help = "Private key to use, and no other. Default: ssh's choice, the agent's included."},
    {.name = "ssh_port",
     .type = LITHOPS_KEY_INT,
     .min = 1,
     .max = 65535,
     .help = "Port of all hosts that name none. Default: ssh's choice."},
    {.name = "ssh_options",
     .type = LITHOPS_KEY_LIST,
     .help = "Options for ssh, each as after ssh -o: ProxyJump=gate."},
    {.name = "connect_timeout",
     .type = LITHOPS_KEY_INT,
     .fallback = "15",
     .min = 1,
     .max = 86400,
     .help = "Seconds until a host that does not answer is given up."},
    {.name = "worker_lost_timeout",
     .type = LITHOPS_KEY_DOUBLE,
     .fallback = "15",
     .min = 2,
     .max = 86400,
     .help = "Seconds until a host that runs calls and says nothing is lost."},
    {.name = "min_hosts",
     .type = LITHOPS_KEY_INT,
     .fallback = "1",
     .min = 1,
     .max = 4096,
     .help = "Calls run as soon as this many hosts are there, and fail when fewer can be reached."},
    {.name = NULL},
};

static const lithops_config_key slurm_keys[] = {
    {.name = "partition",
     .type = LITHOPS_KEY_STRING,
     .help = "Partition, as after srun --partition. Default: the cluster's."},
    {.name = "account",
     .type = LITHOPS_KEY_STRING,
     .help = "Account that is charged, as after srun --account. Default: the user's."},
    {.name = "time",
     .type = LITHOPS_KEY_ANY,
     .help = "Wall time of each allocation, as after srun --time: \"1:30:00\" (in quotes), or "
             "minutes. Default: the partition's."},
    {.name = "cpus_per_worker",
     .type = LITHOPS_KEY_INT,
     .fallback = "1",
     .min = 1,
     .max = 4096,
     .help = "CPUs of each allocation, and worker processes there, unless worker_processes says "
             "another number."},
    {.name = "memory",
     .type = LITHOPS_KEY_ANY,
     .help = "Memory of each allocation, as after srun --mem: \"4G\", or MiB. Default: the "
             "partition's."},
    {.name = "sbatch_args",
     .type = LITHOPS_KEY_LIST,
     .help = "More options of allocations, which srun and sbatch have: --qos=long, "
             "--constraint=skylake. They win over the keys."},
    {.name = "max_workers",
     .type = LITHOPS_KEY_INT,
     .fallback = "4",
     .min = 1,
     .max = 4096,
     .help = "Most allocations at a time, of one node each. They are asked for as calls wait."},
    {.name = "min_workers",
     .type = LITHOPS_KEY_INT,
     .fallback = "0",
     .min = 0,
     .max = 4096,
     .help = "Allocations that are asked for at once, and kept though there are no calls."},
    {.name = "idle_timeout",
     .type = LITHOPS_KEY_DOUBLE,
     .fallback = "60",
     .min = 1,
     .max = 1e6,
     .help = "Seconds without a call after which an allocation is given back."},
    {.name = "transport",
     .type = LITHOPS_KEY_STRING,
     .fallback = "srun",
     .choices = "srun|tcp",
     .help = "How nodes reach the client. srun: over Slurm's own connections. tcp: they connect to "
             "a port of the client, which is faster, with TLS and a secret that each worker is "
             "given."},
    {.name = "tcp_address",
     .type = LITHOPS_KEY_STRING,
     .help = "With the transport tcp: an interface, an address or a name of this machine, where "
             "nodes find it. Default: all its addresses, of which a node takes one that leads "
             "there."},
    {.name = "tcp_port",
     .type = LITHOPS_KEY_ANY,
     .fallback = "0",
     .help = "With the transport tcp: the port that they connect to, or a range such as "
             "\"60000-60100\", of which the first that is free is used. 0: the system chooses."},
    {.name = "python",
     .type = LITHOPS_KEY_STRING,
     .help = "Path of the Python interpreter on the nodes. Default: one of the client's version "
             "is looked for."},
    {.name = "worker_lost_timeout",
     .type = LITHOPS_KEY_DOUBLE,
     .fallback = "15",
     .min = 2,
     .max = 86400,
     .help = "Seconds until a node that runs calls and says nothing is lost."},
    {.name = NULL},
};

/* Of services whose containers are started by HTTP requests. */
static const lithops_config_key http_keys[] = {
    {.name = "endpoint",
     .type = LITHOPS_KEY_STRING,
     .help = "URL of the service whose container runs 'lithops worker --http'."},
    {.name = "host",
     .type = LITHOPS_KEY_STRING,
     .help =
         "Name of the service in requests, where the endpoint is an ingress that several share. "
         "Default: that of the endpoint."},
    {.name = "secret",
     .type = LITHOPS_KEY_STRING,
     .secret = true,
     .help = "What only clients and workers of the service know, at least 32 characters: requests "
             "are signed and sealed with it. Workers have it in LITHOPS_WORKER_SECRET."},
    {.name = "token",
     .type = LITHOPS_KEY_STRING,
     .secret = true,
     .help =
         "Bearer token that the service wants, such as an ID token. Only with https, or to this "
         "machine."},
    {.name = "token_file",
     .type = LITHOPS_KEY_STRING,
     .help = "File with that token, read for each request, so that it can be renewed."},
    {.name = "send_credentials",
     .type = LITHOPS_KEY_BOOL,
     .fallback = "true",
     .help = "Send the credentials of the storage to workers, sealed. false: they have their own, "
             "from their environment or the service."},
    {.name = "start_timeout",
     .type = LITHOPS_KEY_INT,
     .fallback = "120",
     .min = 1,
     .max = 86400,
     .help = "Seconds that starting a worker may take: requests that are throttled, refused for "
             "want of room or lost are made again until then."},
    {.name = "idle_timeout",
     .type = LITHOPS_KEY_DOUBLE,
     .fallback = "10",
     .min = 0.01,
     .max = 240,
     .help = "Seconds without a call after which a worker ends."},
    {.name = "invoke_pool_threads",
     .type = LITHOPS_KEY_ANY,
     .inert = true,
     .help = "Threads of upstream that make requests. One is enough here."},
    {.name = "runtime",
     .type = LITHOPS_KEY_STRING,
     .help = "Image of the container, which 'lithops runtime' makes. It is deployed with the tools "
             "of the service."},
    {.name = "runtime_cpu",
     .type = LITHOPS_KEY_DOUBLE,
     .min = 0.001,
     .max = 4096,
     .help = "CPUs of the container, for what its time costs. They are set where it is deployed. "
             "Default: those of the price list."},
    {.name = "remote_invoker",
     .type = LITHOPS_KEY_BOOL,
     .inert = true,
     .help = "Start the calls from a function in the cloud."},
    {.name = "runtime_include_function",
     .type = LITHOPS_KEY_BOOL,
     .inert = true,
     .help = "Build the function into the image."},
    {.name = NULL},
};

#define MAX_WORKERS(most)                                                                          \
    {                                                                                              \
        .name = "max_workers", .type = LITHOPS_KEY_INT, .fallback = (most), .min = 1, .max = 4096, \
        .help = "Most workers, that is requests, at a time. They are made as calls wait."          \
    }
#define REQUEST_TIMEOUT(seconds, where)                                                            \
    {                                                                                              \
        .name = "request_timeout", .type = LITHOPS_KEY_INT, .fallback = (seconds), .min = 10,      \
        .max = 604800,                                                                             \
        .help = "Seconds that the service lets a request take" where                               \
                ". Another worker takes the place of one before that; longer calls are lost."      \
    }
#define DEPLOYMENT(name_, help_)                                                                   \
    {                                                                                              \
        .name = (name_), .type = LITHOPS_KEY_ANY, .inert = true, .help = help_                     \
    }
#define REGISTRY_KEYS                                                                              \
    DEPLOYMENT("docker_server", "Registry of the image."),                                         \
        DEPLOYMENT("docker_user", "User of the registry."),                                        \
    {                                                                                              \
        .name = "docker_password", .type = LITHOPS_KEY_STRING, .secret = true, .inert = true,      \
        .help = "Password of the registry."                                                        \
    }

static const lithops_config_key knative_keys[] = {
    MAX_WORKERS("100"),
    REQUEST_TIMEOUT("300", ": timeoutSeconds of its revision"),
    {.name = "ingress_endpoint",
     .type = LITHOPS_KEY_STRING,
     .help = "URL of the ingress, where endpoint says nothing; host says which service it is."},
    DEPLOYMENT("networking_layer", "Ingress of the cluster."),
    DEPLOYMENT("service_host_suffix", "Suffix of the names of services."),
    DEPLOYMENT("kubecfg_path", "Configuration of kubectl."),
    DEPLOYMENT("namespace", "Namespace of the service."),
    DEPLOYMENT("git_url", "Repository to build the image from."),
    DEPLOYMENT("git_rev", "Revision of it."),
    REGISTRY_KEYS,
    {.name = NULL},
};
#define GOOGLE_IDENTITY_KEYS                                                                       \
    {.name = "credentials_path",                                                                   \
     .type = LITHOPS_KEY_STRING,                                                                   \
     .help = "Key of a service account, which may invoke the service: requests have its ID "       \
             "tokens, unless token or token_file says something."},                                \
        {.name = "metadata_identity",                                                              \
         .type = LITHOPS_KEY_BOOL,                                                                 \
         .fallback = "false",                                                                      \
         .help = "Without a key: the ID tokens are those of this machine in Google's cloud, from " \
                 "its metadata server."},                                                          \
    {                                                                                              \
        .name = "audience", .type = LITHOPS_KEY_STRING,                                            \
        .help = "What ID tokens are good for, if that is not the endpoint."                        \
    }

static const lithops_config_key cloudrun_keys[] = {
    MAX_WORKERS("100"),
    REQUEST_TIMEOUT("300", ", by its configuration"),
    DEPLOYMENT("region", "Region of the service. The endpoint says where it is."),
    GOOGLE_IDENTITY_KEYS,
    DEPLOYMENT("min_workers", "Containers that stay. It is set where the service is deployed."),
    DEPLOYMENT("trigger", "How calls are started."),
    DEPLOYMENT("artifact_registry_repository", "Where the image is."),
    DEPLOYMENT("service_account", "Account that containers run as."),
    REGISTRY_KEYS,
    {.name = NULL},
};
static const lithops_config_key code_engine_apps_keys[] = {
    MAX_WORKERS("1000"),
    REQUEST_TIMEOUT("600", ", by its configuration"),
    DEPLOYMENT("region", "Region of the project. The endpoint says where it is."),
    DEPLOYMENT("namespace", "Namespace of the project."),
    DEPLOYMENT("project_name", "Name of the project."),
    DEPLOYMENT("project_id", "Number of the project."),
    DEPLOYMENT("connection_retries", "How often upstream connects again."),
    REGISTRY_KEYS,
    {.name = NULL},
};
static const lithops_config_key azure_containers_keys[] = {
    MAX_WORKERS("1000"),
    REQUEST_TIMEOUT("240", ", which its ingress fixes"),
    DEPLOYMENT("resource_group", "Resource group of the app."),
    DEPLOYMENT("region", "Region of the app. The endpoint says where it is."),
    DEPLOYMENT("location", "The same, in earlier versions of upstream."),
    DEPLOYMENT("environment", "Environment of the app."),
    DEPLOYMENT("trigger", "How calls are started."),
    REGISTRY_KEYS,
    {.name = NULL},
};

static const lithops_config_key aliyun_fc_keys[] = {
    MAX_WORKERS("300"),
    REQUEST_TIMEOUT("300", ": the timeout of the function"),
    DEPLOYMENT("role_arn", "Role of the function."),
    DEPLOYMENT("region", "Region of the function. The endpoint says where it is."),
    DEPLOYMENT("deploy_mode", "How upstream deploys; here it is a container."),
    DEPLOYMENT("account_id", "The account."),
    {.name = NULL},
};

static const lithops_config_key gcp_functions_keys[] = {
    MAX_WORKERS("1000"),
    REQUEST_TIMEOUT("300", ": --timeout of its deployment"),
    {.name = "function",
     .type = LITHOPS_KEY_STRING,
     .fallback = "lithops",
     .help = "Name of the function. Where endpoint says nothing it is that of the function of this "
             "name, in region and project_name."},
    {.name = "region",
     .type = LITHOPS_KEY_STRING,
     .help = "Region of the function, also from the section gcp."},
    {.name = "project_name",
     .type = LITHOPS_KEY_STRING,
     .help = "Project of the function, also from the section gcp."},
    GOOGLE_IDENTITY_KEYS,
    DEPLOYMENT("trigger", "How upstream starts calls; here it is HTTPS."),
    DEPLOYMENT("retries", "How often upstream looks for a runtime."),
    DEPLOYMENT("retry_sleep", "Seconds between that."),
    DEPLOYMENT("service_account", "Account that the function runs as."),
    {.name = NULL},
};
static const lithops_config_key azure_functions_keys[] = {
    MAX_WORKERS("1000"),
    REQUEST_TIMEOUT("230", ", which its load balancer fixes"),
    {.name = "function_key",
     .type = LITHOPS_KEY_STRING,
     .secret = true,
     .help = "Key of the function, or of its app: 'az functionapp function keys list' has it."},
    DEPLOYMENT("resource_group", "Resource group of the app."),
    DEPLOYMENT("region", "Region of the app. The endpoint says where it is."),
    DEPLOYMENT("location", "The same, in earlier versions of upstream."),
    DEPLOYMENT("functions_version", "Version of the host of functions."),
    DEPLOYMENT("trigger", "How upstream starts calls; here it is HTTPS."),
    {.name = NULL},
};

#define INVOKED_KEYS                                                                               \
    {.name = "secret",                                                                             \
     .type = LITHOPS_KEY_STRING,                                                                   \
     .secret = true,                                                                               \
     .help = "What only clients and workers know, at least 32 characters: parameters are "         \
             "signed and sealed with it. Workers have it in LITHOPS_WORKER_SECRET, in their "      \
             "environment or that of their image."},                                               \
        {.name = "send_credentials",                                                               \
         .type = LITHOPS_KEY_BOOL,                                                                 \
         .fallback = "true",                                                                       \
         .help = "Send the credentials of the storage to workers, sealed. false: they have their " \
                 "own, from their environment."},                                                  \
        {.name = "start_timeout",                                                                  \
         .type = LITHOPS_KEY_INT,                                                                  \
         .fallback = "120",                                                                        \
         .min = 1,                                                                                 \
         .max = 86400,                                                                             \
         .help = "Seconds that invoking a worker may take: requests that are throttled, refused "  \
                 "or lost are made again until then."},                                            \
        {.name = "idle_timeout",                                                                   \
         .type = LITHOPS_KEY_DOUBLE,                                                               \
         .fallback = "10",                                                                         \
         .min = 0.01,                                                                              \
         .max = 240,                                                                               \
         .help = "Seconds without a call after which a worker ends."},                             \
        {.name = "invoke_pool_threads",                                                            \
         .type = LITHOPS_KEY_ANY,                                                                  \
         .inert = true,                                                                            \
         .help = "Threads of upstream that make requests. One is enough here."},                   \
        {.name = "runtime",                                                                        \
         .type = LITHOPS_KEY_STRING,                                                               \
         .help = "Image of the workers, which 'lithops runtime' makes. What runs it is made with " \
                 "the tools of the platform."},                                                    \
        DEPLOYMENT("remote_invoker", "Start the calls from a function in the cloud."),             \
        DEPLOYMENT("runtime_include_function", "Build the function into the image."),              \
        REGISTRY_KEYS

#define ACTION_KEYS                                                                                \
    {.name = "action",                                                                             \
     .type = LITHOPS_KEY_STRING,                                                                   \
     .fallback = "lithops",                                                                        \
     .help = "The action, [package/]name, whose image runs 'lithops worker --openwhisk'."},        \
        INVOKED_KEYS

static const lithops_config_key oracle_f_keys[] = {
    MAX_WORKERS("300"),
    REQUEST_TIMEOUT("300", ", that is the function: --detached-mode-timeout-in-seconds"),
    {.name = "function_id",
     .type = LITHOPS_KEY_STRING,
     .help = "OCID of the function, whose image runs 'lithops worker --fn'."},
    {.name = "endpoint",
     .type = LITHOPS_KEY_STRING,
     .help = "Invoke endpoint of the function. Default: what the API says."},
    {.name = "api_endpoint",
     .type = LITHOPS_KEY_STRING,
     .help = "URL of the API. Default: https://functions.REGION.oci.oraclecloud.com."},
    {.name = "user",
     .type = LITHOPS_KEY_STRING,
     .help = "OCID of the user who signs requests, also from the section oracle, as those that "
             "follow."},
    {.name = "tenancy", .type = LITHOPS_KEY_STRING, .help = "OCID of the tenancy."},
    {.name = "fingerprint",
     .type = LITHOPS_KEY_STRING,
     .help = "Fingerprint of the public key, as the user's API keys show it."},
    {.name = "key_file",
     .type = LITHOPS_KEY_STRING,
     .help = "File with the private key, in PEM, without a password."},
    {.name = "region", .type = LITHOPS_KEY_STRING, .help = "Region of the function."},
    {.name = "worker_lost_timeout",
     .type = LITHOPS_KEY_INT,
     .fallback = "15",
     .min = 2,
     .max = 1e6,
     .help = "A quarter of the seconds without a sign of a worker that has calls after which it is "
             "lost."},
    INVOKED_KEYS,
    DEPLOYMENT("compartment_id", "Compartment of the function. Its OCID says where it is."),
    DEPLOYMENT("subnet_id", "Subnet of its application."),
    {.name = NULL},
};
static const lithops_config_key openwhisk_keys[] = {
    MAX_WORKERS("100"),
    REQUEST_TIMEOUT("300", ", that is an activation: the timeout limit of the action"),
    {.name = "endpoint",
     .type = LITHOPS_KEY_STRING,
     .help = "URL of the API, such as https://192.168.1.30 (APIHOST in ~/.wskprops)."},
    {.name = "namespace",
     .type = LITHOPS_KEY_STRING,
     .help = "Namespace of the action, such as guest; _ is the default one of the API key."},
    {.name = "api_key",
     .type = LITHOPS_KEY_STRING,
     .secret = true,
     .help = "API key, UUID:KEY (AUTH in ~/.wskprops)."},
    {.name = "insecure",
     .type = LITHOPS_KEY_BOOL,
     .fallback = "false",
     .help = "true is an error: certificates are verified; SSL_CERT_FILE in the environment names "
             "a file with one of your own."},
    ACTION_KEYS,
    {.name = NULL},
};
static const lithops_config_key ibm_cf_keys[] = {
    MAX_WORKERS("1200"),
    REQUEST_TIMEOUT("600", ", that is an activation: the timeout limit of the action"),
    {.name = "endpoint",
     .type = LITHOPS_KEY_STRING,
     .help = "URL of the API. Default: that of the region."},
    {.name = "region",
     .type = LITHOPS_KEY_STRING,
     .help = "Region of the namespace, such as us-south, where endpoint says nothing. Default: "
             "ibm.region."},
    {.name = "namespace_id",
     .type = LITHOPS_KEY_STRING,
     .help = "Id of the action's namespace, which IAM manages."},
    {.name = "iam_api_key",
     .type = LITHOPS_KEY_STRING,
     .secret = true,
     .help = "API key of IBM Cloud, for whose tokens it is exchanged. Default: ibm.iam_api_key."},
    {.name = "iam_endpoint",
     .type = LITHOPS_KEY_STRING,
     .help = "URL of the service that gives tokens. Default: https://iam.cloud.ibm.com."},
    {.name = "api_key",
     .type = LITHOPS_KEY_STRING,
     .secret = true,
     .help = "API key of a namespace of Cloud Foundry, UUID:KEY, instead of IAM's."},
    DEPLOYMENT("namespace", "Name of the namespace, which upstream makes."),
    ACTION_KEYS,
    {.name = NULL},
};

static const lithops_config_key k8s_keys[] = {
    {.name = "runtime",
     .type = LITHOPS_KEY_STRING,
     .help = "Image that pods run, as 'lithops runtime' makes one. It has the command lithops, of "
             "the client's version, and for Python functions the client's version of Python. "
             "Needed."},
    {.name = "namespace",
     .type = LITHOPS_KEY_STRING,
     .help = "Namespace of the pods. Default: that of the context, else default."},
    {.name = "kubecfg_path",
     .type = LITHOPS_KEY_STRING,
     .help = "File that says where the cluster is and how one logs in. Default: those that "
             "KUBECONFIG names, else ~/.kube/config, else the service account of the pod."},
    {.name = "kubecfg_context",
     .type = LITHOPS_KEY_STRING,
     .help = "Context of that file. Default: the current one."},
    {.name = "max_workers",
     .type = LITHOPS_KEY_INT,
     .fallback = "100",
     .min = 1,
     .max = 4096,
     .help = "Most pods at a time. They are started as calls wait for them."},
    {.name = "runtime_cpu",
     .type = LITHOPS_KEY_DOUBLE,
     .fallback = "1",
     .min = 0.01,
     .max = 1024,
     .help = "CPUs of each pod. Without worker_processes it has as many of these, rounded up."},
    {.name = "idle_timeout",
     .type = LITHOPS_KEY_DOUBLE,
     .fallback = "10",
     .min = 1,
     .max = 240,
     .help = "Seconds without a call after which a pod ends."},
    {.name = "start_timeout",
     .type = LITHOPS_KEY_INT,
     .fallback = "300",
     .min = 1,
     .max = 86400,
     .help = "Seconds a pod may take until it runs: for a node, the image. Calls that wait fail "
             "then, unless other pods are there, and are told why it waited."},
    {.name = "lifetime",
     .type = LITHOPS_KEY_INT,
     .fallback = "3600",
     .min = 30,
     .max = 1e8,
     .help = "Seconds after which the cluster ends a pod, whatever it runs. A pod takes no call "
             "whose timeout would end later, if a fresh one has enough time for it."},
    {.name = "docker_server",
     .type = LITHOPS_KEY_STRING,
     .fallback = "docker.io",
     .help = "Registry that the image comes from, where that wants a user."},
    {.name = "docker_user",
     .type = LITHOPS_KEY_STRING,
     .help = "User there, with docker_password."},
    {.name = "docker_password",
     .type = LITHOPS_KEY_STRING,
     .secret = true,
     .help = "Password or token of that user. Pods' nodes get it in a Secret."},
    {.name = "service_account",
     .type = LITHOPS_KEY_STRING,
     .help = "Service account of the pods. Its token is not mounted. Default: the namespace's."},
    {.name = "container_security_context",
     .type = LITHOPS_KEY_ANY,
     .help = "securityContext of the container, as in a pod's document."},
    {.name = "pod_security_context",
     .type = LITHOPS_KEY_ANY,
     .help = "securityContext of the pod."},
    {.name = "runtime_arch",
     .type = LITHOPS_KEY_STRING,
     .choices = "amd64|arm64",
     .help = "Architecture of the nodes, for clusters that have several."},
    {.name = "job_template",
     .type = LITHOPS_KEY_ANY,
     .help = "What else a Job shall have, as a part of its document: tolerations, labels, volumes, "
             "a queue. It is laid upon ours; in lists, what has the same name is merged (the "
             "container is called lithops)."},
    {.name = "worker_lost_timeout",
     .type = LITHOPS_KEY_DOUBLE,
     .fallback = "15",
     .min = 2,
     .max = 86400,
     .help = "A fourth of the seconds until a pod that runs calls and says nothing is lost, where "
             "the cluster does not know that it has ended."},
    {.name = "master_timeout",
     .type = LITHOPS_KEY_ANY,
     .inert = true,
     .help = "Seconds until upstream's master pod ends; here there is none."},
    {.name = "master_name",
     .type = LITHOPS_KEY_ANY,
     .inert = true,
     .help = "Name of upstream's master pod."},
    {.name = "user",
     .type = LITHOPS_KEY_ANY,
     .inert = true,
     .help = "Part of the names of upstream's pods."},
    {.name = "rabbitmq_executor",
     .type = LITHOPS_KEY_ANY,
     .inert = true,
     .help = "Upstream: pods that stay and take calls from a queue. Here pods always do, and "
             "lithops.monitoring chooses a broker."},
    {.name = NULL},
};

static const lithops_config_key standalone_keys[] = {
    {.name = "backend",
     .type = LITHOPS_KEY_STRING,
     .help = "Compute backend of the mode standalone. Default: aws_ec2."},
    {.name = "runtime",
     .type = LITHOPS_KEY_STRING,
     .fallback = "python3",
     .help = "Interpreter or container image that runs functions on the hosts, where the section "
             "of the backend names none."},
    {.name = "exec_mode",
     .type = LITHOPS_KEY_STRING,
     .fallback = "reuse",
     .choices = "consume|create|reuse",
     .help = "Run on one host that is there, on hosts made for each job, or on hosts that stay "
             "for further jobs."},
    {.name = "start_timeout",
     .type = LITHOPS_KEY_INT,
     .fallback = "300",
     .min = 1,
     .max = 1e9,
     .help = "Seconds a host may take to start."},
    {.name = "auto_dismantle",
     .type = LITHOPS_KEY_BOOL,
     .fallback = "true",
     .help = "Stop hosts that are idle."},
    {.name = "soft_dismantle_timeout",
     .type = LITHOPS_KEY_INT,
     .fallback = "300",
     .min = 1,
     .max = 1e9,
     .help = "Seconds without a job until a host is stopped."},
    {.name = "hard_dismantle_timeout",
     .type = LITHOPS_KEY_INT,
     .fallback = "3600",
     .min = 1,
     .max = 1e9,
     .help = "Seconds until a host is stopped, whatever it does."},
    {.name = "use_gpu",
     .type = LITHOPS_KEY_BOOL,
     .fallback = "false",
     .help = "Give containers the GPUs of the hosts (--gpus all)."},
    {.name = "pull_runtime",
     .type = LITHOPS_KEY_BOOL,
     .fallback = "false",
     .help = "Pull the image whenever a worker starts, although the host has it."},
    {.name = "extra_apt_packages",
     .type = LITHOPS_KEY_LIST,
     .help = "Debian packages to install on the hosts."},
    {.name = "extra_python_packages",
     .type = LITHOPS_KEY_LIST,
     .help = "Python packages to install on the hosts."},
    {.name = NULL},
};

/* Of those sections, too. */
#define MACHINE_USER(name_)                                                                        \
    {                                                                                              \
        .name = "ssh_username", .type = LITHOPS_KEY_STRING, .fallback = (name_),                   \
        .help = "User of the image. It may use sudo without a password."                           \
    }

/* Of every section whose hosts are machines that a cloud makes. Keys that the section standalone
 * has, too, have no default here. */
static const lithops_config_key machine_keys[] = {
    {.name = "max_workers",
     .type = LITHOPS_KEY_INT,
     .fallback = "100",
     .min = 1,
     .max = 4096,
     .help =
         "Most machines at a time. They are made as calls wait; with exec_mode consume there is "
         "one."},
    {.name = "delete_on_dismantle",
     .type = LITHOPS_KEY_BOOL,
     .fallback = "true",
     .help = "Machines that turn themselves off are deleted. false: they are stopped, and started "
             "again with exec_mode reuse; their disks cost money meanwhile."},
    {.name = "ssh_password",
     .type = LITHOPS_KEY_STRING,
     .secret = true,
     .help =
         "Password of that user, with exec_mode consume. Machines that are made know keys alone."},
    {.name = "ssh_key_filename",
     .type = LITHOPS_KEY_STRING,
     .help =
         "Private key to use, and no other; FILE.pub is put on machines that are made. Default: "
         "ssh's choice, and ~/.ssh/id_ed25519.pub, id_ecdsa.pub or id_rsa.pub."},
    {.name = "ssh_port",
     .type = LITHOPS_KEY_INT,
     .min = 1,
     .max = 65535,
     .help = "Port of sshd there. Default: ssh's choice."},
    {.name = "ssh_options",
     .type = LITHOPS_KEY_LIST,
     .help = "Options for ssh, each as after ssh -o: ProxyJump=gate."},
    {.name = "ssh_address",
     .type = LITHOPS_KEY_STRING,
     .fallback = "any",
     .choices = "any|public|private",
     .help = "Address of a machine that ssh connects to: the public one, the private one, as from "
             "within the same network, or the public one if it has one."},
    {.name = "connect_timeout",
     .type = LITHOPS_KEY_INT,
     .fallback = "15",
     .min = 1,
     .max = 86400,
     .help = "Seconds until a machine that does not answer is tried again, or given up."},
    {.name = "worker_lost_timeout",
     .type = LITHOPS_KEY_DOUBLE,
     .fallback = "15",
     .min = 2,
     .max = 86400,
     .help = "Seconds until a machine that runs calls and says nothing is lost."},
    {.name = "exec_mode",
     .type = LITHOPS_KEY_STRING,
     .choices = "consume|create|reuse",
     .help = "As in the section standalone, like the keys that follow."},
    {.name = "start_timeout",
     .type = LITHOPS_KEY_INT,
     .min = 1,
     .max = 1e6,
     .help = "Seconds a machine may take until a worker runs there."},
    {.name = "auto_dismantle",
     .type = LITHOPS_KEY_BOOL,
     .help =
         "Machines turn themselves off. false: only 'lithops clean' ends those whose client has "
         "died, and those of exec_mode reuse."},
    {.name = "soft_dismantle_timeout",
     .type = LITHOPS_KEY_INT,
     .min = 1,
     .max = 1e6,
     .help = "Seconds without an executor that uses it until a machine turns itself off."},
    {.name = "hard_dismantle_timeout",
     .type = LITHOPS_KEY_INT,
     .min = 1,
     .max = 1e6,
     .help =
         "Seconds that a worker may use a machine: it turns itself off then, whatever it does. A "
         "call whose timeout would end later gets another one."},
    {.name = "extra_apt_packages",
     .type = LITHOPS_KEY_LIST,
     .help = "Debian packages to install on machines that are made, which then start later."},
    {.name = "extra_python_packages",
     .type = LITHOPS_KEY_LIST,
     .help = "Python packages to install there, by pip of the image's python3."},
    {.name = "pull_runtime",
     .type = LITHOPS_KEY_BOOL,
     .help = "Pull the image whenever a worker starts, although the machine has it."},
    {.name = "use_gpu",
     .type = LITHOPS_KEY_BOOL,
     .help = "Give containers the GPUs of the machines (--gpus all)."},
    {.name = NULL},
};

static const lithops_config_key aws_ec2_keys[] = {
    {.name = "region",
     .type = LITHOPS_KEY_STRING,
     .help = "Region of the machines. Default: that of the section aws, AWS_REGION, "
             "AWS_DEFAULT_REGION, or the profile's."},
    {.name = "region_name",
     .type = LITHOPS_KEY_STRING,
     .help = "The same, as earlier versions of upstream called it."},
    {.name = "access_key_id",
     .type = LITHOPS_KEY_STRING,
     .secret = true,
     .help = "Access key of the client. Default: that of the section aws, else what AWS's tools "
             "would use, see storage.md."},
    {.name = "secret_access_key",
     .type = LITHOPS_KEY_STRING,
     .secret = true,
     .help = "Secret key that belongs to it."},
    {.name = "session_token",
     .type = LITHOPS_KEY_STRING,
     .secret = true,
     .help = "Token that belongs to temporary keys."},
    {.name = "endpoint",
     .type = LITHOPS_KEY_STRING,
     .help = "URL of another server than Amazon's. Default: AWS_ENDPOINT_URL_EC2, or "
             "AWS_ENDPOINT_URL."},
    {.name = "worker_instance_type",
     .type = LITHOPS_KEY_STRING,
     .help =
         "Type of the machines. Default: t3.medium, on ARM t4g.medium. Without worker_processes "
         "they have as many as the type has CPUs."},
    {.name = "target_ami",
     .type = LITHOPS_KEY_STRING,
     .help =
         "Image of the machines: with cloud-init and sshd, and for Python functions the client's "
         "version of Python. Default: the newest Ubuntu 24.04."},
    {.name = "request_spot_instances",
     .type = LITHOPS_KEY_BOOL,
     .fallback = "true",
     .help =
         "Machines are spot instances, which are cheaper, and which Amazon may end at any time. "
         "They cannot be stopped: with delete_on_dismantle: false they are on demand."},
    {.name = "spot_price",
     .type = LITHOPS_KEY_DOUBLE,
     .min = 0,
     .max = 10000,
     .help = "Most that a spot instance may cost, in USD an hour. Default: the price on demand."},
    {.name = "instance_id",
     .type = LITHOPS_KEY_STRING,
     .help = "The machine to use with exec_mode consume."},
    {.name = "instance_role",
     .type = LITHOPS_KEY_STRING,
     .help = "Instance profile that machines get, by name or ARN. It is needed only by functions "
             "that use AWS without keys."},
    {.name = "iam_role",
     .type = LITHOPS_KEY_STRING,
     .help = "The same, as earlier versions of upstream called it."},
    {.name = "security_group_id",
     .type = LITHOPS_KEY_STRING,
     .help =
         "Security group of the machines: it lets the client in, at port 22. Default: that of the "
         "VPC, which usually does not."},
    {.name = "public_subnet_id",
     .type = LITHOPS_KEY_STRING,
     .help = "Subnet of the machines. Default: one of the region's default VPC."},
    {.name = "subnet_id",
     .type = LITHOPS_KEY_STRING,
     .help = "The same, as earlier versions of upstream called it."},
    {.name = "private_subnet_id",
     .type = LITHOPS_KEY_STRING,
     .help = "Subnet of the machines, where no public one is named."},
    {.name = "ssh_key_name",
     .type = LITHOPS_KEY_STRING,
     .help = "Key pair of EC2's that machines get, too. Its private key is ssh_key_filename."},
    {.name = "volume_size",
     .type = LITHOPS_KEY_INT,
     .min = 1,
     .max = 65536,
     .help = "Size of the disk, in GiB. Default: the image's."},
    {.name = "volume_type", .type = LITHOPS_KEY_STRING, .help = "Type of the disk, such as gp3."},
    {.name = "iops",
     .type = LITHOPS_KEY_INT,
     .min = 100,
     .max = 256000,
     .help = "IOPS of the disk."},
    {.name = "throughput",
     .type = LITHOPS_KEY_INT,
     .min = 125,
     .max = 2000,
     .help = "Throughput of a disk of type gp3, in MiB/s."},
    {.name = "encrypted", .type = LITHOPS_KEY_BOOL, .help = "Encrypt the disk."},
    {.name = "kms_key_id", .type = LITHOPS_KEY_STRING, .help = "Key that it is encrypted with."},
    DEPLOYMENT("ebs_volumes", "More disks."),
    DEPLOYMENT("fast_io", "Upstream: a disk in memory."),
    DEPLOYMENT("vpc_id", "VPC of the machines. The subnet says it."),
    DEPLOYMENT("public_subnet_cidr_block", "Addresses of a subnet that upstream makes."),
    DEPLOYMENT("private_subnet_cidr_block", "Addresses of a subnet that upstream makes."),
    DEPLOYMENT("master_instance_type", "Type of upstream's master; here there is none."),
    DEPLOYMENT("account_id", "Number of the account."),
    MACHINE_USER("ubuntu"),
    {.name = NULL},
};

static const lithops_config_key gcp_compute_engine_keys[] = {
    {.name = "project_name",
     .type = LITHOPS_KEY_STRING,
     .help = "The project whose machines they are. What this section lacks is that of the section "
             "gcp. Default: the service account's."},
    {.name = "zone", .type = LITHOPS_KEY_STRING, .help = "Zone of the machines: us-east1-b."},
    {.name = "region",
     .type = LITHOPS_KEY_STRING,
     .inert = true,
     .help = "Region of the machines. The zone says it."},
    {.name = "credentials_path",
     .type = LITHOPS_KEY_STRING,
     .help = "File with the key of a service account, which the client uses and no machine gets. "
             "Default: GOOGLE_APPLICATION_CREDENTIALS, or else the identity of this machine."},
    {.name = "endpoint",
     .type = LITHOPS_KEY_STRING,
     .help = "URL of the service, with https unless it is on this machine. Default: "
             "https://compute.googleapis.com."},
    {.name = "worker_instance_type",
     .type = LITHOPS_KEY_STRING,
     .help = "Type of the machines. Default: e2-standard-2, on ARM t2a-standard-2. Without "
             "worker_processes they have as many as the type has CPUs."},
    {.name = "source_image",
     .type = LITHOPS_KEY_STRING,
     .help = "Image of the machines, as in projects/P/global/images/NAME or "
             "projects/P/global/images/family/NAME: with cloud-init, curl and sshd, and for Python "
             "functions the client's version of Python. Default: the newest Ubuntu 24.04."},
    {.name = "boot_disk_size",
     .type = LITHOPS_KEY_INT,
     .fallback = "50",
     .min = 10,
     .max = 65536,
     .help = "Size of the disk, in GiB."},
    {.name = "boot_disk_type",
     .type = LITHOPS_KEY_STRING,
     .fallback = "pd-standard",
     .help = "Type of the disk."},
    {.name = "network_name",
     .type = LITHOPS_KEY_STRING,
     .help = "Network of the machines, which lets the client in, at port 22. Default: default."},
    {.name = "subnet_name",
     .type = LITHOPS_KEY_STRING,
     .help = "Subnet of the machines. Default: the network's in that region."},
    {.name = "worker_public_ip",
     .type = LITHOPS_KEY_BOOL,
     .help = "Machines get a public address. Default: they do, unless ssh_address is private."},
    {.name = "request_spot_instances",
     .type = LITHOPS_KEY_BOOL,
     .fallback = "false",
     .help = "Machines are spot instances, which are cheaper, and which Google may end at any "
             "time."},
    {.name = "service_account",
     .type = LITHOPS_KEY_STRING,
     .help = "E-mail address of a service account that machines get. With the permission "
             "compute.instances.delete they delete themselves, and functions may do whatever it "
             "may. Default: none."},
    {.name = "service_account_email",
     .type = LITHOPS_KEY_STRING,
     .help = "The same, under another name that upstream has for it."},
    {.name = "instance_name",
     .type = LITHOPS_KEY_STRING,
     .help = "The machine to use with exec_mode consume."},
    DEPLOYMENT("network_cidr", "Addresses of a network that upstream makes."),
    DEPLOYMENT("subnet_cidr", "Addresses of a subnet that upstream makes."),
    DEPLOYMENT("firewall_name", "Rule of a network that upstream makes."),
    DEPLOYMENT("internal_firewall_name", "Rule of a network that upstream makes."),
    DEPLOYMENT("router_name", "Router of a network that upstream makes."),
    DEPLOYMENT("nat_name", "Address translation of a network that upstream makes."),
    DEPLOYMENT("master_instance_type", "Type of upstream's master; here there is none."),
    MACHINE_USER("ubuntu"),
    {.name = NULL},
};

static const lithops_config_key azure_vms_keys[] = {
    {.name = "subscription_id",
     .type = LITHOPS_KEY_STRING,
     .help = "The subscription that the machines are in. What this section lacks is that of the "
             "section azure."},
    {.name = "resource_group",
     .type = LITHOPS_KEY_STRING,
     .help = "The resource group that the machines are in, by name."},
    {.name = "region", .type = LITHOPS_KEY_STRING, .help = "Region of the machines: westeurope."},
    {.name = "location",
     .type = LITHOPS_KEY_STRING,
     .help = "The same, as upstream calls it, too."},
    {.name = "tenant_id",
     .type = LITHOPS_KEY_STRING,
     .help = "Tenant of the application that the client logs in as. Default: AZURE_TENANT_ID."},
    {.name = "client_id",
     .type = LITHOPS_KEY_STRING,
     .help = "That application, or with managed_identity one of the machine's identities. Default: "
             "AZURE_CLIENT_ID."},
    {.name = "client_secret",
     .type = LITHOPS_KEY_STRING,
     .secret = true,
     .help = "Its secret. Default: AZURE_CLIENT_SECRET; or a token of a workload, in the file that "
             "AZURE_FEDERATED_TOKEN_FILE names."},
    {.name = "managed_identity",
     .type = LITHOPS_KEY_BOOL,
     .help = "The client logs in as the identity of the machine that it runs on."},
    {.name = "token",
     .type = LITHOPS_KEY_STRING,
     .secret = true,
     .help = "A token for https://management.azure.com/ instead, which is not renewed."},
    {.name = "endpoint",
     .type = LITHOPS_KEY_STRING,
     .help = "URL of the service, with https unless it is on this machine. Default: "
             "https://management.azure.com."},
    {.name = "identity",
     .type = LITHOPS_KEY_STRING,
     .help = "A user-assigned managed identity that machines get, by name or id, which may delete "
             "machines: with it they end themselves. Functions may do whatever it may. It is "
             "needed unless auto_dismantle is false, as a machine that is only turned off is "
             "billed."},
    {.name = "worker_instance_type",
     .type = LITHOPS_KEY_STRING,
     .help = "Type of the machines. Default: Standard_B2s, on ARM Standard_B2ps_v2. Without "
             "worker_processes they have as many as the type has CPUs."},
    {.name = "image_id",
     .type = LITHOPS_KEY_STRING,
     .help = "Image of the machines, an id or PUBLISHER:OFFER:SKU:VERSION: with cloud-init, curl "
             "and sshd, and for Python functions the client's version of Python. Default: the "
             "newest Ubuntu 24.04."},
    {.name = "boot_disk_size",
     .type = LITHOPS_KEY_INT,
     .min = 1,
     .max = 4095,
     .help = "Size of the disk, in GiB. Default: the image's."},
    {.name = "boot_disk_type",
     .type = LITHOPS_KEY_STRING,
     .fallback = "StandardSSD_LRS",
     .help = "Type of the disk."},
    {.name = "vnet_name",
     .type = LITHOPS_KEY_STRING,
     .help = "Virtual network of the machines, in the resource group."},
    {.name = "vnet_id", .type = LITHOPS_KEY_STRING, .help = "The same, by its id."},
    {.name = "subnet_name",
     .type = LITHOPS_KEY_STRING,
     .help = "Subnet of the machines in that network. Default: default."},
    {.name = "subnet_id", .type = LITHOPS_KEY_STRING, .help = "Subnet of the machines, by its id."},
    {.name = "security_group_name",
     .type = LITHOPS_KEY_STRING,
     .help = "Network security group of the machines, which lets the client in, at port 22. "
             "Default: the subnet's."},
    {.name = "security_group_id", .type = LITHOPS_KEY_STRING, .help = "The same, by its id."},
    {.name = "worker_public_ip",
     .type = LITHOPS_KEY_BOOL,
     .help = "Machines get a public address. Default: they do, unless ssh_address is private."},
    {.name = "request_spot_instances",
     .type = LITHOPS_KEY_BOOL,
     .fallback = "false",
     .help = "Machines are spot instances, which are cheaper, and which Azure may end at any time. "
             "Types of series B cannot be. Upstream has the key, and makes none."},
    {.name = "spot_price",
     .type = LITHOPS_KEY_DOUBLE,
     .min = 0,
     .max = 10000,
     .help = "Most that a spot instance may cost, in USD an hour. Default: the price on demand."},
    {.name = "instance_name",
     .type = LITHOPS_KEY_STRING,
     .help = "The machine to use with exec_mode consume."},
    DEPLOYMENT("instance_id", "What upstream keeps of a machine."),
    DEPLOYMENT("master_instance_type", "Type of upstream's master; here there is none."),
    DEPLOYMENT("master_name", "Name of upstream's master."),
    DEPLOYMENT("floating_ip", "Address of upstream's master."),
    DEPLOYMENT("floating_ip_id", "Address of upstream's master."),
    DEPLOYMENT("floating_ip_name", "Address of upstream's master."),
    DEPLOYMENT("storage_account", "A storage account."),
    MACHINE_USER("ubuntu"),
    {.name = NULL},
};

static const lithops_config_key serverless_keys[] = {
    {.name = "backend",
     .type = LITHOPS_KEY_STRING,
     .help = "Compute backend of the mode serverless. Default: aws_lambda."},
    {.name = "remote_invoker",
     .type = LITHOPS_KEY_BOOL,
     .inert = true,
     .help = "Start the calls from a function in the cloud."},
    {.name = "customized_runtime",
     .type = LITHOPS_KEY_BOOL,
     .inert = true,
     .help = "Build the function into a new container image."},
    {.name = NULL},
};

/* Where a service of Amazon's is, and who asks it. */
#define AWS_CLIENT_KEYS(what_, variable_)                                                          \
    {.name = "region",                                                                             \
     .type = LITHOPS_KEY_STRING,                                                                   \
     .help = "Region of the " what_ ". Default: that of the section aws, AWS_REGION, "             \
             "AWS_DEFAULT_REGION, or the profile's."},                                             \
        {.name = "region_name",                                                                    \
         .type = LITHOPS_KEY_STRING,                                                               \
         .help = "The same, as earlier versions of upstream called it."},                          \
        {.name = "access_key_id",                                                                  \
         .type = LITHOPS_KEY_STRING,                                                               \
         .secret = true,                                                                           \
         .help =                                                                                   \
             "Access key of the client; workers never get it. Default: that of the section aws, "  \
             "else what AWS's tools would use, see storage.md."},                                  \
        {.name = "secret_access_key",                                                              \
         .type = LITHOPS_KEY_STRING,                                                               \
         .secret = true,                                                                           \
         .help = "Secret key that belongs to it."},                                                \
        {.name = "session_token",                                                                  \
         .type = LITHOPS_KEY_STRING,                                                               \
         .secret = true,                                                                           \
         .help = "Token that belongs to temporary keys."},                                         \
    {                                                                                              \
        .name = "endpoint", .type = LITHOPS_KEY_STRING,                                            \
        .help =                                                                                    \
            "URL of another server than Amazon's. Default: " variable_ ", or AWS_ENDPOINT_URL."    \
    }

static const lithops_config_key aws_lambda_keys[] = {
    {.name = "execution_role",
     .type = LITHOPS_KEY_STRING,
     .help = "ARN of the role that functions have: it must allow them the bucket of the storage, "
             "and logs. Only lithops runtime deploy and update need it."},
    AWS_CLIENT_KEYS("functions", "AWS_ENDPOINT_URL_LAMBDA"),
    {.name = "runtime",
     .type = LITHOPS_KEY_STRING,
     .help = "What functions run in: provided.al2023, for programs in C; python3.12 and the like; "
             "or the URI of a container image that was built for it. Default: by the client."},
    {.name = "runtime_memory",
     .type = LITHOPS_KEY_INT,
     .fallback = "256",
     .min = 128,
     .max = 10240,
     .help = "Memory of a function, in MB, which also decides its share of CPUs. Part of the "
             "function's name."},
    {.name = "runtime_timeout",
     .type = LITHOPS_KEY_INT,
     .fallback = "180",
     .min = 1,
     .max = 900,
     .help = "Seconds that one run of a function may take: a worker's life. An upper limit for "
             "the timeout of every job."},
    {.name = "architecture",
     .type = LITHOPS_KEY_STRING,
     .fallback = "x86_64",
     .choices = "x86_64|arm64",
     .help = "Machines that functions run on; the engine that is deployed must be of the same."},
    {.name = "ephemeral_storage",
     .type = LITHOPS_KEY_INT,
     .fallback = "512",
     .min = 512,
     .max = 10240,
     .help = "Size of /tmp in a function, in MB."},
    {.name = "env_vars",
     .type = LITHOPS_KEY_ANY,
     .help = "Environment variables of functions, a map."},
    {.name = "user_tags", .type = LITHOPS_KEY_ANY, .help = "Tags of functions, a map."},
    {.name = "vpc",
     .type = LITHOPS_KEY_ANY,
     .help = "Network of functions, a map with the lists subnets and security_groups."},
    {.name = "efs",
     .type = LITHOPS_KEY_ANY,
     .help = "File systems of functions, a list of maps with access_point and mount_path, which is "
             "below /mnt."},
    {.name = "max_workers",
     .type = LITHOPS_KEY_INT,
     .fallback = "1000",
     .min = 1,
     .max = 10000,
     .help = "Most functions that run at a time. They are started as calls wait for them."},
    {.name = "worker_processes",
     .type = LITHOPS_KEY_INT,
     .fallback = "1",
     .min = 1,
     .max = 64,
     .help = "Calls that a function runs at the same time."},
    {.name = "idle_timeout",
     .type = LITHOPS_KEY_DOUBLE,
     .fallback = "2",
     .min = 0.1,
     .max = 240,
     .help = "Seconds without a call after which a function ends, which is paid for until then."},
    {.name = "invocation",
     .type = LITHOPS_KEY_STRING,
     .fallback = "event",
     .choices = "event|request",
     .help = "How functions are started. event: the service queues it, and a worker that is "
             "killed is known by its silence. request: a connection stays open for each worker, "
             "and how it ended is known at once."},
    {.name = "start_timeout",
     .type = LITHOPS_KEY_INT,
     .fallback = "120",
     .min = 1,
     .max = 86400,
     .help = "Seconds that invoking a function may take: what the service throttles, refuses for "
             "now or loses is asked for again until then."},
    {.name = "worker_lost_timeout",
     .type = LITHOPS_KEY_INT,
     .fallback = "15",
     .min = 2,
     .max = 1e6,
     .help = "A quarter of the seconds without a sign of a worker that has calls after which it is "
             "lost."},
    {.name = "invoke_pool_threads",
     .type = LITHOPS_KEY_ANY,
     .inert = true,
     .help = "Threads that invoke functions."},
    {.name = "account_id", .type = LITHOPS_KEY_ANY, .inert = true, .help = "The account."},
    {.name = "user_id", .type = LITHOPS_KEY_ANY, .inert = true, .help = "The user."},
    {.name = "namespace",
     .type = LITHOPS_KEY_ANY,
     .inert = true,
     .help = "A part of the names of functions."},
    {.name = "remote_invoker",
     .type = LITHOPS_KEY_BOOL,
     .inert = true,
     .help = "Start the calls from a function in the cloud."},
    {.name = "runtime_include_function",
     .type = LITHOPS_KEY_BOOL,
     .inert = true,
     .help = "Build the function into the runtime."},
    {.name = NULL},
};

/* What batch services have alike: a worker, how long it waits, and what of upstream has no effect.
 */
#define JOB_WORKER_KEYS                                                                            \
    {.name = "runtime_timeout",                                                                    \
     .type = LITHOPS_KEY_INT,                                                                      \
     .min = 1,                                                                                     \
     .max = 1e9,                                                                                   \
     .help = "Seconds; an upper limit for the timeout of every job. Default: no limit."},          \
    {                                                                                              \
        .name = "worker_processes", .type = LITHOPS_KEY_INT, .fallback = "1", .min = 1,            \
        .max = 4096, .help = "Calls that a worker runs at the same time."                          \
    }
#define JOB_WAIT_KEYS                                                                              \
    {.name = "idle_timeout",                                                                       \
     .type = LITHOPS_KEY_DOUBLE,                                                                   \
     .fallback = "10",                                                                             \
     .min = 0.1,                                                                                   \
     .max = 240,                                                                                   \
     .help = "Seconds without a call after which a worker ends, which is paid for until "          \
             "then."},                                                                             \
    {                                                                                              \
        .name = "start_timeout", .type = LITHOPS_KEY_INT, .fallback = "600", .min = 1,             \
        .max = 86400,                                                                              \
        .help = "Seconds a job may wait until it runs. Calls that wait fail then, unless other "   \
                "workers are there, and are told why it waited."                                   \
    }
#define REMOTE_KEYS                                                                                \
    {.name = "remote_invoker",                                                                     \
     .type = LITHOPS_KEY_BOOL,                                                                     \
     .inert = true,                                                                                \
     .help = "Start the calls from a job in the cloud."},                                          \
    {                                                                                              \
        .name = "runtime_include_function", .type = LITHOPS_KEY_BOOL, .inert = true,               \
        .help = "Build the function into the runtime."                                             \
    }

static const lithops_config_key aws_batch_keys[] = {
    {.name = "execution_role",
     .type = LITHOPS_KEY_STRING,
     .help = "ARN of the role by which Fargate fetches the image and writes logs. lithops "
             "runtime deploy needs it."},
    {.name = "job_role",
     .type = LITHOPS_KEY_STRING,
     .help = "ARN of the role that workers have: it must allow them the bucket of the "
             "storage. lithops runtime deploy needs it."},
    AWS_CLIENT_KEYS("jobs", "AWS_ENDPOINT_URL_BATCH"),
    {.name = "runtime",
     .type = LITHOPS_KEY_STRING,
     .help = "Image that workers run in, as its registry names it. It has the command "
             "lithops, of the client's version, and for Python functions the client's "
             "version of Python. Needed."},
    {.name = "runtime_memory",
     .type = LITHOPS_KEY_INT,
     .fallback = "1024",
     .min = 128,
     .max = 1e7,
     .help = "Memory of a job, in MiB. Fargate has fixed pairs of it with runtime_cpu."},
    {.name = "runtime_cpu",
     .type = LITHOPS_KEY_DOUBLE,
     .fallback = "0.5",
     .min = 0.25,
     .max = 256,
     .help = "CPUs of a job."},
    JOB_WORKER_KEYS,
    {.name = "env_type",
     .type = LITHOPS_KEY_STRING,
     .fallback = "FARGATE_SPOT",
     .choices = "EC2|SPOT|FARGATE|FARGATE_SPOT",
     .help = "What jobs run on: the type of the compute environment that lithops runtime "
             "deploy makes."},
    {.name = "env_max_cpus",
     .type = LITHOPS_KEY_INT,
     .fallback = "10",
     .min = 1,
     .max = 1e6,
     .help = "CPUs of all jobs of that compute environment together."},
    {.name = "subnets",
     .type = LITHOPS_KEY_LIST,
     .help = "Subnets of the compute environment. lithops runtime deploy needs them, unless "
             "the environment is there."},
    {.name = "security_groups",
     .type = LITHOPS_KEY_LIST,
     .help = "Its security groups, which let connections out; likewise."},
    {.name = "assign_public_ip",
     .type = LITHOPS_KEY_BOOL,
     .fallback = "true",
     .help = "Jobs on Fargate have public addresses, which they need in a public subnet to "
             "reach anything."},
    {.name = "instance_role",
     .type = LITHOPS_KEY_STRING,
     .help = "ARN of the instance profile of EC2 and SPOT, for which it is needed."},
    {.name = "instance_types",
     .type = LITHOPS_KEY_LIST,
     .help = "Types of their instances. Default: optimal, by which AWS chooses."},
    {.name = "service_role",
     .type = LITHOPS_KEY_STRING,
     .help = "ARN of a role for AWS Batch itself. Default: its service-linked role."},
    {.name = "compute_environment",
     .type = LITHOPS_KEY_STRING,
     .help = "Name of a compute environment that is there. Default: one of Lithops' own, by "
             "version and env_type."},
    {.name = "job_queue",
     .type = LITHOPS_KEY_STRING,
     .help = "Name of a queue that is there. Default: one of Lithops' own."},
    {.name = "job_definition",
     .type = LITHOPS_KEY_STRING,
     .help = "Name of a job definition that is there, whose container runs lithops worker "
             "--batch. Default: one of Lithops' own, by image, memory and CPUs."},
    {.name = "user_tags",
     .type = LITHOPS_KEY_ANY,
     .help = "Tags of jobs and of what is deployed for them, a map."},
    {.name = "max_workers",
     .type = LITHOPS_KEY_INT,
     .fallback = "100",
     .min = 1,
     .max = 4096,
     .help = "Most jobs at a time; as many as have room in env_max_cpus run. They are "
             "submitted as calls wait for them."},
    JOB_WAIT_KEYS,
    {.name = "lifetime",
     .type = LITHOPS_KEY_INT,
     .fallback = "3600",
     .min = 60,
     .max = 1e7,
     .help = "Seconds after which AWS Batch ends a worker, whatever it runs. It takes no "
             "call whose timeout would end later, if a fresh one has enough time for it."},
    {.name = "worker_lost_timeout",
     .type = LITHOPS_KEY_DOUBLE,
     .fallback = "15",
     .min = 2,
     .max = 86400,
     .help = "A fourth of the seconds until a worker that has calls and says nothing is "
             "lost, where AWS Batch does not know that it has ended."},
    {.name = "account_id", .type = LITHOPS_KEY_ANY, .inert = true, .help = "The account."},
    {.name = "container_vcpus",
     .type = LITHOPS_KEY_ANY,
     .inert = true,
     .help = "What earlier versions of upstream called runtime_cpu."},
    REMOTE_KEYS,
    {.name = NULL},
};

static const lithops_config_key code_engine_keys[] = {
    {.name = "iam_api_key",
     .type = LITHOPS_KEY_STRING,
     .secret = true,
     .help = "API key of IBM Cloud, for whose tokens it is exchanged. Default: ibm.iam_api_key."},
    {.name = "iam_endpoint",
     .type = LITHOPS_KEY_STRING,
     .help = "URL of the service that gives tokens. Default: https://iam.cloud.ibm.com."},
    {.name = "region",
     .type = LITHOPS_KEY_STRING,
     .help = "Region of the project, such as us-south. Default: ibm.region."},
    {.name = "endpoint",
     .type = LITHOPS_KEY_STRING,
     .help = "URL of the API of Code Engine. Default: that of the region."},
    {.name = "project_id",
     .type = LITHOPS_KEY_STRING,
     .help = "Id of the project that jobs run in. Default: that of project_name is asked for."},
    {.name = "project_name",
     .type = LITHOPS_KEY_STRING,
     .help = "Name of the project. Default: lithops- and the region. lithops runtime deploy makes "
             "it, if there is none."},
    {.name = "resource_group_id",
     .type = LITHOPS_KEY_STRING,
     .help = "Resource group of a project that is made. Default: ibm.resource_group_id, else the "
             "default group of the account."},
    {.name = "runtime",
     .type = LITHOPS_KEY_STRING,
     .help = "Image that workers run in, as us.icr.io/me/lithops:1, which 'lithops runtime build' "
             "makes. It has the command lithops, of the client's version, and for Python functions "
             "the client's version of Python. Needed."},
    {.name = "image_secret",
     .type = LITHOPS_KEY_STRING,
     .help = "Name of a secret of the project, of the format registry, by which the image is "
             "fetched. Default: one that lithops runtime deploy makes of docker_user and "
             "docker_password, if they are there."},
    {.name = "docker_server",
     .type = LITHOPS_KEY_STRING,
     .help = "Registry that docker_user and docker_password are for. Default: that of the image."},
    {.name = "docker_user",
     .type = LITHOPS_KEY_STRING,
     .help = "User at the registry; iamapikey at icr.io."},
    {.name = "docker_password",
     .type = LITHOPS_KEY_STRING,
     .secret = true,
     .help = "Password at the registry; an API key at icr.io. The project keeps it as a secret."},
    {.name = "runtime_memory",
     .type = LITHOPS_KEY_INT,
     .fallback = "256",
     .min = 256,
     .max = 1e7,
     .help = "Memory of a job, in MB: 2, 4 or 8 GB for each of its CPUs, 48 GB at most."},
    {.name = "runtime_cpu",
     .type = LITHOPS_KEY_DOUBLE,
     .fallback = "0.125",
     .min = 0.125,
     .max = 12,
     .help = "CPUs of a job: 0.125, 0.25, 0.5, 1, 2, 4, 6, 8, 10 or 12."},
    JOB_WORKER_KEYS,
    {.name = "max_workers",
     .type = LITHOPS_KEY_INT,
     .fallback = "1000",
     .min = 1,
     .max = 4096,
     .help = "Most jobs at a time; as many as the quotas of the project allow run. They are "
             "submitted as calls wait for them."},
    JOB_WAIT_KEYS,
    {.name = "lifetime",
     .type = LITHOPS_KEY_INT,
     .fallback = "7200",
     .min = 60,
     .max = 86400,
     .help = "Seconds after which Code Engine ends a worker, whatever it runs. It takes no "
             "call whose timeout would end later, if a fresh one has enough time for it."},
    {.name = "worker_lost_timeout",
     .type = LITHOPS_KEY_DOUBLE,
     .fallback = "15",
     .min = 2,
     .max = 86400,
     .help = "A fourth of the seconds until a worker that has calls and says nothing is "
             "lost, where Code Engine does not know that it has ended."},
    {.name = "secret",
     .type = LITHOPS_KEY_STRING,
     .secret = true,
     .help = "An error: applications are the backend code_engine_apps."},
    DEPLOYMENT("namespace", "Namespace of the project, which upstream reaches by Kubernetes."),
    {.name = "connection_retries",
     .type = LITHOPS_KEY_ANY,
     .inert = true,
     .help = "How often upstream connects again. Here requests are made again for a minute."},
    REMOTE_KEYS,
    {.name = NULL},
};

static const lithops_config_key rabbitmq_keys[] = {
    {.name = "amqp_url",
     .type = LITHOPS_KEY_STRING,
     .secret = true,
     .help = "URL of the RabbitMQ server: amqp://USER:PASSWORD@HOST:5672/VHOST, amqps:// for TLS. "
             "Functions can ask for it."},
    {.name = "ssl_ca_certs",
     .type = LITHOPS_KEY_STRING,
     .help = "File with the certificates of trusted authorities. Default: the system's."},
    {.name = "ssl_certfile",
     .type = LITHOPS_KEY_STRING,
     .help = "File with the certificate of this client, if the server wants one."},
    {.name = "ssl_keyfile", .type = LITHOPS_KEY_STRING, .help = "File with its key."},
    {.name = "ssl_cert_reqs",
     .type = LITHOPS_KEY_STRING,
     .choices = "none|required",
     .help = "Whether the server's certificate must be valid and for its host; not with none. "
             "Default: required."},
    {.name = NULL},
};

#define INSTANCE                                                                                   \
    {                                                                                              \
        .name = "instance", .type = LITHOPS_KEY_STRING,                                            \
        .help = "What this process is called. Programs that run at the same time need names of "   \
                "their own, or one replaces the other's metrics. Default: "                        \
                "LITHOPS_TELEMETRY_INSTANCE in the environment, else the name of the machine."     \
    }
#define TIMEOUT                                                                                    \
    {                                                                                              \
        .name = "timeout", .type = LITHOPS_KEY_DOUBLE, .fallback = "10", .min = 0.1, .max = 3600,  \
        .help = "Seconds that a sending may take; closing the last executor waits for one."        \
    }
static const lithops_config_key azure_queue_keys[] = {
    {.name = "storage_account_name",
     .type = LITHOPS_KEY_STRING,
     .help = "Name of the storage account. What this section lacks is that of the section "
             "azure_storage, and then of azure."},
    {.name = "storage_account_key",
     .type = LITHOPS_KEY_STRING,
     .secret = true,
     .help = "One of the account's two keys."},
    {.name = "sas_token",
     .type = LITHOPS_KEY_STRING,
     .secret = true,
     .help = "In place of the key: a shared access signature of the account, for queues."},
    {.name = "token",
     .type = LITHOPS_KEY_STRING,
     .secret = true,
     .help = "In place of the key: a token of Microsoft Entra ID for https://storage.azure.com/. "
             "It is not renewed."},
    {.name = "tenant_id",
     .type = LITHOPS_KEY_STRING,
     .help = "In place of the key, as in the section azure_storage; with client_id and "
             "client_secret."},
    {.name = "client_id",
     .type = LITHOPS_KEY_STRING,
     .help = "Of an application, or of a managed identity."},
    {.name = "client_secret",
     .type = LITHOPS_KEY_STRING,
     .secret = true,
     .help = "The application's."},
    {.name = "managed_identity",
     .type = LITHOPS_KEY_BOOL,
     .help = "In place of the key: tokens of the identity that the machine, container or app has."},
    {.name = "endpoint",
     .type = LITHOPS_KEY_STRING,
     .help = "URL of the queue service. Default: "
             "https://<storage_account_name>.queue.core.windows.net."},
    {.name = NULL},
};

static const lithops_config_key aws_sqs_keys[] = {
    {.name = "region",
     .type = LITHOPS_KEY_STRING,
     .help = "Region of the queues. What this section lacks is that of the section aws. Default: "
             "AWS_REGION, AWS_DEFAULT_REGION, or the profile's."},
    {.name = "region_name",
     .type = LITHOPS_KEY_STRING,
     .help = "The same, as earlier versions of upstream called it."},
    {.name = "access_key_id",
     .type = LITHOPS_KEY_STRING,
     .secret = true,
     .help = "Access key. Default: what AWS's tools would use, see storage.md."},
    {.name = "secret_access_key",
     .type = LITHOPS_KEY_STRING,
     .secret = true,
     .help = "Secret key. Default: what AWS's tools would use, see storage.md."},
    {.name = "session_token",
     .type = LITHOPS_KEY_STRING,
     .secret = true,
     .help = "Token that belongs to temporary access keys."},
    {.name = "endpoint",
     .type = LITHOPS_KEY_STRING,
     .help = "URL of another server than Amazon's. Default: AWS_ENDPOINT_URL_SQS, or "
             "AWS_ENDPOINT_URL."},
    {.name = NULL},
};

static const lithops_config_key gcp_pubsub_keys[] = {
    {.name = "project_name",
     .type = LITHOPS_KEY_STRING,
     .help = "The project whose topics they are. What this section lacks is that of the section "
             "gcp. Default: the service account's."},
    {.name = "credentials_path",
     .type = LITHOPS_KEY_STRING,
     .help = "File with the key of a service account, which workers must have, too. Default: "
             "GOOGLE_APPLICATION_CREDENTIALS, or else the identity of the machine."},
    {.name = "endpoint",
     .type = LITHOPS_KEY_STRING,
     .help = "URL of the service. Default: https://pubsub.googleapis.com, or the emulator that "
             "PUBSUB_EMULATOR_HOST names."},
    {.name = NULL},
};

static const lithops_config_key prometheus_keys[] = {
    {.name = "gateway",
     .type = LITHOPS_KEY_STRING,
     .fallback = "http://localhost:9091",
     .help = "URL of the push gateway."},
    {.name = "job",
     .type = LITHOPS_KEY_STRING,
     .fallback = "lithops",
     .help = "Prometheus's name for what sends the metrics: with the instance, it names the group "
             "of the gateway that they replace."},
    INSTANCE,
    TIMEOUT,
    {.name = "username", .type = LITHOPS_KEY_STRING, .help = "For a gateway behind a password."},
    {.name = "password",
     .type = LITHOPS_KEY_STRING,
     .secret = true,
     .help = "The password of that user."},
    {.name = NULL},
};

static const lithops_config_key otlp_keys[] = {
    {.name = "endpoint",
     .type = LITHOPS_KEY_STRING,
     .fallback = "http://localhost:4318",
     .help = "URL of the collector, with or without the path /v1/metrics."},
    {.name = "protocol",
     .type = LITHOPS_KEY_STRING,
     .fallback = "http/json",
     .choices = "http/json|http/protobuf|http",
     .help = "Metrics are sent in JSON over HTTP, which collectors take at the endpoint of "
             "http/protobuf too. There is no gRPC."},
    {.name = "service_name",
     .type = LITHOPS_KEY_STRING,
     .fallback = "lithops",
     .help = "The attribute service.name."},
    INSTANCE,
    TIMEOUT,
    {.name = "headers",
     .type = LITHOPS_KEY_ANY,
     .secret = true,
     .help = "A map of up to five headers that are sent along, as for a token."},
    {.name = "export_interval",
     .type = LITHOPS_KEY_ANY,
     .inert = true,
     .help = "Of upstream's library; telemetry_interval decides."},
    {.name = NULL},
};

static const lithops_config_key ibm_vpc_keys[] = {
    {.name = "iam_api_key",
     .type = LITHOPS_KEY_STRING,
     .secret = true,
     .help = "API key of IBM Cloud, for whose tokens it is exchanged. What this section lacks is "
             "that of the section ibm."},
    {.name = "iam_endpoint",
     .type = LITHOPS_KEY_STRING,
     .help = "URL of the service that gives tokens. Default: https://iam.cloud.ibm.com."},
    {.name = "region", .type = LITHOPS_KEY_STRING, .help = "Region of the machines: us-south."},
    {.name = "endpoint",
     .type = LITHOPS_KEY_STRING,
     .help = "URL of the API, with https unless it is on this machine. Default: that of the "
             "region."},
    {.name = "resource_group_id",
     .type = LITHOPS_KEY_STRING,
     .help = "Resource group that the machines are in. Default: that of the account."},
    {.name = "subnet_id",
     .type = LITHOPS_KEY_STRING,
     .help = "Subnet of the machines, which says their VPC and zone, too. Needed to make some."},
    {.name = "security_group_id",
     .type = LITHOPS_KEY_STRING,
     .help = "Security group of the machines: it lets the client in, at port 22. Default: that of "
             "the VPC, which usually does not."},
    {.name = "trusted_profile",
     .type = LITHOPS_KEY_STRING,
     .help = "A trusted profile that machines get, by id or CRN, which may delete machines and "
             "floating IPs: with it they delete themselves. Functions may do whatever it may. "
             "Without it they are turned off, and 'lithops clean' deletes them."},
    {.name = "worker_profile_name",
     .type = LITHOPS_KEY_STRING,
     .fallback = "cx2-2x4",
     .help = "Profile of the machines. Without worker_processes they have as many as it has CPUs."},
    {.name = "image_id",
     .type = LITHOPS_KEY_STRING,
     .help = "Image of the machines: with cloud-init, curl and sshd, and for Python functions the "
             "client's version of Python. Default: the newest Ubuntu 24.04."},
    {.name = "boot_volume_capacity",
     .type = LITHOPS_KEY_INT,
     .fallback = "100",
     .min = 10,
     .max = 32000,
     .help = "Size of the boot volume, in GB."},
    {.name = "boot_volume_profile",
     .type = LITHOPS_KEY_STRING,
     .fallback = "general-purpose",
     .help = "Profile of the boot volume."},
    {.name = "ssh_key_id",
     .type = LITHOPS_KEY_STRING,
     .help = "An SSH key of IBM Cloud that machines get, besides that of ssh_key_filename."},
    {.name = "worker_public_ip",
     .type = LITHOPS_KEY_BOOL,
     .help = "Machines get a floating IP. Default: they do, unless ssh_address is private."},
    {.name = "request_spot_instances",
     .type = LITHOPS_KEY_BOOL,
     .fallback = "false",
     .help = "Machines are spot instances, which are cheaper, and which IBM may end at any time. "
             "Not all profiles can be."},
    {.name = "instance_id",
     .type = LITHOPS_KEY_STRING,
     .help = "The machine to use with exec_mode consume, by its id."},
    {.name = "floating_ip",
     .type = LITHOPS_KEY_STRING,
     .help = "Public address of that one. Default: IBM is asked for it."},
    DEPLOYMENT("vpc_id", "VPC of the machines. The subnet says it."),
    DEPLOYMENT("vpc_name", "Name of a VPC that upstream makes."),
    DEPLOYMENT("zone", "Zone of the machines. The subnet says it."),
    DEPLOYMENT("zone_name", "The same."),
    DEPLOYMENT("gateway_id", "Public gateway of the subnet that upstream makes."),
    DEPLOYMENT("floating_ip_id", "Address of upstream's master."),
    DEPLOYMENT("master_profile_name", "Profile of upstream's master; here there is none."),
    DEPLOYMENT("profile_name", "Profile of the machines, in earlier versions of upstream."),
    DEPLOYMENT("custom_lithops_image", "Whether the image has Lithops. It need not."),
    DEPLOYMENT("verify_resources", "Whether upstream looks for what it has made."),
    DEPLOYMENT("singlesocket", "Whether upstream's workers keep to one socket of the CPU."),
    MACHINE_USER("root"),
    {.name = NULL},
};

const struct lithops__config_section lithops__config_sections[] = {
    {"lithops", "Which backends are used, and what holds for all of them.", lithops_keys},
    {"localhost", "This machine, as compute backend and as storage backend.", pool_keys},
    {"localhost", "What runs functions.", runtime_here_keys},
    {"localhost", "Keys of upstream's.", localhost_keys},
    {"process",
     "Workers on this machine that are reached as if they were elsewhere, over sockets: for "
     "tests.",
     process_keys},
    {"process", "What workers behind links have in common.", link_keys},
    {"process", "The pool of each worker.", pool_keys},
    {"process", "What runs functions.", runtime_here_keys},
    {"vm", "Hosts that one owns, over SSH.", vm_keys},
    {"vm", "What workers behind links have in common.", link_keys},
    {"vm", "The pool of each host.", pool_keys},
    {"vm", "What runs functions.", runtime_of_hosts_keys},
    {"slurm", "Nodes that Slurm allocates.", slurm_keys},
    {"slurm", "What workers behind links have in common.", link_keys},
    {"slurm", "The pool of each node.", pool_keys},
    {"slurm", "What runs functions.", runtime_of_nodes_keys},
    {"knative",
     "Containers of a Knative service, started by HTTP requests. Untested against the service.",
     knative_keys},
    {"knative", "What workers behind links have in common.", link_keys},
    {"knative", "What services that take HTTP requests have in common.", http_keys},
    {"knative", "The pool of each worker.", pool_keys},
    {"gcp_cloudrun",
     "Containers of Google Cloud Run, started by HTTP requests. Untested against the service.",
     cloudrun_keys},
    {"gcp_cloudrun", "What workers behind links have in common.", link_keys},
    {"gcp_cloudrun", "What services that take HTTP requests have in common.", http_keys},
    {"gcp_cloudrun", "The pool of each worker.", pool_keys},
    {"code_engine_apps",
     "Containers of an application of IBM Code Engine, started by HTTP requests. Untested against "
     "the service.",
     code_engine_apps_keys},
    {"code_engine_apps", "What workers behind links have in common.", link_keys},
    {"code_engine_apps", "What services that take HTTP requests have in common.", http_keys},
    {"code_engine_apps", "The pool of each worker.", pool_keys},
    {"azure_containers",
     "Containers of Azure Container Apps, started by HTTP requests. Untested against the service.",
     azure_containers_keys},
    {"azure_containers", "What workers behind links have in common.", link_keys},
    {"azure_containers", "What services that take HTTP requests have in common.", http_keys},
    {"azure_containers", "The pool of each worker.", pool_keys},
    {"aliyun_fc",
     "Containers of a function of Alibaba Cloud, started by HTTP requests. Untested against the "
     "service.",
     aliyun_fc_keys},
    {"aliyun_fc", "What workers behind links have in common.", link_keys},
    {"aliyun_fc", "What services that take HTTP requests have in common.", http_keys},
    {"aliyun_fc", "The pool of each worker.", pool_keys},
    {"gcp_functions",
     "Functions of Google Cloud, of the second generation, started by HTTP requests. Untested "
     "against the service.",
     gcp_functions_keys},
    {"gcp_functions", "What workers behind links have in common.", link_keys},
    {"gcp_functions", "What services that take HTTP requests have in common.", http_keys},
    {"gcp_functions", "The pool of each worker.", pool_keys},
    {"azure_functions",
     "Functions of Azure, started by HTTP requests. Untested against the service.",
     azure_functions_keys},
    {"azure_functions", "What workers behind links have in common.", link_keys},
    {"azure_functions", "What services that take HTTP requests have in common.", http_keys},
    {"azure_functions", "The pool of each worker.", pool_keys},
    {"oracle_f", "Functions of Oracle Cloud. Untested against the service.", oracle_f_keys},
    {"oracle_f", "What workers behind links have in common.", link_keys},
    {"oracle_f", "The pool of each worker.", pool_keys},
    {"openwhisk", "Activations of an action of OpenWhisk. Untested against the service.",
     openwhisk_keys},
    {"openwhisk", "What workers behind links have in common.", link_keys},
    {"openwhisk", "The pool of each worker.", pool_keys},
    {"ibm_cf",
     "Activations of an action of IBM Cloud Functions. Untested against the service, which IBM has "
     "ended.",
     ibm_cf_keys},
    {"ibm_cf", "What workers behind links have in common.", link_keys},
    {"ibm_cf", "The pool of each worker.", pool_keys},
    {"singularity", "Containers of Singularity or Apptainer on this machine.", singularity_keys},
    {"singularity", "What workers behind links have in common.", link_keys},
    {"singularity", "The pool of each container.", pool_keys},
    {"k8s", "Pods of Kubernetes.", k8s_keys},
    {"k8s", "What workers behind links have in common.", link_keys},
    {"k8s",
     "The pool of each pod. A pod gets the memory of its worker processes, 512 MiB each where "
     "runtime_memory says nothing, and 128 MiB more.",
     pool_keys},
    {"standalone", "What all backends of the mode standalone have in common.", standalone_keys},
    {"aws_ec2", "Machines of Amazon EC2, over SSH. Untested against the service.", aws_ec2_keys},
    {"aws_ec2", "What machines of clouds have in common.", machine_keys},
    {"aws_ec2", "What workers behind links have in common.", link_keys},
    {"aws_ec2", "The pool of each machine.", pool_keys},
    {"aws_ec2", "What runs functions.", runtime_of_hosts_keys},
    {"azure_vms", "Machines of Microsoft Azure, over SSH. Untested against the service.",
     azure_vms_keys},
    {"azure_vms", "What machines of clouds have in common.", machine_keys},
    {"azure_vms", "What workers behind links have in common.", link_keys},
    {"azure_vms", "The pool of each machine.", pool_keys},
    {"azure_vms", "What runs functions.", runtime_of_hosts_keys},
    {"ibm_vpc", "Virtual servers of IBM Cloud's VPC, over SSH. Untested against the service.",
     ibm_vpc_keys},
    {"ibm_vpc", "What machines of clouds have in common.", machine_keys},
    {"ibm_vpc", "What workers behind links have in common.", link_keys},
    {"ibm_vpc", "The pool of each machine.", pool_keys},
    {"ibm_vpc", "What runs functions.", runtime_of_hosts_keys},
    {"gcp_compute_engine",
     "Machines of Google Compute Engine, over SSH. Untested against the service.",
     gcp_compute_engine_keys},
    {"gcp_compute_engine", "What machines of clouds have in common.", machine_keys},
    {"gcp_compute_engine", "What workers behind links have in common.", link_keys},
    {"gcp_compute_engine", "The pool of each machine.", pool_keys},
    {"gcp_compute_engine", "What runs functions.", runtime_of_hosts_keys},
    {"serverless", "What all backends of the mode serverless have in common.", serverless_keys},
    {"aws_lambda",
     "Functions of AWS Lambda, reached through the storage. Untested against the service.",
     aws_lambda_keys},
    {"aws_lambda", "What workers behind links have in common.", link_keys},
    {"aws_lambda", "The pool of each function.", rented_pool_keys},
    {"aws_batch", "Jobs of AWS Batch, reached through the storage. Untested against the service.",
     aws_batch_keys},
    {"aws_batch", "What workers behind links have in common.", link_keys},
    {"aws_batch", "The pool of each job.", rented_pool_keys},
    {"code_engine",
     "Jobs of IBM Code Engine, reached through the storage. Untested against the service.",
     code_engine_keys},
    {"code_engine", "What workers behind links have in common.", link_keys},
    {"code_engine", "The pool of each job.", rented_pool_keys},
    {"rabbitmq",
     "The RabbitMQ server, for monitoring: rabbitmq, and for functions that ask for it.",
     rabbitmq_keys},
    {"azure_queue",
     "Azure Queue Storage, for monitoring: azure_queue. Untested against the service.",
     azure_queue_keys},
    {"aws_sqs", "Amazon SQS, for monitoring: aws_sqs. Untested against the service.", aws_sqs_keys},
    {"gcp_pubsub", "Google Pub/Sub, for monitoring: gcp_pubsub. Untested against the service.",
     gcp_pubsub_keys},
    {"prometheus", "The Prometheus push gateway, for telemetry: prometheus.", prometheus_keys},
    {"otlp", "The OpenTelemetry collector, for telemetry: otlp.", otlp_keys},
    {NULL, NULL, NULL},
};

const struct lithops__config_backend lithops__config_backends[] = {
    {"localhost", "localhost", true, false},
    {"process", "localhost", false, false},
    {"aws_lambda", "serverless", true, false},
    {"aws_batch", "serverless", false, false},
    {"gcp_cloudrun", "serverless", false, false},
    {"gcp_functions", "serverless", false, false},
    {"azure_functions", "serverless", false, false},
    {"azure_containers", "serverless", false, false},
    {"ibm_cf", "serverless", false, false},
    {"code_engine", "serverless", false, false},
    {"code_engine_apps", "serverless", false, false},
    {"aliyun_fc", "serverless", false, false},
    {"oracle_f", "serverless", false, false},
    {"k8s", "serverless", false, false},
    {"knative", "serverless", false, false},
    {"openwhisk", "serverless", false, false},
    {"singularity", "serverless", false, true},
    {"aws_ec2", "standalone", true, false},
    {"azure_vms", "standalone", false, false},
    {"gcp_compute_engine", "standalone", false, false},
    {"ibm_vpc", "standalone", false, false},
    {"slurm", "standalone", false, true},
    {"vm", "standalone", false, true},
    {NULL, NULL, false, false},
};

const char *const lithops__config_other_sections[] = {
    /* providers */
    "aws", "azure", "gcp", "ibm", "aliyun", "oracle", NULL};
