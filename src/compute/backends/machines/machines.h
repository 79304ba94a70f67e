/* SPDX-License-Identifier: Apache-2.0 */
/* The backends whose hosts are machines of a cloud: made when calls wait, reached over SSH as those
 * of the backend vm are, and gone afterwards.
 *
 *     aws_ec2.c, gcp_compute_engine.c, azure_vms.c, ibm_vpc.c   what a cloud wants of requests,
 *                  and says
 *     rest.c       the same of all whose requests are JSON with a bearer's token
 *     call.c       a request to a cloud's API, made again where that helps
 *     yard.c       which machines there are; taking one, or making one
 *     lease.c      what runs on a machine besides the worker: its guard, and who has it
 *     sweep.c      ending machines, of this executor and of dead clients
 *     options.c    what the configuration says
 *     machines.c   the drivers
 *
 * A machine ends itself. Its guard, a shell script that root runs, turns it off when nobody has had
 * it for soft_dismantle_timeout, and when somebody has had it for hard_dismantle_timeout. To have
 * it is to hold a lock of a file there, which the shell around the worker does: whoever dies, the
 * lock goes with the connection. The same lock lets each machine be used by one executor at a time.
 *
 * Clouds differ in what a machine costs that is off, so each says what else ends one:
 *     it is off      enough, where the request for a machine can say that it is deleted then (EC2)
 *     add_end        the guard runs that script first, which has the cloud delete the machine: with
 *                    a token of the machine's own identity, never with what the client has. Where
 *                    one that is off is billed on, it does not end until the machine does
 *     limit_s        the cloud itself deletes a machine that has run for so long: what is left when
 *                    the guard cannot do its work. It is later than whatever the guard does, so a
 *                    machine is used again only while it is far enough away (until_s)
 *
 * Each has tags that say whose it is, for `lithops clean` and for executors that use it again. */
#ifndef LITHOPS_MACHINES_H
#define LITHOPS_MACHINES_H

#include "base/retry.h"
#include "compute/backends/vm/vm.h"
#include "compute/client.h"
#include "net/credentials.h"
#include "storage/web_request.h"

#include <lithops/value.h>

#include <pthread.h>

/* ---- machines -------------------------------------------------------------------------------- */

enum { LITHOPS__MACHINE_ID = 160, LITHOPS__MACHINE_TAG = 128, LITHOPS__MACHINE_ADDRESS = 64 };

enum lithops__machine_tag {
    LITHOPS__TAG_OWNER,    /* user@host, for people */
    LITHOPS__TAG_CLIENT,   /* lithops__client_mark() */
    LITHOPS__TAG_PROCESS,  /* its process there */
    LITHOPS__TAG_EXECUTOR, /* that uses it, or was the last to do so */
    LITHOPS__TAG_GROUP,    /* machines of a group are alike: one may be used for another */
    /* Seconds since 1970, when its guard has ended it at the latest; 0: none. Then "-delete", where
     * it is not to be there any more, in whatever state. */
    LITHOPS__TAG_EXPIRES,
    LITHOPS__TAGS,
};
/* "lithops-owner", ... */
extern const char *const lithops__machine_tag_names[LITHOPS__TAGS];
typedef char lithops__machine_tags[LITHOPS__TAGS][LITHOPS__MACHINE_TAG];

enum lithops__machine_state {
    LITHOPS__MACHINE_COMING, /* it will run */
    LITHOPS__MACHINE_RUNNING,
    LITHOPS__MACHINE_STOPPING,
    LITHOPS__MACHINE_STOPPED,
    LITHOPS__MACHINE_SUSPENDED, /* by somebody, who may resume it */
    LITHOPS__MACHINE_FAILED,    /* it will not run, but is there */
    LITHOPS__MACHINE_GONE,      /* or about to be */
};
struct lithops__machine {
    char id[LITHOPS__MACHINE_ID]; /* letters, digits and "-_." alone */
    enum lithops__machine_state state;
    char public_ip[LITHOPS__MACHINE_ADDRESS], private_ip[LITHOPS__MACHINE_ADDRESS];
    char why[160];    /* it is in that state; "" */
    uint64_t until_s; /* since 1970, when the cloud ends it; 0: it does not */
    lithops__machine_tags tags;
};

/* A machine to be made. */
struct lithops__machine_wish {
    const char *user_data; /* a script that root runs at its first boot */
    /* That ssh comes with; the script puts it there, too. NULL: none */
    const char *public_key;
    const char *token; /* a request with the same one makes no other machine; also its name */
    lithops__machine_tags tags;
    uint32_t limit_s; /* it runs no longer, where the cloud can see to that; 0: as long as it is */
    bool is_trial;    /* only whether one could be made */
};
/* Of machines, those that... */
struct lithops__machine_query {
    const char *id;                /* has this id; or NULL: */
    enum lithops__machine_tag tag; /* has this tag */
    const char *value;             /* of that value */
};
typedef void lithops__machine_visit(const struct lithops__machine *machine, void *user);

