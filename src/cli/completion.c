/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of options.c as code for bash, zsh and fish, as a man page and as Markdown.
 *
 * The build installs the output of `lithops completion SHELL`, so completion and manual always know
 * every option. Texts in the tables need no quoting, as options_test checks that they contain
 * neither ' nor backslash; brackets and colons are quoted for zsh. */
#include "cli/options.h"

#include "base/error.h"

#include <string.h>

static bool takes_path(const struct cli_option *option)
{
    return option->kind == CLI_FILE || option->kind == CLI_FOLDER || option->kind == CLI_REST ||
           (option->kind == CLI_LIST && strcmp(option->name, "include") == 0);
}

static void print_words(FILE *out, const char *choices)
{
    for (; *choices; choices++)
        fputc(*choices == '|' ? ' ' : *choices, out);
}

/* The second words of a group such as "storage", or all first words. */
static void print_subcommands(FILE *out, const char *group)
{
    size_t len = group ? strlen(group) : 0;
    const char *last = "";
    for (const struct cli_command *command = cli_commands; command->name; command++) {
        const char *name = command->name, *blank = strchr(name, ' ');
        if (group) {
            if (blank && (size_t)(blank - name) == len && strncmp(name, group, len) == 0)
                fprintf(out, "%s ", blank + 1);
        } else {
            int word = (int)(blank ? (size_t)(blank - name) : strlen(name));
            if (strncmp(last, name, (size_t)word) != 0)
                fprintf(out, "%.*s ", word, name);
            last = name;
        }
    }
}

/* Calls `print` once for each group word ("storage", "config", "job"). */
static void each_group(FILE *out, void (*print)(FILE *out, const char *group))
{
    char last[32] = "";
    for (const struct cli_command *command = cli_commands; command->name; command++) {
        const char *blank = strchr(command->name, ' ');
        if (!blank || strncmp(last, command->name, (size_t)(blank - command->name)) == 0)
            continue;
        snprintf(last, sizeof last, "%.*s", (int)(blank - command->name), command->name);
        print(out, last);
    }
}

/* ---- bash ------------------------------------------------------------------------------------ */

static void bash_group(FILE *out, const char *group)
{
    fprintf(out, "    %s)\n        words='", group);
    print_subcommands(out, group);
    fprintf(out, "' ;;\n");
}

static void bash_arguments(FILE *out, const struct cli_command *command)
{
    for (const struct cli_option *option = cli_option_table; option->name; option++) {
        if (!(option->commands & command->bit) || !option->argument || option->kind == CLI_REST)
            continue;
        fprintf(out, "        --%s", option->name);
        if (option->letter)
            fprintf(out, "|-%c", option->letter);
        if (option->choices) {
            fprintf(out, ") words='");
            print_words(out, option->choices);
            fprintf(out, "' plain=1 ;;\n");
        } else {
            fprintf(out, ") %s ;;\n", takes_path(option) ? "words= files=1" : "return");
        }
    }
}

static void print_bash(FILE *out)
{
    fputs("# bash completion for lithops, made by: lithops completion bash\n"
          "_lithops() {\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
          "    local command=${COMP_WORDS[1]} words= files= plain=\n"
          "    COMPREPLY=()\n"
          "    if [ \"$COMP_CWORD\" = 1 ]; then\n"
          "        COMPREPLY=($(compgen -W '",
          out);
    print_subcommands(out, NULL);
    fputs("--help --version' -- \"$cur\"))\n"
          "        return\n"
          "    fi\n"
          "    if [ \"$COMP_CWORD\" = 2 ]; then\n"
          "        case $command in\n",
          out);
    each_group(out, bash_group);
    fputs("        esac\n"
          "        if [ -n \"$words\" ]; then\n"
          "            COMPREPLY=($(compgen -W \"$words --help\" -- \"$cur\"))\n"
          "            return\n"
          "        fi\n"
          "    fi\n"
          "    case \"$command ${COMP_WORDS[2]}\" in\n",
          out);
    for (const struct cli_command *command = cli_commands; command->name; command++) {
        fprintf(out, "    '%s%s)\n        words='", command->name,
                strchr(command->name, ' ') ? "'" : " '*");
        for (const struct cli_option *option = cli_option_table; option->name; option++) {
            if (option->commands & command->bit)
                fprintf(out, "--%s ", option->name);
        }
        fprintf(out, "'\n        case $prev in\n");
        bash_arguments(out, command);
        if (command->bit == CLI_COMPLETION)
            fprintf(out, "        completion) words='bash zsh fish' plain=1 ;;\n");
        fprintf(out, "        esac ;;\n");
    }
    fputs("    esac\n"
          "    case $plain$cur in\n"
          "    1*|-*) [ -n \"$files\" ] || COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) ;;\n"
          "    *) files=1 ;;\n"
          "    esac\n"
          "    [ -z \"$files\" ] || COMPREPLY+=($(compgen -f -- \"$cur\"))\n"
          "}\n"
          "complete -o filenames -o bashdefault -F _lithops lithops\n",
          out);
}

