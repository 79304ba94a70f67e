/* SPDX-License-Identifier: Apache-2.0 */
/* Images of containers, after the specifications of the OCI: the engine is one small layer over a
 * base image, or over nothing. They are pushed to a registry, or written to a file, without docker.
 */
#ifndef LITHOPS_COMPUTE_OCI_H
#define LITHOPS_COMPUTE_OCI_H

#include "base/buffer.h"
#include "base/crypto_module.h"
#include "compute/compute.h"
#include "net/http.h"

#include <lithops/value.h>

enum {
    LITHOPS__OCI_NAME = 256,
    LITHOPS__OCI_DIGEST = 7 + LITHOPS__HEX_HASH, /* "sha256:...", with its NUL */
};

/* ---- layer.c --------------------------------------------------------------------------------- */

/* Append the layer of the engine, a tar archive: /usr/local/bin/lithops and its modules.
 * @param whole  also what it needs of a system, as there is nothing below: the C library,
 *               certificates of authorities, /tmp */
int lithops__oci_layer(bool whole, struct lithops__buffer *out, lithops_error *err);

/* Parts of an archive: a header and the bytes; `mode` as chmod(2) has it. A name that ends with
 * '/' is a folder. */
void lithops__tar_add(struct lithops__buffer *out, const char *name, unsigned mode,
                      lithops_bytes bytes);
void lithops__tar_header(struct lithops__buffer *out, const char *name, unsigned mode,
                         uint64_t size);
void lithops__tar_pad(struct lithops__buffer *out, uint64_t size);
void lithops__tar_end(struct lithops__buffer *out);

/* ---- login.c --------------------------------------------------------------------------------- */

/* One of them at most: both are NULL where nobody has logged in. */
struct lithops__oci_login {
    char *basic;    /* "USER:PASSWORD" in base64 */
    char *identity; /* what others than the registry take in place of a password: a refresh token */
};
/* What `docker login`, `podman login` or a cloud's tool has noted for a registry;
 * lithops__oci_forget_login(). ECONFIG: a file that is not of that kind. */
int lithops__oci_login(const char *registry, struct lithops__oci_login *ret_login,
                       lithops_error *err);
void lithops__oci_forget_login(struct lithops__oci_login *login);

/* ---- registry.c ------------------------------------------------------------------------------ */

/* "[REGISTRY/]REPOSITORY[:TAG|@DIGEST]", as docker reads it. */
struct lithops__oci_name {
    char registry[LITHOPS__OCI_NAME];   /* "docker.io", "localhost:5000" */
    char repository[LITHOPS__OCI_NAME]; /* "library/python" */
    char reference[LITHOPS__OCI_NAME];  /* a tag, or a digest */
};
/* "sha256:" and 64 digits. */
bool lithops__oci_is_digest(const char *text);
/* ECONFIG: it is none. */
int lithops__oci_name(const char *text, struct lithops__oci_name *ret_name, lithops_error *err);

struct lithops__oci_registry; /* one repository; one thread at a time */
/* Nothing is sent. */
int lithops__oci_open(const struct lithops__oci_name *name,
                      struct lithops__oci_registry **ret_registry, lithops_error *err);
void lithops__oci_close(struct lithops__oci_registry *registry); /* NULL is fine */

/* The manifest of `reference`, a tag or a digest; lithops_value_free(). ENOTFOUND. `ret_digest` may
 * be NULL. */
int lithops__oci_manifest(struct lithops__oci_registry *registry, const char *reference,
                          lithops_value **ret_manifest, char ret_digest[LITHOPS__OCI_DIGEST],
                          lithops_error *err);
int lithops__oci_put_manifest(struct lithops__oci_registry *registry, const char *reference,
                              const char *json, lithops_error *err);
/* A blob of that digest, which is checked, in `out`, instead of what was there. */
int lithops__oci_blob(struct lithops__oci_registry *registry, const char *digest, uint64_t most,
                      struct lithops__buffer *out, lithops_error *err);
/* The same into a file. */
int lithops__oci_blob_to(struct lithops__oci_registry *registry, const char *digest, int fd,
                         lithops_error *err);
/* Whether it is there, or could be taken from another repository of the same registry (`from`;
 * NULL: none). */
int lithops__oci_has_blob(struct lithops__oci_registry *registry, const char *digest,
                          const char *from, bool *ret_has, lithops_error *err);
/* Send it. */
int lithops__oci_put_blob(struct lithops__oci_registry *registry, const char *digest,
                          lithops_bytes bytes, lithops_error *err);
int lithops__oci_put_blob_of(struct lithops__oci_registry *registry, const char *digest, int fd,
                             uint64_t size, lithops_error *err);

/* ---- image.c --------------------------------------------------------------------------------- */

struct lithops__oci_image;
struct lithops__oci_wanted {
    const char *name;           /* that it gets */
    const char *base;           /* the name of another one; NULL: none */
    const char *const *command; /* what it runs, ends with NULL */
    const lithops_value *labels;
};
/* All but the blobs of the base, of which only manifest and configuration are read. */
int lithops__oci_make(const struct lithops__oci_wanted *wanted,
                      struct lithops__oci_image **ret_image, lithops_error *err);
void lithops__oci_free(struct lithops__oci_image *image); /* NULL is fine */
/* @param ret_sent  bytes that the registry lacked */
int lithops__oci_push(struct lithops__oci_image *image, uint64_t *ret_sent, lithops_error *err);
/* Complete, or not at all, as an archive that `docker load`, `podman load` and `ctr image import`
 * take, and that is a layout of the OCI when it is unpacked. */
int lithops__oci_save(struct lithops__oci_image *image, const char *path, uint64_t *ret_bytes,
                      lithops_error *err);

/* The labels of an image in its registry; ENOTFOUND: there is none of that name. */
int lithops__oci_labels(const char *name, lithops_value **ret_labels, lithops_error *err);

/* Which Pythons a base has, with their modules (see modules.c); lithops_value_free(). Its layers
 * are read for it. */
int lithops__oci_look(const char *base, lithops_value **ret_pythons, lithops_error *err);

/* ---- modules.c ------------------------------------------------------------------------------- */

/* Note in the map `seen` what the names of a layer's files, a line each, tell of Pythons and of
 * their modules. Layers come from below; `path` is the search path of programs. LITHOPS_ENOMEM. */
int lithops__oci_note(lithops_value *seen, char *names, const char *path);
/* The same of a layer, by the program tar. EDENIED: it has failed. */
int lithops__oci_note_layer(lithops_value *seen, int fd, const char *path, lithops_error *err);
/* A map of the versions of the Pythons in the search path to sorted lists of their modules, as
 * {"3.12": ["numpy", "six"]}, or to null, where they are not known; lithops_value_free(). Null:
 * which Pythons there are is not known. NULL: out of memory. */
lithops_value *lithops__oci_pythons(const lithops_value *seen, const char *path);

/* ---- runtimes.c ------------------------------------------------------------------------------ */

/* Of backends whose workers run in containers. */
extern const struct lithops__runtime_ops lithops__image_runtimes;

#endif