enum lithops__machine_ending {
    LITHOPS__ENDING_DELETES,
    LITHOPS__ENDING_STOPS,
    LITHOPS__ENDING_LENT, /* it is the user's, and stops */
};

/* What differs from one cloud to the next. All functions but open and close may block until the
 * bounds end, are called from many threads at once, and have been tried again where that helps when
 * they fail. */
struct lithops__cloud {
    const char *name, *title; /* of the backend, and of the service */
    const char *trial;        /* what a trial that succeeds tells: "a machine could be made" */
    const char *id_key;       /* that names a machine that is there, for the mode consume */
    size_t state_size;
    /* Of zeroed bytes; `settings` live until close, which also follows a failure. ECONFIG, ... */
    int (*open)(void *state, const lithops_value *settings, lithops_error *err);
    void (*close)(void *state);
    /* What makes two machines alike, is appended. */
    void (*describe)(const void *state, struct lithops__buffer *out);
    /* CPUs of a machine that is made; 0: unknown. */
    uint32_t (*cpus)(const void *state);
    /* EDENIED, ECONFIG, ETHROTTLED (no capacity, or a quota), EBACKEND */
    int (*create)(void *state, const struct lithops__machine_wish *wish,
                  const struct lithops__bounds *bounds, char ret_id[LITHOPS__MACHINE_ID],
                  lithops_error *err);
    int (*list)(void *state, const struct lithops__machine_query *query,
                const struct lithops__bounds *bounds, lithops__machine_visit *visit, void *user,
                lithops_error *err);
    int (*start)(void *state, const char *id, const struct lithops__bounds *bounds,
                 lithops_error *err);
    /* Those that are gone already are no error. */
    int (*terminate)(void *state, const char *const *ids, size_t count,
                     const struct lithops__bounds *bounds, lithops_error *err);
    int (*tag)(void *state, const char *id, const lithops__machine_tags tags,
               const struct lithops__bounds *bounds, lithops_error *err);
    /* Whether turning it off from within keeps the machine, so that it may be done to one that the
     * user has made. NULL: one that is not ours */
    int (*outlasts_shutdown)(void *state, const char *id, const struct lithops__bounds *bounds,
                             bool *ret_outlasts, lithops_error *err);
    /* What a machine runs before it turns itself off, as root, is appended: lines for a shell.
     * NULL: nothing */
    void (*add_end)(const void *state, enum lithops__machine_ending how,
                    struct lithops__buffer *out);
};
extern const struct lithops__cloud lithops__cloud_aws_ec2, lithops__cloud_azure_vms,
    lithops__cloud_gcp_compute_engine, lithops__cloud_ibm_vpc;

/* ---- call.c ---------------------------------------------------------------------------------- */

struct lithops__cloud_call {
    struct lithops__web *web;
    const char *title, *what; /* for messages: "Amazon EC2", "RunInstances" */
    struct lithops__bounds bounds;
    bool is_whole; /* interrupted between two attempts alone, as its answer must be known */
    /* Make the request, with credentials of now. */
    int (*prepare)(void *user, const struct lithops__bounds *bounds,
                   struct lithops__web_request *request, lithops_error *err);
    /* The code and the message in an answer of status 300 and up; `document` may be changed. */
    void (*explain)(char *document, char ret_code[LITHOPS__MACHINE_TAG], char ret_text[512]);
    const struct lithops__web_code *codes;
    /* Whether the credentials that were used can be replaced by others. */
    bool (*renew)(void *user, const char *code);
    void *user;
};
/* @param ret_document  for free(). Errors have http_status, and those of a code that is in the
 * table what that says. */
int lithops__cloud_call(const struct lithops__cloud_call *call, char **ret_document,
                        size_t *ret_len, lithops_error *err);

/* The error of a refusal; `codes` say what it means.
 * @param status  of HTTP; 0: unknown */
int lithops__cloud_refuse(const char *title, const char *what,
                          const struct lithops__web_code *codes, const char *code, const char *text,
                          long status, lithops_error *err);

/* ---- rest.c ---------------------------------------------------------------------------------- */