/* ---- zsh ------------------------------------------------------------------------------------- */

static void zsh_text(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (strchr("[]:", *text))
            fputc('\\', out);
        fputc(*text, out);
    }
}

static void zsh_option(FILE *out, const struct cli_option *option)
{
    bool repeats = option->kind == CLI_LIST || option->kind == CLI_PAIR || option->kind == CLI_REST;
    const char *forms[2] = {NULL, option->name};
    char letter[2] = {option->letter, '\0'};
    forms[0] = option->letter ? letter : NULL;
    for (int i = 0; i < 2; i++) {
        if (!forms[i])
            continue;
        fprintf(out, "            '%s%s%s[", repeats ? "*" : "", i == 0 ? "-" : "--", forms[i]);
        zsh_text(out, option->help);
        fputc(']', out);
        if (option->argument) {
            fputc(':', out);
            zsh_text(out, option->argument);
            fputc(':', out);
            if (option->choices) {
                fputc('(', out);
                print_words(out, option->choices);
                fputc(')', out);
            } else if (takes_path(option)) {
                fputs(option->kind == CLI_FOLDER ? "_files -/" : "_files", out);
            }
        }
        fputs("' \\\n", out);
    }
}

static void zsh_group(FILE *out, const char *group)
{
    fprintf(out, "    %s)\n        if ((CURRENT == 3)); then\n            compadd -- ", group);
    print_subcommands(out, group);
    fputs("\n            return\n        fi ;;\n", out);
}

static void print_zsh(FILE *out)
{
    fputs("#compdef lithops\n"
          "# zsh completion for lithops, made by: lithops completion zsh\n"
          "_lithops() {\n"
          "    if ((CURRENT == 2)); then\n"
          "        compadd -- ",
          out);
    print_subcommands(out, NULL);
    fputs("--help --version\n"
          "        return\n"
          "    fi\n"
          "    case $words[2] in\n",
          out);
    each_group(out, zsh_group);
    fputs("    esac\n    case \"$words[2] $words[3]\" in\n", out);
    for (const struct cli_command *command = cli_commands; command->name; command++) {
        fprintf(out, "    '%s%s)\n        _arguments \\\n", command->name,
                strchr(command->name, ' ') ? "'" : " '*");
        for (const struct cli_option *option = cli_option_table; option->name; option++) {
            if (option->commands & command->bit)
                zsh_option(out, option);
        }
        fprintf(out, "            '*:argument:%s' ;;\n",
                command->bit == CLI_COMPLETION ? "(bash zsh fish)" : "_files");
    }
    fputs("    esac\n"
          "}\n"
          "if [ \"${funcstack[1]}\" = _lithops ]; then _lithops \"$@\"; "
          "else compdef _lithops lithops; fi\n",
          out);
}

/* ---- fish ------------------------------------------------------------------------------------ */

static void fish_condition(FILE *out, const struct cli_command *command)
{
    const char *blank = strchr(command->name, ' ');
    if (blank)
        fprintf(out, "-n '__fish_seen_subcommand_from %.*s; and __fish_seen_subcommand_from %s'",
                (int)(blank - command->name), command->name, blank + 1);
    else
        fprintf(out, "-n '__fish_seen_subcommand_from %s'", command->name);
}

static void fish_group(FILE *out, const char *group)
{
    size_t len = strlen(group);
    fprintf(out, "complete -c lithops -n __fish_use_subcommand -a %s\n", group);
    for (const struct cli_command *command = cli_commands; command->name; command++) {
        if (strncmp(command->name, group, len) != 0 || command->name[len] != ' ')
            continue;
        fprintf(out,
                "complete -c lithops -f -n '__fish_seen_subcommand_from %s; and not "
                "__fish_seen_subcommand_from ",
                group);
        print_subcommands(out, group);
        fprintf(out, "' -a %s -d '%s'\n", command->name + len + 1, command->help);
    }
}

static void print_fish(FILE *out)
{
    fputs(
        "# fish completion for lithops, made by: lithops completion fish\n"
        "complete -c lithops -n __fish_use_subcommand -l version -d 'say which version this is'\n",
        out);
    each_group(out, fish_group);
    for (const struct cli_command *command = cli_commands; command->name; command++) {
        if (!strchr(command->name, ' '))
            fprintf(out, "complete -c lithops -n __fish_use_subcommand -a %s -d '%s'\n",
                    command->name, command->help);
        for (const struct cli_option *option = cli_option_table; option->name; option++) {
            if (!(option->commands & command->bit))
                continue;
            fputs("complete -c lithops ", out);
            fish_condition(out, command);
            if (option->letter)
                fprintf(out, " -s %c", option->letter);
            fprintf(out, " -l %s -d '%s'", option->name, option->help);
            if (option->choices) {
                fputs(" -x -a '", out);
                print_words(out, option->choices);
                fputs("'", out);
            } else if (option->argument) {
                fputs(takes_path(option) ? " -r -F" : " -x", out);
            }
            fputc('\n', out);
        }
    }
    fputs("complete -c lithops -n '__fish_seen_subcommand_from completion' -x "
          "-a 'bash zsh fish'\n",
          out);
}

