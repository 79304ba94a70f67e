/* SPDX-License-Identifier: Apache-2.0 */
/* An image: what a base has, and one more layer. Of the base only manifest and configuration are
 * read, and its blobs stay what they are: a registry that has them is told to use them. */
#include "base/error.h"
#include "base/module.h"
#include "compute/oci/oci.h"
#include "net/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { DOCUMENT_MAX = 4 << 20, MOST_LAYERS = 200 };

#define OCI "application/vnd.oci.image."
#define PATH_DEFAULT "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Bytes that have a name. */
struct blob {
    char digest[LITHOPS__OCI_DIGEST];
    lithops_bytes bytes;
};

struct lithops__oci_image {
    const struct lithops__crypto_api *crypto;
    struct lithops__oci_name name, base_name;
    struct lithops__oci_registry *base; /* NULL: over nothing */
    struct lithops__buffer tar;
    lithops_value *layers; /* descriptors, of which the last one is ours */
    char *config_text, *manifest_text;
    struct blob layer, config, manifest;
};

static int no_memory(lithops_error *err)
{
    return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
}

static const char *text_at(const lithops_value *map, const char *key)
{
    const char *text = lithops_value_get_string(lithops_value_get(map, key));
    return text ? text : "";
}

static int name_blob(const struct lithops__crypto_api *crypto, const void *data, size_t len,
                     struct blob *ret_blob, lithops_error *err)
{
    ret_blob->bytes = (lithops_bytes){data, len};
    memcpy(ret_blob->digest, "sha256:", 7);
    return lithops__hex_sha256(crypto, ret_blob->bytes, ret_blob->digest + 7) == 0 ? 0
                                                                                   : no_memory(err);
}

/* As images call this machine. */
static const char *architecture(void)
{
    static const char *const names[][2] = {{"x86_64", "amd64"},
                                           {"aarch64", "arm64"},
                                           {"ppc64le", "ppc64le"},
                                           {"s390x", "s390x"},
                                           {"riscv64", "riscv64"}};
    struct utsname system = {.machine = ""};
    uname(&system);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(system.machine, names[i][0]) == 0)
            return names[i][1];
    return "unknown";
}

/* ---- the base -------------------------------------------------------------------------------- */

/* Of an index, the manifest for this machine; consumed. */
static int choose(struct lithops__oci_registry *registry, const char *name,
                  lithops_value **manifest, lithops_error *err)
{
    const lithops_value *list = lithops_value_get(*manifest, "manifests");
    if (lithops_value_type(list) != LITHOPS_LIST)
        return 0;
    char digest[LITHOPS__OCI_DIGEST] = "";
    for (size_t i = 0; i < lithops_value_size(list) && !digest[0]; i++) {
        const lithops_value *one = lithops_value_at(list, i);
        const lithops_value *platform = lithops_value_get(one, "platform");
        if (strcmp(text_at(platform, "os"), "linux") == 0 &&
            strcmp(text_at(platform, "architecture"), architecture()) == 0)
            snprintf(digest, sizeof digest, "%s", text_at(one, "digest"));
    }
    lithops_value_free(*manifest);
    *manifest = NULL;
    if (!lithops__oci_is_digest(digest))
        return lithops__fail(err, LITHOPS_EUNSUPPORTED, "the image %s has no version for linux/%s",
                             name, architecture());
    return lithops__oci_manifest(registry, digest, manifest, NULL, err);
}

static int open_registry(const char *text, struct lithops__oci_name *name,
                         struct lithops__oci_registry **ret_registry, lithops_error *err)
{
    int rc = lithops__oci_name(text, name, err);
    return rc == 0 ? lithops__oci_open(name, ret_registry, err) : rc;
}

