/* SPDX-License-Identifier: Apache-2.0 */
/* The test program as the `lithops` command of the backend process: it sits between the client and
 * the real `lithops worker`, and shows a fault once a number of bytes have passed. */
#ifndef LITHOPS_TESTS_PROXY_H
#define LITHOPS_TESTS_PROXY_H

#include <stdbool.h>
#include <stddef.h>

enum proxy_fault {
    PROXY_NOISE_UP = 1, /* the client receives bytes that are not a frame */
    PROXY_NOISE_DOWN,   /* the worker receives such bytes */
    PROXY_CUT,          /* the link is cut, even in the middle of a frame */
    PROXY_EXIT,         /* the worker's end is closed, as if the worker ended by itself */
};

/* The first line of main(): does not return in the proxy. */
void proxy_main(int argc, char **argv);
/* The next link over proxy_command() shows this fault after `bytes` bytes from the worker; later
 * links show none. */
void proxy_set(enum proxy_fault fault, size_t bytes);
/* Remove what proxy_set() created. */
void proxy_clear(void);
/* For the key `command` of the section process. */
const char *proxy_command(void);

#endif
