/* SPDX-License-Identifier: Apache-2.0 */
/* The function image: the files that must reach a worker before it can call a function.
 *
 * For a function of the program: its ELF file and the shared libraries that it links; for one of a
 * library: that library and what it links. Files of the system (under /lib, /usr/lib, /lib64,
 * /usr/lib64) stay behind. include_modules adds files, folders and libraries (also of the system),
 * exclude_modules removes. See docs/function-image.md.
 *
 * On this machine nothing has to travel, so jobs carry only a manifest of what include_modules
 * named: shared libraries are loaded before the function, files are found by name. Backends that
 * copy ask for the whole image. */
#ifndef LITHOPS_FUNCTION_IMAGE_H
#define LITHOPS_FUNCTION_IMAGE_H

#include <lithops/function.h>
#include <lithops/value.h>

/* ---- what a job carries ---------------------------------------------------------------------- */

/* Check include and exclude (NULL-terminated, each may be NULL) and make the manifest, for
 * lithops_value_free(). It is NULL when there is nothing to carry; without include and exclude
 * that takes no time. LITHOPS_ENOTFOUND names what was not found and where it was looked for. */
int lithops__image_plan(const lithops_function *function, const char *const *include,
                        const char *const *exclude, lithops_value **ret_manifest,
                        lithops_error *err);

/* In the worker, once per job and before lithops__function_load(): load the shared libraries of a
 * manifest (NULL is fine), for all to see (RTLD_GLOBAL). */
int lithops__image_attach(const lithops_value *manifest, lithops_error *err);

/* lithops_call_file(): where the file or folder of that base name is; NULL if it is not in the
 * manifest (NULL is fine). Borrowed from the manifest. */
const char *lithops__image_file(const lithops_value *manifest, const char *name);

/* ---- the whole image, for backends that copy files ------------------------------------------- */

enum lithops__image_role {
    LITHOPS__IMAGE_PROGRAM,  /* the program: /proc/self/exe, or another one */
    LITHOPS__IMAGE_FUNCTION, /* the library that holds the function */
    LITHOPS__IMAGE_LINKED,   /* a shared library that one of these links */
    LITHOPS__IMAGE_MODULE,   /* an included shared library: load it before the function */
    LITHOPS__IMAGE_FILE,     /* an included file */
    LITHOPS__IMAGE_FOLDER,   /* an included folder; its files are items behind it */
};
struct lithops__image_item {
    enum lithops__image_role role;
    char *path;   /* on this machine: absolute */
    char *name;   /* in the worker: a file name; "folder/sub/file" out of an included folder */
    char *soname; /* of a library, or NULL */
    uint64_t size_bytes;
    char sha256[65]; /* hex; "" until lithops__image_hash() */
};
struct lithops__image {
    struct lithops__image_item *items;
    size_t count, capacity;
};

/* Collect the image. Reads ELF headers, not contents: well under a millisecond per library. */
int lithops__image_open(const lithops_function *function, const char *const *include,
                        const char *const *exclude, struct lithops__image **ret_image,
                        lithops_error *err);
/* The files that a manifest names, those of its folders too, are added to an image. */
int lithops__image_add_manifest(struct lithops__image *image, const lithops_value *manifest,
                                lithops_error *err);
/* A copy of a manifest whose files lie in `folder`. NULL: no memory. */
lithops_value *lithops__image_move_manifest(const lithops_value *manifest, const char *folder);
/* Add a file or folder, all files of it. */
int lithops__image_add_path(struct lithops__image *image, const char *path, const char *name,
                            lithops_error *err);
/* Which file this program is, for lithops_value_free(); NULL: no memory, or it cannot be told. */
lithops_value *lithops__image_program_file(void);
/* From now on, the program is not this one: its jobs are those of another process, which may be
 * gone. `file` is what lithops__image_program_file() gave there: images are not opened where
 * another file has the path; NULL: it is not known. Not while others open images. */
int lithops__image_set_program(const char *path, const lithops_value *file, lithops_error *err);
/* Fill sha256 of one item other than a folder, once; needs the crypto module. */
int lithops__image_hash(struct lithops__image_item *item, lithops_error *err);
void lithops__image_free(struct lithops__image *image); /* NULL is fine */

/* What plan and open share: folders are not looked into, and what is linked is collected only
 * when asked for or when there is something to exclude. */
int lithops__image_collect(const lithops_function *function, const char *const *include,
                           const char *const *exclude, bool linked,
                           struct lithops__image **ret_image, lithops_error *err);
/* Add one item; path and name are copied, soname may be NULL. LITHOPS_EUSAGE when another file has
 * that name already. */
int lithops__image_add(struct lithops__image *image, enum lithops__image_role role,
                       const char *path, const char *name, const char *soname, lithops_error *err);
/* The same without looking for the name, for the files of a folder. */
int lithops__image_append(struct lithops__image *image, enum lithops__image_role role,
                          const char *path, const char *name, const char *soname,
                          lithops_error *err);
void lithops__image_remove(struct lithops__image *image, size_t index);
/* Add what one word of include_modules names. `parent` (or NULL) lends its search path. */
struct lithops__library;
int lithops__image_include(struct lithops__image *image, const char *word,
                           const struct lithops__library *parent, lithops_error *err);

#endif