/* ---- man ------------------------------------------------------------------------------------- */

/* Escape what roff would interpret: - is a hyphen, a leading . or ' a request. */
static void man_text(FILE *out, const char *text)
{
    for (bool start = true; *text; start = *text++ == '\n') {
        if (start && (*text == '.' || *text == '\''))
            fputs("\\&", out);
        if (*text == '-')
            fputc('\\', out);
        fputc(*text, out);
    }
}

static void man_option(FILE *out, const struct cli_option *option)
{
    fputs(".TP\n", out);
    if (option->letter)
        fprintf(out, "\\fB\\-%c\\fR, ", option->letter);
    fputs("\\fB\\-\\-", out);
    man_text(out, option->name);
    fputs("\\fR", out);
    if (option->argument) {
        fputs(" \\fI", out);
        man_text(out, option->argument);
        fputs("\\fR", out);
    }
    fputc('\n', out);
    man_text(out, option->help);
    if (option->choices) {
        fputs(" (", out);
        print_words(out, option->choices);
        fputc(')', out);
    }
    fputs(".\n", out);
}

static void print_man(FILE *out)
{
    for (const struct cli_command *command = cli_commands; command->name; command++) {
        fputs(".SS lithops ", out);
        man_text(out, command->name);
        fputs(*command->arguments ? " " : "", out);
        man_text(out, command->arguments);
        fprintf(out, "\n%c", command->help[0] - 'a' + 'A');
        man_text(out, command->help + 1);
        fputs(".\n", out);
        if (command->notes) {
            man_text(out, command->notes);
            fputc('\n', out);
        }
        fputs(".br\nOptions:\n", out);
        for (const struct cli_option *option = cli_option_table; option->name; option++) {
            if (!(option->commands & command->bit) || option->commands == CLI_ALL)
                continue;
            fputs("\\-\\-", out);
            man_text(out, option->name);
            fputc('\n', out);
        }
    }
    fputs(".SH OPTIONS\n", out);
    for (const struct cli_option *option = cli_option_table; option->name; option++) {
        if (option->group) {
            fputs(".SS ", out);
            man_text(out, option->group);
            fputc('\n', out);
        }
        man_option(out, option);
    }
}

/* ---- Markdown -------------------------------------------------------------------------------- */

/* A cell of a table ends at |. */
static void markdown_cell(FILE *out, const char *text)
{
    for (; *text; text++)
        fprintf(out, *text == '|' ? "\\|" : "%c", *text);
}

static void markdown_option(FILE *out, const struct cli_option *option)
{
    fputs("| ", out);
    if (option->letter)
        fprintf(out, "`-%c`, ", option->letter);
    fprintf(out, "`--%s", option->name);
    if (option->argument) {
        fputc(' ', out);
        markdown_cell(out, option->argument);
    }
    fputs("` | ", out);
    markdown_cell(out, option->help);
    if (option->choices) {
        fputs(" (", out);
        print_words(out, option->choices);
        fputc(')', out);
    }
    fputs(" |\n", out);
}

static void markdown_options(FILE *out, uint64_t commands, bool of_all)
{
    bool any = false;
    for (const struct cli_option *option = cli_option_table; option->name; option++) {
        if (!(option->commands & commands) || (option->commands == CLI_ALL) != of_all)
            continue;
        if (!any)
            fputs("\n| option | |\n|---|---|\n", out);
        any = true;
        markdown_option(out, option);
    }
}

/* The reference of the documentation site. */
static void print_markdown(FILE *out)
{
    for (const struct cli_command *command = cli_commands; command->name; command++) {
        fprintf(out, "\n### lithops %s\n\n    ", command->name);
        cli_print_usage(out, command);
        fprintf(out, "\n%c%s.\n", command->help[0] - 'a' + 'A', command->help + 1);
        if (command->notes)
            fprintf(out, "%s\n", command->notes);
        markdown_options(out, command->bit, false);
    }
    fputs("\n## Options of every command\n", out);
    markdown_options(out, CLI_ALL, true);
}

int cli_print_completion(FILE *out, const char *shell, lithops_error *err)
{
    if (strcmp(shell, "bash") == 0)
        print_bash(out);
    else if (strcmp(shell, "zsh") == 0)
        print_zsh(out);
    else if (strcmp(shell, "fish") == 0)
        print_fish(out);
    else if (strcmp(shell, "man") == 0) /* the part of lithops(1) that man/CMakeLists.txt takes */
        print_man(out);
    else if (strcmp(shell, "markdown") == 0) /* of docs/reference/command.md: tools/build-docs */
        print_markdown(out);
    else
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "completion: unknown shell '%s'; use bash, zsh or fish", shell);
    return 0;
}