/* Manifest and configuration. */
static int read_image(struct lithops__oci_registry *registry, const char *name,
                      const char *reference, lithops_value **ret_manifest,
                      lithops_value **ret_config, lithops_error *err)
{
    struct lithops__buffer text = LITHOPS__BUFFER_INIT;
    lithops_value *manifest = NULL, *config = NULL;
    int rc = lithops__oci_manifest(registry, reference, &manifest, NULL, err);
    if (rc == 0)
        rc = choose(registry, name, &manifest, err);
    const char *digest = text_at(lithops_value_get(manifest, "config"), "digest");
    if (rc == 0 && !digest[0])
        rc = lithops__fail(err, LITHOPS_EUNSUPPORTED, "the image %s is of a kind of before 2016",
                           name);
    else if (rc == 0 && !lithops__oci_is_digest(digest))
        rc = lithops__fail(err, LITHOPS_EUNSUPPORTED,
                           "the configuration of the image %s is '%.100s', which is no sha256",
                           name, digest);
    if (rc == 0)
        rc = lithops__oci_blob(registry, digest, DOCUMENT_MAX, &text, err);
    if (rc == 0 && !(config = lithops_value_from_json((const char *)text.data, text.len, err)))
        rc = err->code;
    lithops__buffer_deinit(&text);
    if (rc == 0) {
        *ret_manifest = manifest;
        *ret_config = config;
        return 0;
    }
    lithops_value_free(manifest);
    return rc;
}

int lithops__oci_labels(const char *name, lithops_value **ret_labels, lithops_error *err)
{
    struct lithops__oci_name parsed;
    struct lithops__oci_registry *registry = NULL;
    lithops_value *manifest = NULL, *config = NULL;
    int rc = open_registry(name, &parsed, &registry, err);
    if (rc == 0)
        rc = read_image(registry, name, parsed.reference, &manifest, &config, err);
    if (rc == 0) {
        const lithops_value *labels =
            lithops_value_get(lithops_value_get(config, "config"), "Labels");
        *ret_labels = lithops_value_type(labels) == LITHOPS_MAP ? lithops_value_copy(labels)
                                                                : lithops_value_map();
        rc = *ret_labels ? 0 : no_memory(err);
    }
    lithops_value_free(manifest);
    lithops_value_free(config);
    lithops__oci_close(registry);
    return rc;
}

/* ---- the configuration ----------------------------------------------------------------------- */

static lithops_value *copy_of(const lithops_value *value, lithops_type type)
{
    if (lithops_value_type(value) == type)
        return lithops_value_copy(value);
    return type == LITHOPS_MAP ? lithops_value_map() : lithops_value_list();
}

static bool set(lithops_value *map, const char *key, lithops_value *item)
{
    return item && lithops_value_set(map, key, item) == 0;
}

static bool add_text(lithops_value *list, const char *text)
{
    return lithops_value_append(list, lithops_value_string(text)) == 0;
}

/* The variables of the base, and what the engine needs: libraries of functions link liblithops. */
static lithops_value *make_env(const lithops_value *base, bool is_whole)
{
    static const char path[] = "PATH=", libraries[] = "LD_LIBRARY_PATH=";
    lithops_value *env = lithops_value_list();
    bool good = env != NULL, has_path = false, has_libraries = false;
    for (size_t i = 0; good && i < lithops_value_size(base); i++) {
        const char *text = lithops_value_get_string(lithops_value_at(base, i));
        char *longer = NULL;
        bool is_libraries = text && strncmp(text, libraries, sizeof libraries - 1) == 0;
        has_path = has_path || (text && strncmp(text, path, sizeof path - 1) == 0);
        has_libraries = has_libraries || is_libraries;
        if (is_libraries && asprintf(&longer, "%s:/usr/local/lib", text) < 0)
            longer = NULL;
        good = text && (longer || !is_libraries) && add_text(env, longer ? longer : text);
        free(longer);
    }
    good = good && (has_path || add_text(env, PATH_DEFAULT)) &&
           (has_libraries || add_text(env, "LD_LIBRARY_PATH=/usr/local/lib")) &&
           (!is_whole || add_text(env, "HOME=/root"));
    if (good)
        return env;
    lithops_value_free(env);
    return NULL;
}

