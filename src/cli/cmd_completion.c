/* SPDX-License-Identifier: Apache-2.0 */
/* lithops completion bash|zsh|fish */
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"

int cmd_completion(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    return cli_print_completion(stdout, cli->arguments.items[0], &err) ? cli_report(&err) : 0;
}
