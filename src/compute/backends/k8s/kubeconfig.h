/* SPDX-License-Identifier: Apache-2.0 */
/* How a cluster is reached: a kubeconfig, or the account of a pod. */
#ifndef LITHOPS_K8S_KUBECONFIG_H
#define LITHOPS_K8S_KUBECONFIG_H

#include <lithops/base.h>
#include <lithops/error.h>
#include <lithops/value.h>

/* Texts are its own. NULL: not given. Paths are absolute, or as good as those of the program. */
struct lithops__k8s_access {
    char *origin; /* the files, or "the pod's service account", for messages */
    char *context;
    char *server; /* its URL, without a slash at the end */
    char *server_name, *proxy, *namespace;
    char *authorities_file, *certificate_file, *key_file, *token_file;
    char *authorities, *certificate, *key; /* in PEM; they win over files */
    char *token;
    bool any_certificate;
    lithops_value *exec; /* of a plugin: command, args, env, version, hint, wants_cluster, folder;
                          * NULL: none */
};
void lithops__k8s_access_deinit(struct lithops__k8s_access *access);

struct lithops__k8s_file {
    const char *path; /* for messages, and the folder that its paths are relative to */
    const char *text;
    size_t len;
};
/* Of several files the first that names something wins. No other file is read.
 * @param context  NULL: the current one
 * @return 0; ECONFIG, and the message holds no secret; ENOMEM; EUNSUPPORTED: there is no libyaml */
int lithops__k8s_access_parse(const struct lithops__k8s_file *files, size_t count,
                              const char *context, struct lithops__k8s_access *ret_access,
                              lithops_error *err);
/* From `path`; else from the files of KUBECONFIG; else from ~/.kube/config; else, in a pod, from
 * its service account. Files that these name are not read yet, but for the pod's namespace.
 * @param path, context  NULL: not configured */
int lithops__k8s_access_find(const char *path, const char *context,
                             struct lithops__k8s_access *ret_access, lithops_error *err);

/* A file of text, up to 1 MiB of it, NUL-terminated; for lithops__secret_free(). NULL, and an
 * error. */
char *lithops__k8s_read_file(const char *path, lithops_error *err);

#endif
