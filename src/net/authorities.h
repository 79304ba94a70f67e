/* SPDX-License-Identifier: Apache-2.0 */
/* The authorities that this machine trusts, read once for all connections of the process: they are
 * some 140 certificates, and reading them takes longer than the rest of a TLS session. Part of the
 * module "http". */
#ifndef LITHOPS_NET_AUTHORITIES_H
#define LITHOPS_NET_AUTHORITIES_H

#include <curl/curl.h>

#include <stdbool.h>

/* Let a handle trust the system's authorities, see lithops__certificate_file(); it reads them by
 * itself. False: out of memory. Thread-safe, as the next one. */
bool lithops__authorities_set(CURL *easy);

/* Before the first request over https of a handle with lithops__authorities_set(): it uses the
 * authorities that others have read. Where libcurl does not have TLS from a shared OpenSSL, or the
 * file cannot be read, the handle stays as it is. A file that has changed is read again.
 * False: out of memory. */
bool lithops__authorities_share(CURL *easy);

#endif
