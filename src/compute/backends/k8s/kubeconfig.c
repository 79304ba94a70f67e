/* SPDX-License-Identifier: Apache-2.0 */
/* Reads kubeconfigs as kubectl does: contexts, merged files, data and files, plugins.
 *
 * It works on the nodes of the YAML document and not on values, since everything in it is text: a
 * token of digits is no number. Paths are relative to the file that they are in. What names a way
 * to log in that is not built in is refused, rather than tried without. */
#include "compute/backends/k8s/kubeconfig.h"

#include "base/error.h"
#include "base/module.h"
#include "config/yaml.h"
#include "net/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_BYTES = 1 << 20, MOST_FILES = 16 };

typedef struct lithops__yaml_node node;

void lithops__k8s_access_deinit(struct lithops__k8s_access *access)
{
    char *const texts[] = {
        access->origin,   access->context,   access->server,           access->server_name,
        access->proxy,    access->namespace, access->authorities_file, access->certificate_file,
        access->key_file, access->token_file};
    char *const secrets[] = {access->authorities, access->certificate, access->key, access->token};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
        lithops__secret_free(secrets[i]);
    lithops_value_free(access->exec);
    *access = (struct lithops__k8s_access){.origin = NULL};
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static const node *get(const node *map, const char *key)
{
    for (size_t i = 0; map && map->kind == LITHOPS__YAML_MAP && i + 1 < map->count; i += 2)
        if (strcmp(map->items[i]->text, key) == 0)
            return map->items[i + 1];
    return NULL;
}

/* NULL: it is not there, empty, or no text. */
static const char *text_of(const node *map, const char *key)
{
    const node *found = get(map, key);
    bool is_text = found && found->kind == LITHOPS__YAML_SCALAR && found->text[0] &&
                   strlen(found->text) == found->len;
    bool is_null = is_text && found->plain &&
                   (strcmp(found->text, "null") == 0 || strcmp(found->text, "~") == 0);
    return is_text && !is_null ? found->text : NULL;
}

static bool is_true(const node *map, const char *key)
{
    const char *text = text_of(map, key);
    return text && (strcmp(text, "true") == 0 || strcmp(text, "True") == 0);
}

/* ---- documents ------------------------------------------------------------------------------- */

struct reader {
    const struct lithops__k8s_file *files;
    struct lithops__yaml_document documents[MOST_FILES];
    size_t count;
    struct lithops__k8s_access *access;
    lithops_error *err;
};

static int out_of_memory(lithops_error *err)
{
    return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
}

/* What the lists of that name (of "clusters", ...) call `name`; NULL: nothing. */
static const node *find(const struct reader *reader, const char *list, const char *name,
                        const char *what, size_t *ret_file)
{
    for (size_t i = 0; i < reader->count; i++) {
        const node *items = get(reader->documents[i].root, list);
        for (size_t k = 0; items && items->kind == LITHOPS__YAML_LIST && k < items->count; k++) {
            const char *found = text_of(items->items[k], "name");
            if (!found || strcmp(found, name) != 0)
                continue;
            *ret_file = i;
            return get(items->items[k], what);
        }
    }
    return NULL;
}

static bool take_text(char **ret, const char *text)
{
    *ret = text ? strdup(text) : NULL;
    return !text || *ret;
}

/* A path of file number `file`. */
static bool take_path(const struct reader *reader, size_t file, char **ret, const char *path)
{
    const char *of = reader->files[file].path, *slash = strrchr(of, '/');
    *ret = NULL;
    if (!path)
        return true;
    int len = path[0] == '/' || !slash ? 0 : (int)(slash + 1 - of);
    if (asprintf(ret, "%.*s%s", len, of, path) >= 0)
        return true;
    *ret = NULL;
    return false;
}

static int digit_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Base64 of text, with any blanks. NULL with errno EINVAL: it is none; or ENOMEM. */
static char *decode(const char *text)
{
    char *out = malloc(strlen(text) / 4 * 3 + 4);
    size_t len = 0, digits = 0, padding = 0;
    unsigned bits = 0;
    bool is_right = out != NULL;
    if (!out)
        return NULL;
    for (; is_right && *text; text++) {
        if (strchr(" \t\r\n", *text))
            continue;
        padding += *text == '=';
        int digit = *text == '=' ? 0 : digit_of(*text);
        is_right = digit >= 0 && (*text == '=' || padding == 0) && padding <= 2;
        bits = bits << 6 | (unsigned)digit;
        if (is_right && ++digits % 4 == 0) {
            out[len++] = (char)(bits >> 16);
            out[len++] = (char)(bits >> 8);
            out[len++] = (char)bits;
        }
    }
    len -= is_right && len >= padding ? padding : 0;
    out[len] = '\0';
    if (is_right && digits % 4 == 0 && len > 0 && strlen(out) == len)
        return out;
    lithops__secret_free(out);
    errno = EINVAL;
    return NULL;
}

/* A key that has data in one form and a file in another. */
static int take_data(const struct reader *reader, size_t file, const node *map, const char *key,
                     char **ret_data, char **ret_path)
{
    char data_key[64];
    snprintf(data_key, sizeof data_key, "%s-data", key);
    const char *data = text_of(map, data_key);
    if (!data)
        return take_path(reader, file, ret_path, text_of(map, key)) ? 0
                                                                    : out_of_memory(reader->err);
    *ret_data = decode(data);
    return *ret_data         ? 0
           : errno == EINVAL ? lithops__fail(reader->err, LITHOPS_ECONFIG,
                                             "%s: what %s holds is not PEM in base64",
                                             reader->files[file].path, data_key)
                             : out_of_memory(reader->err);
}

/* ---- the parts ------------------------------------------------------------------------------- */

static int take_cluster(const struct reader *reader, size_t file, const node *cluster)
{
    struct lithops__k8s_access *access = reader->access;
    const char *server = text_of(cluster, "server");
    if (!server || (strncmp(server, "https://", 8) != 0 && strncmp(server, "http://", 7) != 0))
        return lithops__fail(reader->err, LITHOPS_ECONFIG,
                             "%s: the cluster of context '%s' has no server that is an https URL",
                             reader->files[file].path, access->context);
    access->any_certificate = is_true(cluster, "insecure-skip-tls-verify");
    if (!take_text(&access->server, server) ||
        !take_text(&access->server_name, text_of(cluster, "tls-server-name")) ||
        !take_text(&access->proxy, text_of(cluster, "proxy-url")))
        return out_of_memory(reader->err);
    for (size_t len = strlen(access->server); len > 8 && access->server[len - 1] == '/';)
        access->server[--len] = '\0';
    return take_data(reader, file, cluster, "certificate-authority", &access->authorities,
                     &access->authorities_file);
}

static int append_texts(const node *list, lithops_value *out)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && list && list->kind == LITHOPS__YAML_LIST && i < list->count; i++)
        if (list->items[i]->kind == LITHOPS__YAML_SCALAR)
            rc = lithops_value_append(
                out, lithops_value_string_n(list->items[i]->text, list->items[i]->len));
    return rc;
}

