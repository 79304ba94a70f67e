/* SPDX-License-Identifier: Apache-2.0 */
/* Failing, delaying and truncating requests by plan.
 *
 * A failure comes before the wrapped backend is called, as if the server could not be reached, or
 * after it, as if the answer were lost: a repeated put has then already happened. A listing breaks
 * off after some objects were visited, as between two pages. */
#include "storage_fault.h"

#include "base/error.h"

#include <stdatomic.h>
#include <time.h>

static const lithops_storage_driver *inner;
static struct storage_fault_plan *plan;

/* Whether this request fails. */
static bool fails(void)
{
    unsigned number = __atomic_add_fetch(&plan->requests, 1, __ATOMIC_RELAXED);
    if (plan->delay_ms) {
        struct timespec delay = {.tv_sec = plan->delay_ms / 1000,
                                 .tv_nsec = (long)(plan->delay_ms % 1000) * 1000000};
        nanosleep(&delay, NULL);
    }
    bool failing = plan->every && number % plan->every == 0;
    if (plan->failures) {
        plan->failures--;
        failing = true;
    }
    if (failing)
        __atomic_add_fetch(&plan->failed, 1, __ATOMIC_RELAXED);
    return failing;
}

static int fault(const lithops_storage_op *op)
{
    int code =
        lithops__fail(op->err, plan->code ? plan->code : LITHOPS_ETHROTTLED, "planned fault");
    op->err->retryable = !plan->permanent;
    return code;
}

/* One request: fail before it, after it, or not at all. */
#define REQUEST(call)                                                                              \
    do {                                                                                           \
        bool failing = fails();                                                                    \
        if (failing && !plan->late)                                                                \
            return fault(op);                                                                      \
        int rc_ = (call);                                                                          \
        return failing && rc_ == 0 ? fault(op) : rc_;                                              \
    } while (0)

static int fault_open(void *state, const lithops_value *settings, const lithops_storage_op *op)
{
    return inner->ops->open(state, settings, op);
}

static void fault_close(void *state)
{
    inner->ops->close(state);
}

static int fault_put(void *state, const char *bucket, const char *key, lithops_bytes body,
                     const lithops_storage_op *op)
{
    REQUEST(inner->ops->put(state, bucket, key, body, op));
}

static int fault_put_new(void *state, const char *bucket, const char *key, lithops_bytes body,
                         const lithops_storage_op *op)
{
    return inner->ops->put_new(state, bucket, key, body, op); /* an answer that is lost is seen */
}

static int fault_make_bucket(void *state, const char *bucket, const lithops_storage_op *op)
{
    REQUEST(inner->ops->make_bucket(state, bucket, op));
}

static int fault_put_fd(void *state, const char *bucket, const char *key, int fd,
                        const lithops_storage_op *op)
{
    REQUEST(inner->ops->put_fd(state, bucket, key, fd, op));
}

static int fault_read(void *state, const char *bucket, const char *key,
                      lithops_storage_cursor *cursor, uint64_t offset, void *buf, size_t len,
                      size_t *ret_len, const lithops_storage_op *op)
{
    bool failing = fails();
    if (failing && !plan->half)
        return fault(op);
    int rc = inner->ops->read(state, bucket, key, cursor, offset, buf, len, ret_len, op);
    if (rc == 0 && failing)
        *ret_len /= 2;
    return rc;
}

static int fault_head(void *state, const char *bucket, const char *key,
                      lithops_object_info *ret_info, const lithops_storage_op *op)
{
    REQUEST(inner->ops->head(state, bucket, key, ret_info, op));
}

struct half {
    int (*visit)(const lithops_object_info *info, void *user);
    void *user;
    size_t left;
    bool broken;
};

static int visit_half(const lithops_object_info *info, void *user)
{
    struct half *half = user;
    half->broken = half->left == 0;
    if (half->broken)
        return 1;
    half->left--;
    return half->visit(info, half->user);
}

static int count_object(const lithops_object_info *info, void *user)
{
    (void)info;
    ++*(size_t *)user;
    return 0;
}

static int fault_list(void *state, const char *bucket, const char *prefix, const char *after,
                      int (*visit)(const lithops_object_info *info, void *user), void *user,
                      const lithops_storage_op *op)
{
    bool failing = fails();
    if (failing && !plan->half)
        return fault(op);
    if (!failing)
        return inner->ops->list(state, bucket, prefix, after, visit, user, op);
    struct half half = {.visit = visit, .user = user};
    size_t count = 0;
    int rc = inner->ops->list(state, bucket, prefix, after, count_object, &count, op);
    half.left = count / 2;
    if (rc == 0)
        rc = inner->ops->list(state, bucket, prefix, after, visit_half, &half, op);
    return half.broken ? fault(op) : rc;
}

static int fault_del(void *state, const char *bucket, const char *key, const lithops_storage_op *op)
{
    REQUEST(inner->ops->del(state, bucket, key, op));
}

static int fault_del_many(void *state, const char *bucket, const char *const *keys, size_t count,
                          const lithops_storage_op *op)
{
    REQUEST(inner->ops->del_many(state, bucket, keys, count, op));
}

static int fault_path(void *state, const char *bucket, const char *key, char *buf, size_t size,
                      const lithops_storage_op *op)
{
    return inner->ops->path(state, bucket, key, buf, size, op);
}

const lithops_storage_driver *storage_fault_wrap(const lithops_storage_driver *wrapped,
                                                 struct storage_fault_plan *the_plan)
{
    static lithops_storage_ops ops;
    static lithops_storage_driver driver;
    inner = wrapped;
    plan = the_plan;
    ops = (lithops_storage_ops){.open = fault_open,
                                .close = fault_close,
                                .put = fault_put,
                                .put_new = wrapped->ops->put_new ? fault_put_new : NULL,
                                .make_bucket = wrapped->ops->make_bucket ? fault_make_bucket : NULL,
                                .put_fd = wrapped->ops->put_fd ? fault_put_fd : NULL,
                                .read = fault_read,
                                .head = fault_head,
                                .list = fault_list,
                                .del = fault_del,
                                .del_many = wrapped->ops->del_many ? fault_del_many : NULL,
                                .path = wrapped->ops->path ? fault_path : NULL};
    driver = *wrapped;
    driver.ops = &ops;
    return &driver;
}
