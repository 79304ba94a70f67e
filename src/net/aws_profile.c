/* SPDX-License-Identifier: Apache-2.0 */
/* Sections in brackets, "name = value" in lines, comments with '#' and ';' at their beginning. A
 * name without a value may be followed by indented lines, which are settings of that name and not
 * of the profile ("s3 =", "  addressing_style = path"). */
#include "net/aws_profile.h"

#include "base/buffer.h"
#include "net/credentials.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 1 << 20 };

#define FIELD(name_, member_)                                                                      \
    {                                                                                              \
        (name_), offsetof(struct lithops__aws_profile, member_)                                    \
    }
static const struct {
    const char *name;
    size_t offset;
} fields[] = {
    FIELD("aws_access_key_id", access_key),
    FIELD("aws_secret_access_key", secret_key),
    FIELD("aws_session_token", session_token),
    FIELD("region", region),
    FIELD("role_arn", role_arn),
    FIELD("role_session_name", role_session_name),
    FIELD("external_id", external_id),
    FIELD("duration_seconds", duration_seconds),
    FIELD("source_profile", source_profile),
    FIELD("credential_source", credential_source),
    FIELD("web_identity_token_file", web_identity_token_file),
    FIELD("credential_process", credential_process),
    FIELD("sso_session", sso_session),
    FIELD("sso_start_url", sso_start_url),
    FIELD("sso_region", sso_region),
    FIELD("sso_account_id", sso_account_id),
    FIELD("sso_role_name", sso_role_name),
};
enum { FIELDS = sizeof fields / sizeof *fields };

static char **member(struct lithops__aws_profile *profile, size_t i)
{
    return (char **)((char *)profile + fields[i].offset);
}

void lithops__aws_profile_deinit(struct lithops__aws_profile *profile)
{
    for (size_t i = 0; i < FIELDS; i++)
        lithops__secret_free(*member(profile, i));
    *profile = (struct lithops__aws_profile){.found = false};
}

/* ---- lines ----------------------------------------------------------------------------------- */

struct span {
    const char *ptr;
    size_t len;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct span trimmed(struct span text)
{
    while (text.len && is_blank(text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    while (text.len && is_blank(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

static bool is(struct span text, const char *word)
{
    return text.len == strlen(word) && memcmp(text.ptr, word, text.len) == 0;
}

/* Whether a section "prefix name" is meant, or, without a prefix, "name". */
static bool names(struct span section, const char *prefix, const char *name)
{
    size_t len = strlen(prefix);
    if (len && (section.len <= len || memcmp(section.ptr, prefix, len) != 0 ||
                !is_blank(section.ptr[len])))
        return false;
    return is(trimmed((struct span){section.ptr + len, section.len - len}), name);
}

static bool keep(struct lithops__aws_profile *profile, struct span name, struct span value)
{
    size_t len = strnlen(value.ptr, value.len); /* what follows a NUL is not text */
    for (size_t i = 0; i < FIELDS; i++) {
        char **kept = member(profile, i);
        if (is(name, fields[i].name) && !*kept && len && !(*kept = strndup(value.ptr, len)))
            return false;
    }
    return true;
}

static bool parse(const char *text, size_t len, const char *prefix, const char *name,
                  struct lithops__aws_profile *profile)
{
    bool ours = false, nested = false, good = true;
    while (len && good) {
        const char *end = memchr(text, '\n', len);
        struct span whole = {text, end ? (size_t)(end - text) : len};
        struct span line = trimmed(whole);
        text += whole.len + (end != NULL);
        len -= whole.len + (end != NULL);
        if (!line.len || line.ptr[0] == '#' || line.ptr[0] == ';')
            continue;
        if (line.ptr[0] == '[') {
            const char *close = memchr(line.ptr, ']', line.len);
            struct span section = {line.ptr + 1, close ? (size_t)(close - line.ptr) - 1 : 0};
            section = trimmed(section);
            ours = names(section, prefix, name) ||
                   (strcmp(prefix, "profile") == 0 && names(section, "", name));
            profile->found = profile->found || ours;
            nested = false;
            continue;
        }
        bool indented = is_blank(whole.ptr[0]);
        const char *equals = memchr(line.ptr, '=', line.len);
        if ((indented && nested) || !equals)
            continue;
        size_t name_len = (size_t)(equals - line.ptr);
        struct span value = trimmed((struct span){equals + 1, line.len - name_len - 1});
        nested = value.len == 0;
        if (ours)
            good = keep(profile, trimmed((struct span){line.ptr, name_len}), value);
    }
    return good;
}

bool lithops__aws_profile_parse(const char *text, size_t len, const char *name,
                                struct lithops__aws_profile *profile)
{
    return parse(text, len, "profile", name, profile);
}

bool lithops__aws_session_parse(const char *text, size_t len, const char *name,
                                struct lithops__aws_profile *profile)
{
    return parse(text, len, "sso-session", name, profile);
}

/* ---- files ----------------------------------------------------------------------------------- */

char *lithops__aws_home_file(const char *name)
{
    const char *home = getenv("HOME");
    struct lithops__buffer path = LITHOPS__BUFFER_INIT;
    if (!home || !*home)
        return NULL;
    lithops__buffer_printf(&path, "%s/.aws/%s", home, name);
    return lithops__buffer_steal(&path);
}

char *lithops__read_small_file(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = file ? malloc(FILE_MAX + 1) : NULL;
    if (text) {
        setvbuf(file, NULL, _IONBF, 0); /* no second copy of secrets */
        size_t len = fread(text, 1, FILE_MAX, file);
        text[len] = '\0';
        bool failed = ferror(file) != 0;
        if (failed) {
            lithops__secret_free(text);
            text = NULL;
        }
    }
    if (file)
        fclose(file);
    return text;
}

static bool read_file(const char *variable, const char *usual, const char *name,
                      struct lithops__aws_profile *profile)
{
    const char *named = getenv(variable);
    char *path = named && *named ? strdup(named) : lithops__aws_home_file(usual);
    char *text = path ? lithops__read_small_file(path) : NULL;
    bool good = !text || lithops__aws_profile_parse(text, strlen(text), name, profile);
    lithops__secret_free(text);
    free(path);
    return good;
}

bool lithops__aws_profile_read(const char *name, struct lithops__aws_profile *profile)
{
    return read_file("AWS_SHARED_CREDENTIALS_FILE", "credentials", name, profile) &&
           read_file("AWS_CONFIG_FILE", "config", name, profile);
}