static int append_variables(const node *list, lithops_value *out)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && list && list->kind == LITHOPS__YAML_LIST && i < list->count;
         i++) {
        const char *name = text_of(list->items[i], "name");
        const char *value = text_of(list->items[i], "value");
        char *word = NULL;
        if (!name)
            continue;
        rc = asprintf(&word, "%s=%s", name, value ? value : "") < 0
                 ? LITHOPS_ENOMEM
                 : lithops_value_append(out, lithops_value_string(word));
        free(word);
    }
    return rc;
}

static int take_exec(const struct reader *reader, size_t file, const node *exec)
{
    const char *command = text_of(exec, "command"), *version = text_of(exec, "apiVersion");
    const char *mode = text_of(exec, "interactiveMode"), *hint = text_of(exec, "installHint");
    const char *path = reader->files[file].path;
    if (!command || !version || strncmp(version, "client.authentication.k8s.io/", 29) != 0)
        return lithops__fail(reader->err, LITHOPS_ECONFIG,
                             "%s: the exec plugin of context '%s' has no command, or an unknown "
                             "apiVersion",
                             path, reader->access->context);
    if (mode && strcmp(mode, "Always") == 0)
        return lithops__fail(reader->err, LITHOPS_ECONFIG,
                             "%s: the exec plugin '%s' wants a terminal (interactiveMode: Always), "
                             "and gets none here",
                             path, command);
    char *program = NULL;
    if (!(strchr(command, '/') ? take_path(reader, file, &program, command)
                               : take_text(&program, command)))
        return out_of_memory(reader->err);
    lithops_value *args = lithops_value_list(), *env = lithops_value_list();
    int rc = args && env ? append_texts(get(exec, "args"), args) : LITHOPS_ENOMEM;
    if (rc == 0)
        rc = append_variables(get(exec, "env"), env);
    reader->access->exec = lithops_pack("{s:s,s:o,s:o,s:s,s:s?,s:b}", "command", program, "args",
                                        args, "env", env, "version", version, "hint", hint,
                                        "wants_cluster", (int)is_true(exec, "provideClusterInfo"));
    free(program);
    if (rc == 0 && reader->access->exec)
        return 0;
    return lithops__fail(reader->err, LITHOPS_ECONFIG,
                         "%s: the exec plugin of context '%s' has words that are no UTF-8", path,
                         reader->access->context);
}

