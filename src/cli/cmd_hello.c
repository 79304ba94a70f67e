/* SPDX-License-Identifier: Apache-2.0 */
/* lithops hello: does it work here? One call that says where it ran. */
#include "cli/commands.h"
#include "cli/run.h"

#include <stdlib.h>
#include <unistd.h>

LITHOPS_FUNCTION(hello)
{
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    const char *who = lithops_value_get_string(lithops_call_input(call));
    char text[512];
    snprintf(text, sizeof text, "Hello %s, from worker process %ld on %s", who ? who : "world",
             (long)getpid(), host);
    return lithops_return(call, "s", text);
}

static int say_hello(struct cli_run *run, lithops_error *err)
{
    const char *user = getenv("USER");
    lithops_value *who = lithops_value_string(user && *user ? user : "world");
    lithops_future *future =
        lithops_call_async(run->fexec, hello, who ? who : lithops_value_null(), NULL, err);
    if (!future)
        return err->code;
    lithops_futures *futures = lithops_futures_new(&future, 1);
    lithops_future_unref(future);
    run->out.raw = true;
    int rc = cli_run_add(run, futures, 0, 0, err);
    return rc == 0 ? cli_run_all(run, err) : rc;
}

int cmd_hello(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct cli_run run;
    int rc = cli_run_open(&run, cli, false, &err);
    if (rc == 0)
        rc = say_hello(&run, &err);
    return cli_run_finish(&run, rc, &err);
}