/* What a container of it runs, and sees. */
static lithops_value *make_run(const struct lithops__oci_wanted *wanted, const lithops_value *base)
{
    lithops_value *run = copy_of(base, LITHOPS_MAP);
    lithops_value *env = make_env(lithops_value_get(base, "Env"), !base);
    lithops_value *labels = copy_of(lithops_value_get(base, "Labels"), LITHOPS_MAP);
    lithops_value *command = lithops_value_list();
    bool good = run && env && labels && command;
    for (const char *const *word = wanted->command; good && *word; word++)
        good = add_text(command, *word);
    for (size_t i = 0; good && i < lithops_value_size(wanted->labels); i++) {
        const char *key;
        const lithops_value *value = lithops_value_pair(wanted->labels, i, &key);
        good = set(labels, key, lithops_value_copy(value));
    }
    if (!good) {
        lithops_value_free(env);
        lithops_value_free(labels);
        lithops_value_free(command);
    } else {
        good = set(run, "Env", env) && set(run, "Labels", labels) && set(run, "Cmd", command) &&
               set(run, "Entrypoint", lithops_value_null());
    }
    if (good)
        return run;
    lithops_value_free(run);
    return NULL;
}

static int make_config(struct lithops__oci_image *image, const struct lithops__oci_wanted *wanted,
                       const lithops_value *base, lithops_error *err)
{
    lithops_value *config = copy_of(base, LITHOPS_MAP);
    lithops_value *ids =
        copy_of(lithops_value_get(lithops_value_get(base, "rootfs"), "diff_ids"), LITHOPS_LIST);
    lithops_value *history = copy_of(lithops_value_get(base, "history"), LITHOPS_LIST);
    size_t below = lithops_value_size(image->layers);
    int rc = 0;
    if (lithops_value_size(ids) != below)
        rc = lithops__fail(err, LITHOPS_EUNSUPPORTED,
                           "the base image has %zu layers, and names %zu of them", below,
                           lithops_value_size(ids));
    bool good = config && ids && history && add_text(ids, image->layer.digest);
    /* A base without a history has none, or its layers and it would not fit together. */
    if (good && (below == 0 || lithops_value_size(history) > 0))
        good = lithops_value_append(history,
                                    lithops_pack("{s:s}", "created_by", "lithops runtime")) == 0;
    good = good && set(config, "architecture", lithops_value_string(architecture())) &&
           set(config, "os", lithops_value_string("linux")) &&
           set(config, "config", make_run(wanted, lithops_value_get(base, "config")));
    lithops_value *root =
        good ? lithops_pack("{s:s,s:o}", "type", "layers", "diff_ids", ids) : NULL;
    if (!root) {
        lithops_value_free(ids);
        lithops_value_free(history);
    } else {
        good = set(config, "rootfs", root);
        good = set(config, "history", history) && good;
    }
    if (rc == 0)
        rc =
            root && good ? lithops_value_to_json(config, &image->config_text, err) : no_memory(err);
    lithops_value_free(config);
    return rc ? rc
              : name_blob(image->crypto, image->config_text, strlen(image->config_text),
                          &image->config, err);
}

/* ---- the manifest ---------------------------------------------------------------------------- */

/* The layers of the base, by the names that the OCI has for their kinds. */
static int take_layers(struct lithops__oci_image *image, const lithops_value *manifest,
                       lithops_error *err)
{
    static const char *const kinds[][2] = {
        {"application/vnd.docker.image.rootfs.diff.tar.gzip", OCI "layer.v1.tar+gzip"},
        {"application/vnd.docker.image.rootfs.diff.tar", OCI "layer.v1.tar"},
        {OCI "layer.v1.tar+gzip", OCI "layer.v1.tar+gzip"},
        {OCI "layer.v1.tar+zstd", OCI "layer.v1.tar+zstd"},
        {OCI "layer.v1.tar", OCI "layer.v1.tar"}};
    const lithops_value *layers = lithops_value_get(manifest, "layers");
    if (lithops_value_size(layers) > MOST_LAYERS)
        return lithops__fail(err, LITHOPS_EUNSUPPORTED, "the base image has %zu layers",
                             lithops_value_size(layers));
    for (size_t i = 0; i < lithops_value_size(layers); i++) {
        const lithops_value *layer = lithops_value_at(layers, i);
        const char *kind = text_at(layer, "mediaType"), *name = NULL;
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds && !name; k++)
            if (strcmp(kind, kinds[k][0]) == 0)
                name = kinds[k][1];
        if (!name || !lithops__oci_is_digest(text_at(layer, "digest")))
            return lithops__fail(err, LITHOPS_EUNSUPPORTED,
                                 "a layer of the base image is '%.100s' (%.100s), which is not "
                                 "known",
                                 kind, text_at(layer, "digest"));
        if (lithops_value_append(
                image->layers,
                lithops_pack("{s:s,s:s,s:I}", "mediaType", name, "digest", text_at(layer, "digest"),
                             "size", lithops_value_get_int(lithops_value_get(layer, "size")))) != 0)
            return no_memory(err);
    }
    return 0;
}