static int take_user(const struct reader *reader, size_t file, const node *user)
{
    struct lithops__k8s_access *access = reader->access;
    const node *exec = get(user, "exec");
    bool is_exec = exec && exec->kind == LITHOPS__YAML_MAP;
    const node *provider = get(user, "auth-provider");
    if (provider && provider->kind == LITHOPS__YAML_MAP)
        return lithops__fail(reader->err, LITHOPS_ECONFIG,
                             "%s: the user of context '%s' logs in by an auth-provider, which "
                             "Kubernetes has given up: use an exec plugin",
                             reader->files[file].path, access->context);
    if (text_of(user, "username") || text_of(user, "password"))
        return lithops__fail(
            reader->err, LITHOPS_ECONFIG,
            "%s: the user of context '%s' logs in by a name and a password, which "
            "Kubernetes has given up: use a token, a certificate or an exec plugin",
            reader->files[file].path, access->context);
    if (!take_text(&access->token, text_of(user, "token")) ||
        !take_path(reader, file, &access->token_file, text_of(user, "tokenFile")))
        return out_of_memory(reader->err);
    int rc = take_data(reader, file, user, "client-certificate", &access->certificate,
                       &access->certificate_file);
    if (rc == 0)
        rc = take_data(reader, file, user, "client-key", &access->key, &access->key_file);
    return rc == 0 && is_exec ? take_exec(reader, file, exec) : rc;
}

static int fail_unknown(const struct reader *reader, const char *what, const char *name)
{
    return lithops__fail(reader->err, LITHOPS_ECONFIG,
                         "%s: there is no %s '%s': 'kubectl config view' shows what there is",
                         reader->files[0].path, what, name);
}

static int take_all(struct reader *reader, const char *context)
{
    struct lithops__k8s_access *access = reader->access;
    size_t file = 0;
    for (size_t i = 0; !context && i < reader->count; i++)
        context = text_of(reader->documents[i].root, "current-context");
    if (!context)
        return lithops__fail(reader->err, LITHOPS_ECONFIG,
                             "%s: it has no current context: choose one by 'kubectl config "
                             "use-context', or set k8s.kubecfg_context",
                             reader->files[0].path);
    if (!take_text(&access->context, context) || !take_text(&access->origin, reader->files[0].path))
        return out_of_memory(reader->err);
    const node *found = find(reader, "contexts", context, "context", &file);
    const char *cluster = text_of(found, "cluster"), *user = text_of(found, "user");
    if (!found || !cluster)
        return fail_unknown(reader, "context", context);
    if (!take_text(&access->namespace, text_of(found, "namespace")))
        return out_of_memory(reader->err);
    found = find(reader, "clusters", cluster, "cluster", &file);
    if (!found)
        return fail_unknown(reader, "cluster", cluster);
    int rc = take_cluster(reader, file, found);
    bool is_open = rc == 0 && strncmp(access->server, "http://", 7) == 0;
    if (rc != 0 || !user || is_open) /* credentials do not go in the clear; kubectl's neither */
        return rc;
    found = find(reader, "users", user, "user", &file);
    return found ? take_user(reader, file, found) : fail_unknown(reader, "user", user);
}

int lithops__k8s_access_parse(const struct lithops__k8s_file *files, size_t count,
                              const char *context, struct lithops__k8s_access *ret_access,
                              lithops_error *err)
{
    struct lithops__k8s_access access = {.origin = NULL};
    struct reader reader = {.files = files, .access = &access, .err = err};
    lithops__yaml_parse_function *parse =
        (lithops__yaml_parse_function *)lithops__module_symbol("yaml", "lithops__yaml_parse", err);
    lithops__yaml_free_function *release =
        parse ? (lithops__yaml_free_function *)lithops__module_symbol("yaml", "lithops__yaml_free",
                                                                      err)
              : NULL;
    if (!release)
        return err ? err->code : LITHOPS_EUNSUPPORTED;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count && i < MOST_FILES; i++) {
        rc = parse(files[i].path, files[i].text, files[i].len, &reader.documents[i], err);
        reader.count += rc == 0;
        if (rc != 0)
            release(&reader.documents[i]);
    }
    if (rc == 0)
        rc = take_all(&reader, context);
    for (size_t i = 0; i < reader.count; i++)
        release(&reader.documents[i]);
    if (rc == 0)
        *ret_access = access;
    else
        lithops__k8s_access_deinit(&access);
    return rc;
}

/* ---- finding it ------------------------------------------------------------------------------ */

