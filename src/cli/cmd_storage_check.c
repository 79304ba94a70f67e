/* SPDX-License-Identifier: Apache-2.0 */
/* lithops storage check: configuration, connection, credentials, clock and permissions, one by one.
 *
 * What does not need a step that failed is tried all the same, so that one run tells all. It stores
 * an object of its own, and removes it. */
#include "base/error.h"
#include "cli/cmd_storage.h"
#include "cli/output.h"
#include "storage/storage.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct checking {
    const struct cli *cli;
    lithops_storage *storage;
    const char *bucket;
    char key[64];
    int failed; /* the first code */
};

static const lithops_bytes body = {"lithops storage check", 21};

static int check_put(struct checking *c, lithops_error *err)
{
    return lithops_storage_put(c->storage, c->bucket, c->key, body, err);
}

static int check_head(struct checking *c, lithops_error *err)
{
    lithops_object_info info;
    int rc = lithops_storage_head(c->storage, c->bucket, c->key, &info, err);
    return rc == 0 && info.size_bytes != body.len
               ? lithops__fail(err, LITHOPS_EIO, "the object has another size than was stored")
               : rc;
}

static int check_get(struct checking *c, lithops_error *err)
{
    void *data;
    size_t len;
    int rc = lithops_storage_get(c->storage, c->bucket, c->key, 0, SIZE_MAX, &data, &len, err);
    if (rc)
        return rc;
    if (len != body.len || memcmp(data, body.ptr, len) != 0)
        rc = lithops__fail(err, LITHOPS_EIO, "another content came back than was stored");
    free(data);
    return rc;
}

static int ignore(const lithops_object_info *info, void *user)
{
    (void)info;
    (void)user;
    return 0;
}

static int check_list(struct checking *c, lithops_error *err)
{
    return lithops_storage_list(c->storage, c->bucket, c->key, ignore, NULL, err);
}

static int check_put_new(struct checking *c, lithops_error *err)
{
    int rc = lithops_storage_put_new(c->storage, c->bucket, c->key, body, err);
    if (rc == LITHOPS_EEXIST)
        return 0;
    return rc ? rc
              : lithops__fail(err, LITHOPS_EUNSUPPORTED,
                              "the server does not know If-None-Match: it has replaced the object");
}

static int check_delete(struct checking *c, lithops_error *err)
{
    return lithops_storage_delete(c->storage, c->bucket, c->key, err);
}

static const struct {
    const char *name;
    int (*run)(struct checking *c, lithops_error *err);
} permissions[] = {
    {"put", check_put},   {"head", check_head},           {"get", check_get},
    {"list", check_list}, {"conditional", check_put_new}, {"delete", check_delete},
};

static void print(struct checking *c, const char *name, int code, const char *detail)
{
    bool supported = code != LITHOPS_EUNSUPPORTED;
    if (code && supported && !c->failed)
        c->failed = code;
    if (!c->cli->options.json) {
        printf("%-12s %-7s%s%s\n", name,
               code == 0   ? "ok"
               : supported ? "FAILED"
                           : "no",
               *detail ? "  " : "", detail);
    } else {
        lithops_value *line =
            lithops_pack("{s:s,s:b,s:s}", "check", name, "passed", code == 0, "message", detail);
        char *text;
        if (lithops_value_to_json(line, &text, NULL) == 0) {
            printf("%s\n", text);
            free(text);
        }
        lithops_value_free(line);
    }
    fflush(stdout);
}

static void say(const char *what, int code, const char *detail, void *user)
{
    print(user, what, code, detail);
}

int cmd_storage_check(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct checking c = {.cli = cli, .storage = cli_storage_open(cli, &err)};
    char detail[320];
    if (!c.storage)
        return cli_report(&err);
    c.bucket = cli->arguments.count ? cli->arguments.items[0] : lithops_storage_bucket(c.storage);
    snprintf(c.key, sizeof c.key, "lithops-check/%ld", (long)getpid());
    snprintf(detail, sizeof detail, "storage %s, bucket %s", lithops_storage_backend(c.storage),
             c.bucket);
    print(&c, "configured", 0, detail);
    /* Without a connection or credentials all of the rest fails for that reason. */
    bool reached = lithops__storage_describe(c.storage, c.bucket, say, &c) == 0;
    for (size_t i = 0; reached && i < sizeof permissions / sizeof *permissions; i++) {
        lithops_error found = LITHOPS_ERROR_INIT;
        int rc = permissions[i].run(&c, &found);
        print(&c, permissions[i].name, rc, rc ? found.message : "");
    }
    lithops_storage_close(c.storage);
    return c.failed == LITHOPS_EBACKEND || c.failed == LITHOPS_ETIMEDOUT ? 3 : c.failed ? 1 : 0;
}
