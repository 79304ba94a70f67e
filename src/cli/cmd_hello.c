/* SPDX-License-Identifier: Apache-2.0 */
/* lithops hello: one call that says where it ran. Does Lithops work here? */
#include "base/error.h"
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
    int64_t calls = run->options->hello_calls == LITHOPS_DEFAULT ? 1 : run->options->hello_calls;
    lithops_value *inputs = lithops_value_list();
    int rc = inputs && who ? 0 : LITHOPS_ENOMEM;
    for (int64_t i = 0; rc == 0 && i < calls; i++)
        rc = lithops_value_append(inputs, lithops_value_copy(who));
    lithops_value_free(who);
    if (rc) {
        lithops_value_free(inputs);
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    }
    lithops_futures *futures = lithops_map(run->fexec, hello, inputs, NULL, err);
    if (!futures)
        return err->code;
    run->out.raw = true;
    rc = cli_run_add(run, futures, 0, 0, err);
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