char *lithops__k8s_read_file(const char *path, lithops_error *err)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        lithops__fail_errno(err, fd < 0 ? errno : EINVAL, "'%s' cannot be read", path);
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    char *text = malloc(MOST_BYTES + 1);
    size_t len = 0;
    ssize_t got = text ? 1 : 0;
    while (got > 0 && len < MOST_BYTES) {
        got = read(fd, text + len, MOST_BYTES - len);
        len += got > 0 ? (size_t)got : 0;
    }
    int failed = got < 0 ? errno : 0;
    close(fd);
    if (!text) {
        out_of_memory(err);
    } else if (failed || len == MOST_BYTES) {
        lithops__fail_errno(err, failed ? failed : EFBIG, "'%s' cannot be read", path);
        lithops__secret_free(text);
        return NULL;
    } else {
        text[len] = '\0';
        char *fitting = strdup(text); /* its size is what it takes */
        explicit_bzero(text, len);
        free(text);
        return fitting ? fitting : (out_of_memory(err), NULL);
    }
    return NULL;
}

static const char account_folder[] = "/var/run/secrets/kubernetes.io/serviceaccount";

/* Of the pod that this runs in. */
static int find_account(struct lithops__k8s_access *ret_access, lithops_error *err)
{
    struct lithops__k8s_access found = {.origin = NULL};
    const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
    bool is_v6 = host && strchr(host, ':');
    char path[128];
    snprintf(path, sizeof path, "%s/token", account_folder);
    if (!host || access(path, R_OK) != 0)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "no cluster is configured: there is no ~/.kube/config; set "
                             "KUBECONFIG, or k8s.kubecfg_path");
    snprintf(path, sizeof path, "%s/namespace", account_folder);
    found.namespace = lithops__k8s_read_file(path, NULL);
    if (found.namespace)
        found.namespace[strcspn(found.namespace, "\r\n")] = '\0';
    if (asprintf(&found.server, "https://%s%s%s:%s", is_v6 ? "[" : "", host, is_v6 ? "]" : "",
                 port ? port : "443") < 0)
        found.server = NULL;
    if (asprintf(&found.token_file, "%s/token", account_folder) < 0)
        found.token_file = NULL;
    if (asprintf(&found.authorities_file, "%s/ca.crt", account_folder) < 0)
        found.authorities_file = NULL;
    if (found.server && found.token_file && found.authorities_file &&
        take_text(&found.origin, "the pod's service account")) {
        *ret_access = found;
        return 0;
    }
    lithops__k8s_access_deinit(&found);
    return out_of_memory(err);
}

/* The files of a list with colons; those that are not there are passed over. */
static int parse_files(char *list, bool is_one, const char *context,
                       struct lithops__k8s_access *ret_access, lithops_error *err)
{
    struct lithops__k8s_file files[MOST_FILES];
    size_t count = 0;
    int rc = 0;
    char *rest = list;
    for (const char *path;
         rc == 0 && count < MOST_FILES && (path = strsep(&rest, is_one ? "" : ":"));) {
        lithops_error own = LITHOPS_ERROR_INIT;
        char *text = path[0] ? lithops__k8s_read_file(path, &own) : NULL;
        if (text)
            files[count++] =
                (struct lithops__k8s_file){.path = path, .text = text, .len = strlen(text)};
        else if (path[0] && (is_one || own.code != LITHOPS_ENOTFOUND))
            rc = lithops__fail(err, LITHOPS_ECONFIG, "%s", own.message);
    }
    if (rc == 0)
        rc = count ? lithops__k8s_access_parse(files, count, context, ret_access, err)
                   : LITHOPS_ENOTFOUND;
    for (size_t i = 0; i < count; i++)
        lithops__secret_free((char *)(uintptr_t)files[i].text);
    return rc;
}

int lithops__k8s_access_find(const char *path, const char *context,
                             struct lithops__k8s_access *ret_access, lithops_error *err)
{
    const char *listed = getenv("KUBECONFIG"), *home = getenv("HOME");
    bool is_home = path && path[0] == '~' && path[1] == '/';
    char *list = NULL;
    int len = path                  ? asprintf(&list, "%s%s", is_home && home ? home : "",
                              is_home && home ? path + 1 : path)
              : listed && listed[0] ? asprintf(&list, "%s", listed)
                                    : asprintf(&list, "%s/.kube/config", home ? home : "");
    if (len < 0)
        return out_of_memory(err);
    int rc = parse_files(list, path != NULL, context, ret_access, err);
    free(list);
    if (rc != LITHOPS_ENOTFOUND)
        return rc;
    if (!path && listed && listed[0])
        return lithops__fail(err, LITHOPS_ECONFIG, "KUBECONFIG names no file that is there");
    return find_account(ret_access, err);
}