struct lithops__cloud_rest {
    struct lithops__web web;
    struct lithops__credential_store *tokens;
    const char *section, *title; /* of the cloud */
    const char *makes;           /* the request that makes a machine, which is not broken off */
    const struct lithops__web_code *codes;
    const char *const *expired; /* codes of a token that is no longer good; the last is NULL */
    const lithops_value *settings;
    char *endpoint; /* with no '/' at its end */
    bool merges;    /* what a PATCH has is called merge-patch+json */
};
/* The endpoint that is configured, or `otherwise`: it gets tokens, and becomes a word in a script
 * of root's. ECONFIG, ENOMEM */
int lithops__cloud_rest_find(struct lithops__cloud_rest *rest, const char *otherwise,
                             lithops_error *err);
void lithops__cloud_rest_close(struct lithops__cloud_rest *rest);
int lithops__cloud_fail_memory(const struct lithops__cloud_rest *rest, lithops_error *err);

struct lithops__cloud_question {
    const char *method, *what;
    char *path;          /* after the endpoint; consumed, and NULL is out of memory */
    lithops_value *body; /* the same, unless the method has none; null: an empty one */
};
/* @param ret_answer  its JSON, which the caller frees; NULL: nothing in it matters */
int lithops__cloud_ask(struct lithops__cloud_rest *rest,
                       const struct lithops__cloud_question *question,
                       const struct lithops__bounds *bounds, lithops_value **ret_answer,
                       lithops_error *err);

/* A list that comes in pages. */
struct lithops__cloud_pages {
    const char *what, *list; /* what is asked, and the list in an answer */
    /* The path of the page after an answer, for free(), or NULL. False: out of memory */
    bool (*next)(void *state, const lithops_value *answer, char **ret_path);
    void (*visit)(const lithops_value *item, void *state);
    void *state;
};
/* @param path  of the first one; consumed, and NULL is out of memory */
int lithops__cloud_ask_pages(struct lithops__cloud_rest *rest,
                             const struct lithops__cloud_pages *pages, char *path,
                             const struct lithops__bounds *bounds, lithops_error *err);

/* A setting. NULL: it is not there, or empty */
const char *lithops__cloud_setting(const lithops_value *settings, const char *key);
bool lithops__cloud_is_on(const lithops_value *settings, const char *key);
/* Whether machines get a public address. */
bool lithops__cloud_is_public(const lithops_value *settings);
/* A text in an answer; "" where there is none. */
const char *lithops__cloud_text(const lithops_value *map, const char *name);
const lithops_value *lithops__cloud_first(const lithops_value *list);
/* What a machine's id may be, as it becomes an argument of ssh's and a part of paths. */
bool lithops__cloud_is_id(const char *text);
/* A map of them. NULL: out of memory */
lithops_value *lithops__cloud_pack_tags(const lithops__machine_tags tags);
void lithops__cloud_read_tags(const lithops_value *map, lithops__machine_tags ret_tags);
struct lithops__cloud_state {
    const char *name; /* the last row has NULL */
    enum lithops__machine_state state;
};
/* GONE: it is in none of the rows. */
enum lithops__machine_state lithops__cloud_state(const struct lithops__cloud_state *rows,
                                                 const char *name);
/* For what a machine runs before its end, where $t is a token: `call METHOD URL OPTION...` makes a
 * request, by curl with these options. */
void lithops__cloud_add_call(struct lithops__buffer *out);

/* ENOTFOUND is no failure here. */
typedef int lithops__cloud_one(void *state, const char *id, const struct lithops__bounds *bounds,
                               lithops_error *err);
/* Do it for each of them, several at a time.
 * @return ECANCELED, if that is so of one of them; else the error of one that failed */
int lithops__cloud_each(void *state, const char *const *ids, size_t count,
                        const struct lithops__bounds *bounds, lithops__cloud_one *one,
                        lithops_error *err);

/* ---- options.c ------------------------------------------------------------------------------- */

enum lithops__machines_mode {
    LITHOPS__MACHINES_CONSUME,
    LITHOPS__MACHINES_CREATE,
    LITHOPS__MACHINES_REUSE,
};
struct lithops__machines_options {
    const struct lithops__cloud *cloud;
    lithops_value *settings; /* what strings are borrowed from */
    void *api;               /* the cloud's state */
    enum lithops__machines_mode mode;
    uint32_t max_workers, worker_processes, start_s, soft_s, hard_s, lost_ms;
    bool is_guarded;  /* auto_dismantle */
    bool is_private;  /* ssh uses the private address */
    bool is_public;   /* or the public one; neither: whichever there is, the public one first */
    const char *id;   /* of the machine to consume */
    char *public_key; /* that is put on machines; NULL: the cloud does it, or the image */
    struct lithops__vm_options ssh;
    char owner[LITHOPS__MACHINE_TAG], client[LITHOPS__CLIENT_MARK], group[LITHOPS__CLIENT_MARK];
};
/* `settings` is copied. The deinit is also for after a failure. */
int lithops__machines_options_read(const struct lithops__cloud *cloud,
                                   const lithops_value *settings,
                                   struct lithops__machines_options *options, lithops_error *err);