static int make_manifest(struct lithops__oci_image *image, lithops_error *err)
{
    int rc = lithops_value_append(
        image->layers, lithops_pack("{s:s,s:s,s:I}", "mediaType", OCI "layer.v1.tar", "digest",
                                    image->layer.digest, "size", (int64_t)image->layer.bytes.len));
    lithops_value *manifest =
        rc == 0 ? lithops_pack("{s:i,s:s,s:{s:s,s:s,s:I},s:O}", "schemaVersion", 2, "mediaType",
                               OCI "manifest.v1+json", "config", "mediaType", OCI "config.v1+json",
                               "digest", image->config.digest, "size",
                               (int64_t)image->config.bytes.len, "layers", image->layers)
                : NULL;
    rc = manifest ? lithops_value_to_json(manifest, &image->manifest_text, err) : no_memory(err);
    lithops_value_free(manifest);
    return rc ? rc
              : name_blob(image->crypto, image->manifest_text, strlen(image->manifest_text),
                          &image->manifest, err);
}

/* ---- making ---------------------------------------------------------------------------------- */

void lithops__oci_free(struct lithops__oci_image *image)
{
    if (!image)
        return;
    lithops__oci_close(image->base);
    lithops__buffer_deinit(&image->tar);
    lithops_value_free(image->layers);
    free(image->config_text);
    free(image->manifest_text);
    free(image);
}

/* What is over it runs on its machine alone. */
static int check_machine(const char *name, const lithops_value *config, lithops_error *err)
{
    const char *machine = text_at(config, "architecture"), *system = text_at(config, "os");
    if (strcmp(machine, architecture()) == 0 && strcmp(system, "linux") == 0)
        return 0;
    return lithops__fail(err, LITHOPS_EUNSUPPORTED,
                         "the base image %s is for %.50s/%.50s, and this machine is linux/%s", name,
                         system, machine, architecture());
}

static int make(struct lithops__oci_image *image, const struct lithops__oci_wanted *wanted,
                lithops_error *err)
{
    lithops_value *manifest = NULL, *config = NULL;
    image->crypto = lithops__module_symbol("crypto", "lithops__crypto", err);
    if (!image->crypto)
        return err->code;
    int rc = lithops__oci_name(wanted->name, &image->name, err);
    if (rc == 0 && lithops__oci_is_digest(image->name.reference))
        rc = lithops__fail(err, LITHOPS_ECONFIG,
                           "'%.200s' names what there is, by its digest; a new image needs "
                           "REGISTRY/REPOSITORY:TAG",
                           wanted->name);
    if (rc == 0 && wanted->base)
        rc = open_registry(wanted->base, &image->base_name, &image->base, err);
    if (rc == 0 && wanted->base)
        rc = read_image(image->base, wanted->base, image->base_name.reference, &manifest, &config,
                        err);
    if (rc == 0 && wanted->base)
        rc = check_machine(wanted->base, config, err);
    if (rc == 0)
        rc = lithops__oci_layer(!wanted->base, &image->tar, err);
    if (rc == 0)
        rc = name_blob(image->crypto, image->tar.data, image->tar.len, &image->layer, err);
    if (rc == 0)
        rc = take_layers(image, manifest, err);
    if (rc == 0)
        rc = make_config(image, wanted, config, err);
    if (rc == 0)
        rc = make_manifest(image, err);
    lithops_value_free(manifest);
    lithops_value_free(config);
    return rc;
}

