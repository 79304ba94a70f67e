/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance suite over localhost storage. */
#include "storage_folder.h"
#include "storage_suite.h"

static lithops_storage *open_localhost(void)
{
    return open_in_folder(&lithops__storage_localhost);
}

int main(void)
{
    const struct storage_suite suite = {
        .name = "localhost",
        .open = open_localhost,
        .close = close_in_folder,
        .keys_are_files = true,
        .reader_keeps_version = true,
    };
    return storage_suite_run(&suite);
}