void lithops__machines_options_deinit(struct lithops__machines_options *options);
/* Of a machine that an executor makes or takes now. */
void lithops__machine_make_tags(const struct lithops__machines_options *options,
                                const char *executor, lithops__machine_tags ret_tags);
/* How long a machine that is made now may run, see struct lithops__machine_wish. */
uint32_t lithops__machine_limit(const struct lithops__machines_options *options);
/* Whether machines are for ARM, as this one is: they run what is sent from here. */
bool lithops__machines_are_arm(void);
/* A machine as a host of ssh's; texts are borrowed. */
void lithops__machine_host(const struct lithops__machines_options *options, const char *id,
                           const char *address, struct lithops__vm_host *ret_host);

/* ---- lease.c --------------------------------------------------------------------------------- */

/* The script of a new machine's first boot. NULL: out of memory */
char *lithops__lease_user_data(const struct lithops__machines_options *options);

struct lithops__lease {
    const struct lithops__machines_options *options;
    const char *id, *address;
    bool is_new;     /* its first boot may still be under way */
    bool is_guarded; /* it must have a guard, and gets one where it has none */
    bool is_shared;  /* others may have it at the same time */
    uint32_t timeout_s;
};
/* Connect by ssh, and get hold of the machine: what is talked to next is a shell that waits for
 * lithops__bootstrap(). EEXIST: another one has it; other errors as of lithops__vm_give_up(), by
 * which the child has ended then; retryable where no shell was reached. */
int lithops__lease_take(const struct lithops__lease *lease, int cancel_fd,
                        struct lithops__child *child, int *ret_fd, lithops_error *err);

/* ---- sweep.c --------------------------------------------------------------------------------- */

struct lithops__machine_sweeper;
int lithops__machine_sweeper_new(const struct lithops__machines_options *options,
                                 struct lithops__machine_sweeper **ret_sweeper, lithops_error *err);
/* End the rest, and wait for that: 2 s for a request that is under way, and then 10 s at most for
 * each hundred machines. NULL is fine. */
void lithops__machine_sweeper_free(struct lithops__machine_sweeper *sweeper);
/* Terminate a machine, soon, without waiting for it. */
void lithops__machine_sweeper_add(struct lithops__machine_sweeper *sweeper, const char *id);

/* `lithops clean` */
int lithops__machines_clean(const struct lithops__machines_options *options,
                            bool (*is_alive)(const char *executor_id), bool dry_run,
                            uint64_t *ret_removed, lithops_error *err);

/* ---- yard.c --------------------------------------------------------------------------------- */

struct lithops__machine_list {
    struct lithops__machine *each;
    size_t count;
};
/* Those that a query finds, for free() of `each`. */
int lithops__machines_list(const struct lithops__machines_options *options,
                           const struct lithops__machine_query *query,
                           const struct lithops__bounds *bounds,
                           struct lithops__machine_list *ret_list, lithops_error *err);
/* Where ssh finds it. NULL: it has no such address */
const char *lithops__machine_address(const struct lithops__machines_options *options,
                                     const struct lithops__machine *machine);

struct lithops__yard;
int lithops__yard_new(const struct lithops__machines_options *options, const char *executor,
                      struct lithops__yard **ret_yard, lithops_error *err);
void lithops__yard_free(struct lithops__yard *yard);

/* A machine that a worker of this executor has. */
struct lithops__hold {
    char id[LITHOPS__MACHINE_ID];
    bool is_made; /* here, just now */
    struct lithops__child child;
    uint64_t until_ns; /* its guard ends it then, whatever it does; 0: it has none */
};
/* Get hold of a machine, and of the shell there: one that is there, where the mode allows, else a
 * new one. On failure hold->id is a machine that was made for nothing, or "". */
int lithops__yard_take(struct lithops__yard *yard, int cancel_fd, struct lithops__hold *hold,
                       int *ret_fd, lithops_error *err);
/* The hold is over: the machine may be taken again by this executor; a useless one, on which no
 * worker could be started, after a minute. */
void lithops__yard_give_back(struct lithops__yard *yard, const char *id, bool is_useless);
/* The machines that this executor has made without learning of it, as the cloud's answer was lost.
 * For the mode create, once there are no holds. */
void lithops__yard_visit_lost(const struct lithops__yard *yard, lithops__machine_visit *visit,
                              void *user);

#endif