int lithops__oci_make(const struct lithops__oci_wanted *wanted,
                      struct lithops__oci_image **ret_image, lithops_error *err)
{
    struct lithops__oci_image *image = calloc(1, sizeof *image);
    if (!image || !(image->layers = lithops_value_list())) {
        free(image);
        return no_memory(err);
    }
    int rc = make(image, wanted, err);
    if (rc == 0)
        *ret_image = image;
    else
        lithops__oci_free(image);
    return rc;
}

/* ---- pushing --------------------------------------------------------------------------------- */

/* A layer of the base in a file of its own, which nothing but its descriptor names. */
static int fetch_layer(struct lithops__oci_image *image, const lithops_value *layer, int *ret_fd,
                       uint64_t *ret_size, lithops_error *err)
{
    const char *digest = text_at(layer, "digest");
    struct stat status;
    const char *folder = getenv("TMPDIR");
    int fd = open(folder ? folder : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        fd = memfd_create("lithops-blob", MFD_CLOEXEC);
    if (fd < 0)
        return lithops__fail_errno(err, errno, "cannot keep a layer of the base image");
    int rc = lithops__oci_blob_to(image->base, digest, fd, err);
    if (rc == 0 && fstat(fd, &status) != 0)
        rc = lithops__fail_errno(err, errno, "cannot keep a layer of the base image");
    else if (rc == 0 &&
             (int64_t)status.st_size != lithops_value_get_int(lithops_value_get(layer, "size")))
        rc = lithops__fail(err, LITHOPS_EBACKEND, "the base image is wrong about the size of %s",
                           digest);
    if (rc != 0) {
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    *ret_size = (uint64_t)status.st_size;
    return 0;
}

/* The search path of its programs. */
static const char *search_path(const lithops_value *config)
{
    const lithops_value *env = lithops_value_get(lithops_value_get(config, "config"), "Env");
    for (size_t i = 0; i < lithops_value_size(env); i++) {
        const char *text = lithops_value_get_string(lithops_value_at(env, i));
        if (text && strncmp(text, "PATH=", 5) == 0)
            return text + 5;
    }
    return &PATH_DEFAULT[5];
}

int lithops__oci_look(const char *base, lithops_value **ret_pythons, lithops_error *err)
{
    struct lithops__oci_image image = {.layers = lithops_value_list()};
    lithops_value *manifest = NULL, *config = NULL, *seen = lithops_value_map();
    int rc = image.layers && seen ? open_registry(base, &image.base_name, &image.base, err)
                                  : no_memory(err);
    if (rc == 0)
        rc = read_image(image.base, base, image.base_name.reference, &manifest, &config, err);
    if (rc == 0)
        rc = take_layers(&image, manifest, err);
    for (size_t i = 0; rc == 0 && i < lithops_value_size(image.layers); i++) {
        int fd = -1;
        uint64_t size;
        rc = fetch_layer(&image, lithops_value_at(image.layers, i), &fd, &size, err);
        if (rc == 0)
            rc = lithops__oci_note_layer(seen, fd, search_path(config), err);
        if (fd >= 0)
            close(fd);
    }
    if (rc == 0 && !(*ret_pythons = lithops__oci_pythons(seen, search_path(config))))
        rc = no_memory(err);
    lithops_value_free(seen);
    lithops_value_free(manifest);
    lithops_value_free(config);
    lithops_value_free(image.layers);
    lithops__oci_close(image.base);
    return rc;
}

static int push_below(struct lithops__oci_image *image, struct lithops__oci_registry *target,
                      uint64_t *sent, lithops_error *err)
{
    bool is_same = strcmp(image->name.registry, image->base_name.registry) == 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i + 1 < lithops_value_size(image->layers); i++) {
        const lithops_value *layer = lithops_value_at(image->layers, i);
        const char *digest = text_at(layer, "digest");
        bool has = false;
        int fd = -1;
        uint64_t size = 0;
        rc = lithops__oci_has_blob(target, digest, is_same ? image->base_name.repository : NULL,
                                   &has, err);
        if (rc != 0 || has)
            continue;
        rc = fetch_layer(image, layer, &fd, &size, err);
        if (rc == 0)
            rc = lithops__oci_put_blob_of(target, digest, fd, size, err);
        if (fd >= 0)
            close(fd);
        *sent += rc == 0 ? size : 0;
    }
    return rc;
}

static int push_own(const struct blob *blob, struct lithops__oci_registry *target, uint64_t *sent,
                    lithops_error *err)
{
    bool has = false;
    int rc = lithops__oci_has_blob(target, blob->digest, NULL, &has, err);
    if (rc == 0 && !has) {
        rc = lithops__oci_put_blob(target, blob->digest, blob->bytes, err);
        *sent += blob->bytes.len;
    }
    return rc;
}

int lithops__oci_push(struct lithops__oci_image *image, uint64_t *ret_sent, lithops_error *err)
{
    struct lithops__oci_registry *target = NULL;
    uint64_t sent = 0;
    int rc = lithops__oci_open(&image->name, &target, err);
    if (rc == 0)
        rc = push_below(image, target, &sent, err);
    if (rc == 0)
        rc = push_own(&image->layer, target, &sent, err);
    if (rc == 0)
        rc = push_own(&image->config, target, &sent, err);
    if (rc == 0)
        rc = lithops__oci_put_manifest(target, image->name.reference, image->manifest_text, err);
    lithops__oci_close(target);
    if (rc == 0)
        *ret_sent = sent;
    return rc;
}

/* ---- saving ---------------------------------------------------------------------------------- */

struct saving {
    int fd;
    uint64_t written;
    const char *path;
};

static int put(struct saving *saving, const void *ptr, size_t len, lithops_error *err)
{
    for (const char *at = ptr; len > 0;) {
        ssize_t n = write(saving->fd, at, len);
        if (n < 0 && errno != EINTR)
            return lithops__fail_errno(err, errno, "'%s' cannot be written", saving->path);
        at += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
        saving->written += n > 0 ? (uint64_t)n : 0;
    }
    return 0;
}

static int put_buffer(struct saving *saving, struct lithops__buffer *buffer, lithops_error *err)
{
    int rc = buffer->failed ? no_memory(err) : put(saving, buffer->data, buffer->len, err);
    lithops__buffer_deinit(buffer);
    return rc;
}

static int save_bytes(struct saving *saving, const char *name, lithops_bytes bytes,
                      lithops_error *err)
{
    struct lithops__buffer part = LITHOPS__BUFFER_INIT;
    lithops__tar_add(&part, name, 0644, bytes);
    return put_buffer(saving, &part, err);
}

static void name_file(const char *digest, char ret_name[128])
{
    snprintf(ret_name, 128, "blobs/sha256/%s", digest + 7);
}

static int save_blob(struct saving *saving, const struct blob *blob, lithops_error *err)
{
    char name[128];
    name_file(blob->digest, name);
    return save_bytes(saving, name, blob->bytes, err);
}

static int save_below(struct lithops__oci_image *image, struct saving *saving, lithops_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i + 1 < lithops_value_size(image->layers); i++) {
        const lithops_value *layer = lithops_value_at(image->layers, i);
        struct lithops__buffer part = LITHOPS__BUFFER_INIT;
        char name[128];
        uint64_t size = 0;
        int fd = -1;
        name_file(text_at(layer, "digest"), name);
        rc = fetch_layer(image, layer, &fd, &size, err);
        if (rc != 0)
            return rc;
        lithops__tar_header(&part, name, 0644, size);
        rc = put_buffer(saving, &part, err);
        void *ptr = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
        if (rc == 0 && ptr == MAP_FAILED)
            rc = lithops__fail_errno(err, errno, "cannot read a layer of the base image");
        if (rc == 0)
            rc = put(saving, ptr, size, err);
        if (ptr && ptr != MAP_FAILED)
            munmap(ptr, size);
        close(fd);
        part = (struct lithops__buffer)LITHOPS__BUFFER_INIT;
        lithops__tar_pad(&part, size);
        if (rc == 0)
            rc = put_buffer(saving, &part, err);
    }
    return rc;
}

