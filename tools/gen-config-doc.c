/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the key reference into docs/configuration.md and man/lithops-config.5.
 *
 *     gen-config-doc [--check] FILE...
 *
 * The reference comes from the tables that the engine checks a configuration against. In each file
 * it stands between a line with "BEGIN generated" and one with "END generated"; the rest is written
 * by hand. A file ending in .md gets Markdown, any other mdoc(7). --check writes nothing and fails
 * if a file is out of date; the test config_doc_test uses it. `ninja config-doc` updates the
 * files. */
#include "config/config.h"
#include "config/keys.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- tables ---------------------------------------------------------------------------------- */

/* Whether a table before the i-th describes the same section. */
/* Whether a backend's section has keys in the tables. */
static bool has_table(const char *name)
{
    struct lithops__config_section section;
    for (size_t i = 0; lithops__config_table(i, &section); i++)
        if (strcmp(section.name, name) == 0)
            return true;
    return false;
}

static bool was_there(size_t i, const char *name)
{
    struct lithops__config_section s;
    for (size_t before = 0; before < i && lithops__config_table(before, &s); before++)
        if (strcmp(s.name, name) == 0)
            return true;
    return false;
}

/* The first table of a section, from the i-th table on. */
static bool next_section(size_t *i, struct lithops__config_section *ret)
{
    for (; lithops__config_table(*i, ret); ++*i)
        if (!was_there(*i, ret->name))
            return true;
    return false;
}

/* The next row over all tables of a section; NULL after the last. */
static const lithops_config_key *key_of(const char *section, size_t row)
{
    struct lithops__config_section s;
    for (size_t i = 0; lithops__config_table(i, &s); i++)
        for (const lithops_config_key *k = s.keys; strcmp(s.name, section) == 0 && k->name; k++)
            if (row-- == 0)
                return k;
    return NULL;
}

/* ---- text for both notations ----------------------------------------------------------------- */

/* A name inside a sentence; mdoc's .Ql would need a line of its own. */
static void put_name(FILE *out, bool markdown, const char *name, size_t len)
{
    fprintf(out, markdown ? "`%.*s`" : "\\(oq%.*s\\(cq", (int)len, name);
}

static void put_choices(FILE *out, bool markdown, const char *choices)
{
    for (const char *word = choices; *word;) {
        size_t len = strcspn(word, "|");
        bool last = word[len] == '\0';
        put_name(out, markdown, word, len);
        word += len + !last;
        if (!last)
            fputs(strchr(word, '|') ? ", " : " or ", out);
    }
}

static void put_type(FILE *out, bool markdown, const lithops_config_key *key)
{
    bool number = key->type == LITHOPS_KEY_INT || key->type == LITHOPS_KEY_DOUBLE;
    switch (key->type) {
    case LITHOPS_KEY_BOOL:
        fputs("true or false", out);
        break;
    case LITHOPS_KEY_INT:
        fputs("whole number", out);
        break;
    case LITHOPS_KEY_DOUBLE:
        fputs("number", out);
        break;
    case LITHOPS_KEY_STRING:
        if (key->choices)
            put_choices(out, markdown, key->choices);
        else
            fputs("string", out);
        break;
    case LITHOPS_KEY_LIST:
        fputs("list of strings", out);
        break;
    case LITHOPS_KEY_ANY:
        fputs("any", out);
        break;
    }
    if (number && key->max >= 1e9) /* in effect no limit */
        fprintf(out, ", %.15g or more", key->min);
    else if (number && (key->min != 0 || key->max != 0))
        fprintf(out, ", %.15g to %.15g", key->min, key->max);
    if (number && key->choices) {
        fputs(", or ", out);
        put_choices(out, markdown, key->choices);
    }
}

/* ---- Markdown -------------------------------------------------------------------------------- */

static void put_markdown_text(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (strchr("|<>*", *text))
            fputc('\\', out);
        fputc(*text, out);
    }
}

static void put_markdown(FILE *out)
{
    struct lithops__config_section s;
    for (size_t i = 0; next_section(&i, &s); i++) {
        fprintf(out, "\n### Section `%s`\n\n", s.name);
        put_markdown_text(out, s.help);
        fputs("\n\n| key | value | default | what it does |\n|---|---|---|---|\n", out);
        const lithops_config_key *k;
        for (size_t row = 0; (k = key_of(s.name, row)); row++) {
            fprintf(out, "| `%s` | ", k->name);
            put_type(out, true, k);
            fputs(" | ", out);
            if (k->fallback)
                fprintf(out, "`%s` ", k->fallback);
            fprintf(out, "| %s", k->inert ? "**No effect here.** " : "");
            put_markdown_text(out, k->help);
            fprintf(out, "%s |\n", k->secret ? " Secret: shown as `******`." : "");
        }
    }
    fputs("\n### Sections that are ignored\n\n", out);
    const char *between = "Compute backends:";
    for (const struct lithops__config_backend *b = lithops__config_backends; b->name; b++)
        if (!has_table(b->name)) {
            fprintf(out, "%s `%s` (%s)", between, b->name, b->mode);
            between = ",";
        }
    if (*between == ',')
        fputs(".\n\n", out);
    fputs("Storage, monitoring, telemetry and providers:", out);
    for (const char *const *o = lithops__config_other_sections; *o; o++)
        fprintf(out, " `%s`%s", *o, o[1] ? "," : ".\n");
    fputc('\n', out);
}

