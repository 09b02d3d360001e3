/* The section COMMANDS of the manual page, from the same tables as --help. */
#include "outbox-relay/cli_man.h"

#include <ctype.h>
#include <stdio.h>

/* Text for roff: backslashes and hyphens are themselves, no line begins with a control character,
 * an empty line begins a paragraph. */
static void print_escaped(const char *text)
{
    for (bool line_start = true; *text; line_start = *text++ == '\n') {
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

/* A sentence of the tables, which begin in lower case and have no full stop. */
static void print_sentence(const char *text)
{
    putchar(toupper((unsigned char)*text));
    print_escaped(text + 1);
    puts(".");
}

static void print_option(const struct cli_option *option)
{
    printf(".It Fl \\-%s", option->name);
    if (option->metavar)
        printf(" Ar %s", option->metavar);
    putchar('\n');
    print_sentence(option->help);
    if (option->required)
        puts(option->environment ? "Required, here or there:" : "Required.");
    if (option->type == CLI_LIST)
        puts("May be repeated.");
    if (option->environment)
        printf("%s.Ev %s .\n", option->required ? "" : "Or\n", option->environment);
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
    puts(".Bl -tag -width Ds");
    for (size_t i = 0; i < command->option_count; i++)
        print_option(&command->options[i]);
    puts(".El");
}

void cli_print_man(const struct cli_command *const *commands, size_t count)
{
    puts(".Sh COMMANDS");
    for (size_t i = 0; i < count; i++)
        print_command(commands[i]);
}
