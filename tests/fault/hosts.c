/* SPDX-License-Identifier: Apache-2.0 */
#include "hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *hosts_folder;

void hosts_init(void)
{
    hosts_folder = getenv("LITHOPS_TEST_HOSTS_DIR");
    if (hosts_folder)
        return;
    fprintf(stderr, "run it by tests/servers/with-hosts\n");
    exit(1);
}

lithops_executor *hosts_open(const char *settings, int retries)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_value *section = lithops_value_from_json(settings, strlen(settings), &err);
    if (!section)
        fault_fail(__FILE__, __LINE__, err.message);
    return fault_open_links("vm", retries, section);
}

void hosts_refused(const char *settings, const char *host, const char *text)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = hosts_open(settings, 0);
    CHECK_INT(fault_call(fexec, fault_square, lithops_value_int(3), &err), LITHOPS_EBACKEND);
    if (!strstr(err.message, host) || !strstr(err.message, text))
        fault_fail(__FILE__, __LINE__, err.message);
    lithops_executor_close(fexec);
}

pid_t hosts_pid(const char *host)
{
    return fault_pid_in(hosts_folder, host);
}