/* ---- mdoc ------------------------------------------------------------------------------------ */

/* One sentence per line, as mdoc wants it, and lines shorter than 80 bytes. */
static void put_mdoc_text(FILE *out, const char *text)
{
    size_t column = 0;
    while (*text) {
        size_t word = strcspn(text, " "), next = word + strspn(text + word, " ");
        bool sentence_ends = text[word - 1] == '.';
        if (column + word > 76) {
            fputc('\n', out);
            column = 0;
        }
        fprintf(out, "%s%.*s", column ? " " : "", (int)word, text);
        column += word + 1;
        text += next;
        if (sentence_ends || !*text) {
            fputc('\n', out);
            column = 0;
        }
    }
}

static void put_mdoc(FILE *out)
{
    struct lithops__config_section s;
    for (size_t i = 0; next_section(&i, &s); i++) {
        fprintf(out, ".Ss Section %s\n", s.name);
        put_mdoc_text(out, s.help);
        fputs(".Bl -tag -width Ds\n", out);
        const lithops_config_key *k;
        for (size_t row = 0; (k = key_of(s.name, row)); row++) {
            fprintf(out, ".It Ic %s Pq ", k->name);
            put_type(out, false, k);
            fputc('\n', out);
            if (k->inert)
                fputs("No effect here.\n", out);
            put_mdoc_text(out, k->help);
            if (k->fallback)
                fprintf(out, "Default:\n.Ql %s .\n", k->fallback);
            if (k->secret)
                fputs("Secret: shown as\n.Ql ****** .\n", out);
        }
        fputs(".El\n", out);
    }
    fputs(".Ss Sections that are ignored\n.Bl -tag -width Ds\n", out);
    for (const struct lithops__config_backend *b = lithops__config_backends; b->name; b++)
        if (!has_table(b->name))
            fprintf(out, ".It Ic %s\nA compute backend, %s.\n", b->name, b->mode);
    for (const char *const *o = lithops__config_other_sections; *o; o++)
        fprintf(out, ".It Ic %s\n", *o);
    fputs("Storage, monitoring, telemetry or a provider.\n.El\n", out);
}

/* ---- files ----------------------------------------------------------------------------------- */

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    long size = file && fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    char *text = size >= 0 ? malloc((size_t)size + 1) : NULL;
    if (text) {
        rewind(file);
        text[fread(text, 1, (size_t)size, file)] = '\0';
    } else {
        perror(path);
    }
    if (file)
        fclose(file);
    return text;
}

/* The start of the line after the one with `marker`; NULL if there is none. */
static char *after_line_with(char *text, const char *marker)
{
    char *found = strstr(text, marker);
    char *end = found ? strchr(found, '\n') : NULL;
    return end ? end + 1 : NULL;
}

static char *line_with(char *text, const char *marker)
{
    char *found = strstr(text, marker);
    while (found && found > text && found[-1] != '\n')
        found--;
    return found;
}

static char *updated(const char *path, char *text)
{
    char *begin = after_line_with(text, "BEGIN generated");
    char *end = begin ? line_with(begin, "END generated") : NULL;
    char *result = NULL;
    size_t size;
    FILE *out = end ? open_memstream(&result, &size) : NULL;
    if (!out) {
        fprintf(stderr, "%s: no lines 'BEGIN generated' and 'END generated'\n", path);
        return NULL;
    }
    fwrite(text, 1, (size_t)(begin - text), out);
    size_t len = strlen(path);
    if (len > 3 && strcmp(path + len - 3, ".md") == 0)
        put_markdown(out);
    else
        put_mdoc(out);
    fputs(end, out);
    if (fclose(out) != 0)
        return NULL;
    return result;
}

static int update(const char *path, bool only_check)
{
    char *text = read_file(path);
    char *wanted = text ? updated(path, text) : NULL;
    int failed = !wanted;
    if (wanted && strcmp(text, wanted) != 0) {
        FILE *file = NULL;
        if (only_check)
            fprintf(stderr, "%s is out of date: run `ninja config-doc`\n", path);
        else if (!(file = fopen(path, "w")) || fputs(wanted, file) < 0)
            perror(path);
        failed = !file || fclose(file) != 0;
    }
    free(text);
    free(wanted);
    return failed;
}

int main(int argc, char **argv)
{
    bool only_check = argc > 1 && strcmp(argv[1], "--check") == 0;
    int failed = 0, first = only_check ? 2 : 1;
    if (argc <= first) {
        fprintf(stderr, "usage: %s [--check] FILE...\n", argv[0]);
        return 2;
    }
    for (int i = first; i < argc; i++)
        failed += update(argv[i], only_check);
    return failed != 0;
}
