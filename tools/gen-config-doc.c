/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the key reference into docs/configuration.md and man/lithops-config.5.
 *
 *     gen-config-doc [--check] FILE...
 *
 * The reference is made from the tables that the engine checks a configuration with, and stands in
 * each file between a line that contains "BEGIN generated" and one that contains "END generated";
 * the rest of the file is written by hand. The suffix tells the notation: .md is Markdown, else
 * mdoc(7). With --check nothing is written, and a file that is out of date is an error: the test
 * config_doc_test runs it so, and `ninja config-doc` runs it without. */
#include "config/config.h"
#include "config/keys.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is said in both notations ---------------------------------------------------------- */

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

static void put_type(FILE *out, bool markdown, const struct lithops__config_key *key)
{
    bool number = key->type == LITHOPS__KEY_INT || key->type == LITHOPS__KEY_DOUBLE;
    switch (key->type) {
    case LITHOPS__KEY_BOOL:
        fputs("true or false", out);
        break;
    case LITHOPS__KEY_INT:
        fputs("whole number", out);
        break;
    case LITHOPS__KEY_DOUBLE:
        fputs("number", out);
        break;
    case LITHOPS__KEY_STRING:
        if (key->choices)
            put_choices(out, markdown, key->choices);
        else
            fputs("string", out);
        break;
    case LITHOPS__KEY_LIST:
        fputs("list of strings", out);
        break;
    case LITHOPS__KEY_ANY:
        fputs("any", out);
        break;
    }
    if (number && key->max >= 1e9) /* a limit that nobody will meet */
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
    for (const struct lithops__config_section *s = lithops__config_sections; s->name; s++) {
        fprintf(out, "\n### Section `%s`\n\n", s->name);
        put_markdown_text(out, s->help);
        fputs("\n\n| key | value | default | what it does |\n|---|---|---|---|\n", out);
        for (const struct lithops__config_key *k = s->keys; k->name; k++) {
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
    fputs("\n### Sections that are passed over\n\n"
          "Compute backends:",
          out);
    for (const struct lithops__config_backend *b = lithops__config_backends; b->name; b++)
        if (strcmp(b->name, "localhost") != 0)
            fprintf(out, " `%s` (%s)%s", b->name, b->mode, b[1].name ? "," : ".\n\n");
    fputs("Storage, monitoring, telemetry and providers:", out);
    for (const char *const *s = lithops__config_other_sections; *s; s++)
        fprintf(out, " `%s`%s", *s, s[1] ? "," : ".\n");
    fputc('\n', out);
}

/* ---- mdoc ------------------------------------------------------------------------------------ */

/* One sentence per line, as mdoc wants it, and lines of less than 80 bytes. */
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
    for (const struct lithops__config_section *s = lithops__config_sections; s->name; s++) {
        fprintf(out, ".Ss Section %s\n", s->name);
        put_mdoc_text(out, s->help);
        fputs(".Bl -tag -width Ds\n", out);
        for (const struct lithops__config_key *k = s->keys; k->name; k++) {
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
    fputs(".Ss Sections that are passed over\n.Bl -tag -width Ds\n", out);
    for (const struct lithops__config_backend *b = lithops__config_backends; b->name; b++)
        if (strcmp(b->name, "localhost") != 0)
            fprintf(out, ".It Ic %s\nA compute backend, %s.\n", b->name, b->mode);
    for (const char *const *s = lithops__config_other_sections; *s; s++)
        fprintf(out, ".It Ic %s\n", *s);
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

/* The start of the line after the one that contains `marker`; NULL when there is none. */
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
