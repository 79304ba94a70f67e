/* SPDX-License-Identifier: Apache-2.0 */
/* --help, made from the tables of options.c: of the program, of a group ("storage"), of a
 * command. Lines stay within 80 columns of a terminal as far as the tables' texts allow. */
#include "cli/options.h"

#include <string.h>

enum { HELP_COLUMN = 28 };

bool cli_is_group(const char *word)
{
    size_t len = strlen(word);
    for (const struct cli_command *command = cli_commands; command->name; command++) {
        if (strncmp(command->name, word, len) == 0 && command->name[len] == ' ')
            return true;
    }
    return false;
}

/* "  left      right": wraps the right side within its column, at 80 columns. */
static void print_row(FILE *out, const char *left, const char *right)
{
    int room = 80 - HELP_COLUMN;
    if (fprintf(out, "  %s", left) > HELP_COLUMN - 2)
        fprintf(out, "\n%*s", HELP_COLUMN, "");
    else
        fprintf(out, "%*s", HELP_COLUMN - 2 - (int)strlen(left), "");
    while ((int)strlen(right) > room) {
        int len = room;
        while (len > 0 && right[len] != ' ')
            len--;
        if (len == 0)
            break;
        fprintf(out, "%.*s\n%*s", len, right, HELP_COLUMN, "");
        right += len + 1;
    }
    fprintf(out, "%s\n", right);
}

static void print_commands(FILE *out, const char *group)
{
    size_t len = group ? strlen(group) : 0;
    for (const struct cli_command *command = cli_commands; command->name; command++) {
        if (!group || (strncmp(command->name, group, len) == 0 &&
                       (command->name[len] == ' ' || !command->name[len])))
            print_row(out, command->name, command->help);
    }
}

void cli_print_overview(FILE *out)
{
    fputs("usage: lithops COMMAND [ARGUMENT...] [OPTION...]\n\n"
          "Run any function over any data, anywhere. Where, a configuration says; without\n"
          "one it is this machine.\n\n"
          "  lithops map ./libkernel.so:solve --over 1 2 3\n"
          "  lithops map-reduce ./libwc.so:count_words --reduce ./libwc.so:sum \\\n"
          "      --over /usr/share/doc --chunk-size 64MiB --plot run\n"
          "  seq 1000000 | lithops map ./libmath.so:is_prime --over -\n"
          "  lithops run gzip -k {} --over *.txt\n\n"
          "Commands:\n",
          out);
    print_commands(out, NULL);
    fputs("\nlithops COMMAND --help describes one in full; lithops --version shows the version.\n"
          "Exit status: 0 done, 1 a call failed, 2 usage or configuration, 3 the backend\n"
          "cannot be reached, 124 out of time, 130 interrupted.\n",
          out);
}

void cli_print_group(FILE *out, const char *word)
{
    fprintf(out, "usage: lithops %s COMMAND [ARGUMENT...] [OPTION...]\n\nCommands:\n", word);
    print_commands(out, word);
}

void cli_print_usage(FILE *out, const struct cli_command *command)
{
    fprintf(out, "lithops %s%s%s%s [OPTION...]\n", command->name, *command->arguments ? " " : "",
            command->arguments,
            command->bit & (CLI_MAP | CLI_COMMAND) ? " --over INPUT..."
            : command->bit == CLI_MAP_REDUCE       ? " --over INPUT... --reduce FUNCTION"
                                                   : "");
}

void cli_print_help(FILE *out, const struct cli_command *command)
{
    fputs("usage: ", out);
    cli_print_usage(out, command);
    fputs("\n", out);
    fprintf(out, "%c%s.\n%s%s", command->help[0] - 'a' + 'A', command->help + 1,
            command->notes ? command->notes : "", command->notes ? "\n" : "");
    const char *group = NULL, *printed = NULL;
    for (const struct cli_option *option = cli_option_table; option->name; option++) {
        group = option->group ? option->group : group;
        if (!(option->commands & command->bit))
            continue;
        if (group != printed)
            fprintf(out, "\n%s:\n", group);
        printed = group;
        char left[64];
        snprintf(left, sizeof left, "%c%c%c --%s%s%s", option->letter ? '-' : ' ',
                 option->letter ? option->letter : ' ', option->letter ? ',' : ' ', option->name,
                 option->argument ? " " : "", option->argument ? option->argument : "");
        print_row(out, left, option->help);
    }
}