/* By what each of those who read it looks for. */
static int save_lists(struct lithops__oci_image *image, struct saving *saving, lithops_error *err)
{
    static const char version[] = "{\"imageLayoutVersion\": \"1.0.0\"}";
    char full[4 * LITHOPS__OCI_NAME], name[128], *index_text = NULL, *list_text = NULL;
    snprintf(full, sizeof full, "%s/%s:%s", image->name.registry, image->name.repository,
             image->name.reference);
    lithops_value *files = lithops_value_list();
    bool good = files != NULL;
    for (size_t i = 0; good && i < lithops_value_size(image->layers); i++) {
        name_file(text_at(lithops_value_at(image->layers, i), "digest"), name);
        good = add_text(files, name);
    }
    name_file(image->config.digest, name);
    lithops_value *list =
        good ? lithops_pack("[{s:s,s:[s],s:o}]", "Config", name, "RepoTags", full, "Layers", files)
             : (lithops_value_free(files), NULL);
    lithops_value *index =
        lithops_pack("{s:i,s:s,s:[{s:s,s:s,s:I,s:{s:s,s:s}}]}", "schemaVersion", 2, "mediaType",
                     OCI "index.v1+json", "manifests", "mediaType", OCI "manifest.v1+json",
                     "digest", image->manifest.digest, "size", (int64_t)image->manifest.bytes.len,
                     "annotations", "io.containerd.image.name", full,
                     "org.opencontainers.image.ref.name", image->name.reference);
    int rc = list && index ? lithops_value_to_json(index, &index_text, err) : no_memory(err);
    if (rc == 0)
        rc = lithops_value_to_json(list, &list_text, err);
    if (rc == 0)
        rc = save_bytes(saving, "oci-layout", (lithops_bytes){version, sizeof version - 1}, err);
    if (rc == 0)
        rc = save_bytes(saving, "index.json", (lithops_bytes){index_text, strlen(index_text)}, err);
    if (rc == 0)
        rc =
            save_bytes(saving, "manifest.json", (lithops_bytes){list_text, strlen(list_text)}, err);
    free(index_text);
    free(list_text);
    lithops_value_free(index);
    lithops_value_free(list);
    return rc;
}

