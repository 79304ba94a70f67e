/* SPDX-License-Identifier: Apache-2.0 */
/* Turns Slurm's messages into errors that say what to do.
 *
 * Its programs report failures only as text, so this searches for known texts and passes unknown
 * ones on unchanged. */
#include "base/error.h"
#include "compute/backends/slurm/slurm.h"

#include <stdio.h>
#include <string.h>

/* In order: the first match decides. */
static const struct {
    const char *text, *advice;
    bool retryable;
} refusals[] = {
    {"nvalid partition", "there is no such partition: 'sinfo -s' lists them; set slurm.partition",
     false},
    {"nvalid account",
     "the account may not be used, or not in this partition: 'sacctmgr show "
     "assoc user=$USER' lists yours; set slurm.account",
     false},
    {"nvalid qos", "the QOS may not be used: look at --qos in slurm.sbatch_args", false},
    {"--time specification", "slurm.time is not a time: write \"1:30:00\", \"2-12\", or minutes",
     false},
    {"time limit",
     "slurm.time is longer than the partition allows: 'sinfo -o \"%P %l\"' lists the "
     "limits",
     false},
    {"--mem specification", "slurm.memory is not a size: write \"4G\", or MiB", false},
    {"emory specification", "no node has so much memory: lower slurm.memory", false},
    {"node configuration is not available",
     "no node of the partition has so much: 'sinfo -o \"%P %c %m\"' lists CPUs and MiB; lower "
     "slurm.cpus_per_worker or slurm.memory",
     false},
    {"feature specification", "no node has the feature: look at --constraint in slurm.sbatch_args",
     false},
    {"generic resource", "no node has it: look at --gres in slurm.sbatch_args", false},
    {"eservation", "the reservation cannot be used: look at --reservation in slurm.sbatch_args",
     false},
    {"node name", "there is no such node: look at slurm.sbatch_args", false},
    {"unrecognized option", "srun does not have the option: correct slurm.sbatch_args", false},
    {"invalid option", "srun does not have the option: correct slurm.sbatch_args", false},
    {"not permitted to use this partition",
     "this user may not use the partition: set slurm.partition to another one", false},
    {"violates accounting",
     "it is more than the account's or the QOS's limits allow: lower what "
     "the section slurm asks for",
     false},
    {"Unable to contact slurm controller",
     "slurmctld does not answer: 'scontrol ping' tells when it is back", true},
    {"Zero Bytes were transmitted",
     "slurmctld does not answer: 'scontrol ping' tells when it is back", true},
    {"Munge encode failed",
     "munged does not answer here: start it; 'munge -n' tells when it is back", true},
    {"uthentication error",
     "slurmctld does not accept the credentials of this machine: both need the same munge.key, and "
     "clocks that agree; look at munged's log",
     true},
    {"configuration",
     "this machine is not part of a cluster: run it where 'sinfo' works, as on a "
     "login node, or set SLURM_CONF",
     false},
    {"cannot start '",
     "Slurm's commands are needed here: run this on a login node (Debian: "
     "slurm-client)",
     false},
    {"has been cancelled", "the job was cancelled while it waited", true},
    {"has been revoked", "the job was cancelled while it waited", true},
};

/* In order; how an allocation ends. */
static const struct {
    const char *text, *state, *reason, *why;
} ends[] = {
    {"DUE TO TIME LIMIT", "TIMEOUT", "TimeLimit",
     "the wall time of its allocation was over: slurm.time sets it"},
    {"DUE TO PREEMPTION", "PREEMPTED", "Preempted", "its allocation was preempted by another job"},
    {"DUE TO NODE FAILURE", "NODE_FAIL", "NodeDown", "its node failed"},
    {"Node failure on", "BOOT_FAIL", "NodeDown", "its node failed"},
    {"oom", "OUT_OF_MEMORY", "OutOfMemory",
     "it took more memory than its allocation has: raise slurm.memory"},
    {"CANCELLED AT", "CANCELLED", NULL, "its job was cancelled"},
};

int lithops__slurm_refuse(const char *said, const char *how, lithops_error *err)
{
    char line[256];
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const char *part = strstr(said, refusals[i].text);
        if (!part)
            continue;
        lithops__line_at(said, part, line, sizeof line);
        lithops__fail(err, LITHOPS_EBACKEND, "slurm: %s (it says: %s)", refusals[i].advice, line);
        err->retryable = refusals[i].retryable;
        return err->code;
    }
    snprintf(line, sizeof line, "%.250s", said);
    lithops__one_line(line, sizeof line);
    lithops__fail(err, LITHOPS_EBACKEND, "slurm: no worker could be started: %s%s%s", how,
                  line[0] ? ": " : "", line);
    err->retryable = true;
    return err->code;
}

const char *lithops__slurm_end(const char *said)
{
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (strstr(said, ends[i].text))
            return ends[i].why;
    return NULL;
}

const char *lithops__slurm_end_state(const char *state, const char *reason)
{
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (strcmp(state, ends[i].state) == 0 ||
            (ends[i].reason && strcmp(reason, ends[i].reason) == 0))
            return ends[i].why;
    return NULL;
}

bool lithops__slurm_is_hopeless(const char *reason, const char **ret_advice)
{
    static const struct {
        const char *text, *advice;
    } reasons[] = {
        {"PartitionTimeLimit", "slurm.time is longer than the partition allows: 'sinfo -o \"%P "
                               "%l\"' lists the limits"},
        {"PartitionNodeLimit", "the partition does not give single nodes: set slurm.partition to "
                               "another one"},
        {"BadConstraints", "no node has what it asks for: look at slurm.sbatch_args"},
        {"Account", "the account may not be used in this partition: set slurm.account"},
        {"InvalidQOS", "the QOS may not be used: look at --qos in slurm.sbatch_args"},
        {"QOSNotAllowed", "the QOS may not be used in this partition: look at --qos in "
                          "slurm.sbatch_args"},
        {"PerJob", "one worker asks for more than a limit allows: lower slurm.time, "
                   "slurm.cpus_per_worker or slurm.memory"},
        {"MaxMemPerLimit", "one worker asks for more memory than a limit allows: lower "
                           "slurm.memory"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (strstr(reason, reasons[i].text)) {
            *ret_advice = reasons[i].advice;
            return true;
        }
    return false;
}
