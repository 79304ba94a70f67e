/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of backends on services of AWS have in common: their configuration, with the
 * storage of tests/servers/with-s3, the command of this build, and what /proc has of workers. */
#ifndef LITHOPS_TESTS_AWS_PARTS_H
#define LITHOPS_TESTS_AWS_PARTS_H

#include <lithops/value.h>

#include <limits.h>
#include <stddef.h>

extern char aws_command[PATH_MAX + 32]; /* the path of `lithops`, once aws_deploy() was called */

lithops_value *aws_storage_settings(void);
/* The backend's section, which is taken, with the size of its pool. */
lithops_value *aws_pool(lithops_value *section, int workers, int processes);

/* This process and what it starts use the backend, by LITHOPS_CONFIG, with a storage that speaks
 * S3's protocol; `section` is taken. Then a runtime is deployed. False: it was not, and the reason
 * is printed. */
bool aws_deploy(const char *backend, lithops_value *section, const char *storage);

/* Run `lithops ARGUMENTS`. @return its exit status; `buf` has what it wrote */
int aws_run(const char *arguments, char *buf, size_t size);
#define says(arguments, status, part) aws_check_says(arguments, status, part, __LINE__)
void aws_check_says(const char *arguments, int status, const char *part, int line);

/* The file /proc/PID/NAME, with a NUL behind it; "": there is none. @return its length */
size_t aws_read_proc(const char *pid, const char *name, char *buf, size_t size);

#endif
