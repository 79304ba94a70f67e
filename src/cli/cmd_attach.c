/* SPDX-License-Identifier: Apache-2.0 */
/* lithops attach: a shell on a host. */
#include "cli/commands.h"
#include "cli/job.h"
#include "cli/options.h"
#include "cli/output.h"
#include "config/config.h"
#include "core/probe.h"

int cmd_attach(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__config *config = NULL;
    const char *host = cli->arguments.count ? cli->arguments.items[0] : NULL;
    if (cli_load_hosts(&cli->options, &config, &err) == 0)
        (void)lithops__attach_backend(config, host, &err); /* this is ssh now, or it has failed */
    lithops__config_free(config);
    return cli_report(&err);
}