static int save_to(struct lithops__oci_image *image, const char *path, uint64_t *ret_bytes,
                   lithops_error *err)
{
    struct saving saving = {.path = path};
    struct lithops__buffer end = LITHOPS__BUFFER_INIT;
    saving.fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (saving.fd < 0)
        return lithops__fail_errno(err, errno, "'%s' cannot be written", path);
    int rc = save_lists(image, &saving, err);
    if (rc == 0)
        rc = save_blob(&saving, &image->manifest, err);
    if (rc == 0)
        rc = save_blob(&saving, &image->config, err);
    if (rc == 0)
        rc = save_below(image, &saving, err);
    if (rc == 0)
        rc = save_blob(&saving, &image->layer, err);
    lithops__tar_end(&end);
    if (rc == 0)
        rc = put_buffer(&saving, &end, err);
    if (close(saving.fd) != 0 && rc == 0)
        rc = lithops__fail_errno(err, errno, "'%s' cannot be written", path);
    *ret_bytes = saving.written;
    return rc;
}

/* A file is written beside its place, which has a whole image or what it had; a pipe as it is. */
int lithops__oci_save(struct lithops__oci_image *image, const char *path, uint64_t *ret_bytes,
                      lithops_error *err)
{
    struct stat status;
    char *beside = NULL;
    if (lstat(path, &status) == 0 && !S_ISREG(status.st_mode))
        return save_to(image, path, ret_bytes, err);
    if (asprintf(&beside, "%s.%ld.part", path, (long)getpid()) < 0)
        return no_memory(err);
    int rc = save_to(image, beside, ret_bytes, err);
    if (rc == 0 && rename(beside, path) != 0)
        rc = lithops__fail_errno(err, errno, "'%s' cannot be written", path);
    if (rc != 0)
        unlink(beside);
    free(beside);
    return rc;
}
