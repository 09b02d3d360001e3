/* See cli_help.h. */
#include "outbox-relay/cli/cli_help.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define PROGRAM "outbox-relay"
#define HELP_COLUMN 24
#define EXIT_STATUSES "\nExit status: 0 success, 1 failure, 2 usage error.\n"

/* Prints a text in lines of at most 79 columns, the first one from `column` on. */
static void print_wrapped(const char *text, int column, int indent)
{
    for (bool first = true; *text; first = false) {
        int length = (int)strcspn(text, " ");
        if (!first && column + 1 + length > 79)
            column = printf("\n%*s", indent, "") - 1;
        else if (!first)
            column += printf(" ");
        column += printf("%.*s", length, text);
        text += length;
        text += strspn(text, " ");
    }
    putchar('\n');
}

/* `literals` are 'quoted'. */
static void print_help_text(const char *text, int column, int indent)
{
    char shown[1024];
    snprintf(shown, sizeof shown, "%s", text);
    for (char *c = shown; *c; c++)
        if (*c == '`')
            *c = '\'';
    print_wrapped(shown, column, indent);
}

static void print_option_line(const char *head, const char *help)
{
    printf("%-*s", HELP_COLUMN, head);
    if (strlen(head) > HELP_COLUMN - 2)
        printf("\n%*s", HELP_COLUMN, "");
    print_help_text(help, HELP_COLUMN, HELP_COLUMN);
}

static void print_option(const struct cli_option *option)
{
    char head[64], text[CLI_OPTION_TEXT_SIZE];
    snprintf(head, sizeof head, "  --%s%s%s", option->name, option->metavar ? " " : "",
        option->metavar ? option->metavar : "");
    cli_option_text(option, text);
    print_option_line(head, text);
}

/* An option that the environment may stand for is not required on the command line. */
static void print_usage(const struct cli_command *command)
{
    printf("usage: " PROGRAM " %s%s%s", command->name, *command->operands ? " " : "",
        command->operands);
    for (size_t i = 0; i < command->option_count; i++)
        if (command->options[i].required)
            printf(command->options[i].environment ? " [--%s %s]" : " --%s %s",
                command->options[i].name, command->options[i].metavar);
    printf(" [options]\n\n");
}

int cli_print_command_help(const struct cli_command *command)
{
    print_usage(command);
    printf("%c%s.\n", toupper((unsigned char)*command->summary), command->summary + 1);
    for (const char *paragraph = command->details; paragraph && *paragraph;) {
        size_t length = strcspn(paragraph, "\n");
        char text[1024];
        snprintf(text, sizeof text, "%.*s", (int)length, paragraph);
        putchar('\n');
        print_help_text(text, 0, 0);
        paragraph += length + strspn(paragraph + length, "\n");
    }
    printf("\nOptions:\n");
    for (size_t i = 0; i < command->option_count; i++)
        print_option(&command->options[i]);
    print_option_line("  -h, --help", "print help and exit");
    printf(EXIT_STATUSES);
    return CLI_OK;
}

int cli_print_help(const struct cli_command *const *commands, size_t count)
{
    printf("usage: " PROGRAM " COMMAND [options]\n\n"
           "Deliver the events of PostgreSQL transactional outboxes over HTTP.\n\nCommands:\n");
    for (size_t i = 0; i < count; i++)
        printf("  %-14s %s\n", commands[i]->name, commands[i]->summary);
    printf("\nOptions:\n");
    print_option_line("  -h, --help", "print help and exit");
    print_option_line("  --version", "print the version and exit");
    printf("\nRun '" PROGRAM " COMMAND --help' for details.\n" EXIT_STATUSES);
    return CLI_OK;
}
