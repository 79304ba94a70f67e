/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the certificates of this machine. */
#include "net/certificates.h"

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const files[] = {
    "/etc/ssl/certs/ca-certificates.crt", /* Debian, Ubuntu, Arch, Gentoo */
    "/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora, RHEL, Alma, Amazon */
    "/etc/ssl/ca-bundle.pem",             /* openSUSE */
    "/etc/ssl/cert.pem",                  /* Alpine */
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
};

const char *lithops__certificate_file(const char *own)
{
    static const char *const names[] = {"SSL_CERT_FILE", "CURL_CA_BUNDLE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *named = getenv(names[i]);
        if (named && *named)
            return named;
    }
    if (!own || access(own, R_OK) == 0)
        return NULL;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (access(files[i], R_OK) == 0)
            return files[i];
    return NULL;
}
