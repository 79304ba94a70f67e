/* SPDX-License-Identifier: Apache-2.0 */
/* Where this machine keeps the certificates of trusted authorities. */
#ifndef LITHOPS_NET_CERTIFICATES_H
#define LITHOPS_NET_CERTIFICATES_H

/* The file to trust: the one named by SSL_CERT_FILE or CURL_CA_BUNDLE; NULL, which is the library's
 * own choice, if `own`, the file it was built to use, exists or is NULL; else that of another
 * distribution, NULL if there is none. A library in a wheel was configured on one distribution and
 * runs on all. Valid until the environment changes. Thread-safe. */
const char *lithops__certificate_file(const char *own);

#endif
