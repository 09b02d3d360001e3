/* The sections about commands of the manual page, from the same tables as --help. */
#include "outbox-relay/cli/cli_man.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Text for roff: backslashes and hyphens are themselves, no line begins with a control character,
 * an empty line begins a paragraph, `literals` are bold. */
static void print_escaped(const char *text)
{
    bool literal = false;
    for (bool line_start = true; *text; line_start = *text++ == '\n') {
        if (*text == '`') {
            literal = !literal;
            fputs(literal ? "\\fB" : "\\fP", stdout);
            continue;
        }
        if (line_start && (*text == '.' || *text == '\''))
            fputs("\\&", stdout);
        if (line_start && *text == '\n')
            fputs(".Pp", stdout);
        if (*text == '\\')
            fputs("\\e", stdout);
        else if (*text == '-')
            fputs("\\-", stdout);
        else
            putchar(*text);
    }
}

/* Texts of the tables begin in lower case and have no full stop. A literal keeps its case. */
static void print_sentence(const char *text)
{
    if (*text != '`')
        putchar(toupper((unsigned char)*text++));
    print_escaped(text);
    puts(".");
}

static void print_option(const struct cli_option *option)
{
    char text[CLI_OPTION_TEXT_SIZE];
    printf(".It Fl \\-%s", option->name);
    if (option->metavar)
        printf(" Ar %s", option->metavar);
    putchar('\n');
    cli_option_text(option, text);
    print_sentence(text);
}

/* Those that mean the same everywhere are explained in a section of their own. */
static void print_own_options(const struct cli_command *command)
{
    bool any = false; /* an empty list spoils what follows */
    for (size_t i = 0; i < command->option_count; i++) {
        if (command->options[i].common)
            continue;
        if (!any)
            puts(".Bl -tag -width Ds");
        any = true;
        print_option(&command->options[i]);
    }
    if (any)
        puts(".El");
}

static void print_command(const struct cli_command *command)
{
    printf(".Ss outbox\\-relay %s", command->name);
    if (*command->operands)
        printf(" %s", command->operands);
    putchar('\n');
    print_sentence(command->summary);
    if (command->details) {
        puts(".Pp");
        print_escaped(command->details);
        putchar('\n');
    }
    print_own_options(command);
}

static const struct cli_option *find_common(const struct cli_command *command, const char *name)
{
    for (size_t i = 0; i < command->option_count; i++)
        if (command->options[i].common && strcmp(command->options[i].name, name) == 0)
            return &command->options[i];
    return NULL;
}

/* An option, and which commands do not have it. At least one has not. */
static void print_common_option(
    const struct cli_command *const *commands, size_t count, const char *name)
{
    const struct cli_option *option = NULL;
    size_t without = 0, printed = 0;
    for (size_t i = 0; i < count; i++) {
        const struct cli_option *found = find_common(commands[i], name);
        option = found ? found : option;
        without += !found;
    }
    if (!option)
        return;
    print_option(option);
    puts("Not for");
    for (size_t i = 0; i < count; i++) {
        if (find_common(commands[i], name))
            continue;
        printed++;
        printf("%s.Cm %s%s\n", printed > 1 && printed == without ? "and\n" : "", commands[i]->name,
            printed == without      ? " ."
            : printed + 1 < without ? " ,"
                                    : "");
    }
}

void cli_print_man(const struct cli_command *const *commands, size_t count)
{
    puts(".Sh COMMANDS");
    for (size_t i = 0; i < count; i++)
        print_command(commands[i]);
    puts(".Sh COMMON OPTIONS\n.Bl -tag -width Ds");
    print_common_option(commands, count, "source");
    print_common_option(commands, count, "json");
    puts(".It Fl h , Fl \\-help\nPrint help and exit.\n.El");
}
