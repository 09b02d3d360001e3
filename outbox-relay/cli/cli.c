/* The command line: parses by the tables of the commands. */
#include "outbox-relay/cli/cli.h"
#include "outbox-relay/cli/cli_help.h"
#include "outbox-relay/cli/cli_man.h"
#include "shared/base/choices.h"
#include "shared/base/uuid.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROGRAM "outbox-relay"

/* One line, whatever stands in what was given. */
static void vcomplain(const char *command, const char *format, va_list arguments)
{
    char line[2048];
    vsnprintf(line, sizeof line, format, arguments);
    for (char *c = line; *c; c++)
        if (iscntrl((unsigned char)*c))
            *c = '?';
    fprintf(stderr, PROGRAM "%s%s: %s\n", command ? " " : "", command ? command : "", line);
}

int cli_complain(const struct cli_arguments *arguments, int status, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vcomplain(arguments->command->name, format, list);
    va_end(list);
    return status;
}

static int usage_error(const char *command, const char *format, ...) PRINTF_LIKE(2, 3);
static int usage_error(const char *command, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vcomplain(command, format, list);
    va_end(list);
    return CLI_USAGE_ERROR;
}

/* Reading what was given */

static const struct cli_values *values_of(const struct cli_arguments *arguments, const char *name)
{
    const struct cli_command *command = arguments->command;
    for (size_t i = 0; i < command->option_count; i++)
        if (strcmp(command->options[i].name, name) == 0)
            return &arguments->values[i];
    fprintf(stderr, PROGRAM ": %s has no option --%s\n", command->name, name);
    abort();
}

bool cli_flag(const struct cli_arguments *arguments, const char *name)
{
    return values_of(arguments, name)->count > 0;
}

const char *cli_text(const struct cli_arguments *arguments, const char *name)
{
    const struct cli_values *values = values_of(arguments, name);
    return values->count > 0 ? values->texts[0] : NULL;
}

bool cli_int(const struct cli_arguments *arguments, const char *name, int64_t *ret_value)
{
    const struct cli_values *values = values_of(arguments, name);
    if (values->count == 0)
        return false;
    *ret_value = values->number;
    return true;
}

int cli_list(const struct cli_arguments *arguments, const char *name, const char *const **ret_texts)
{
    const struct cli_values *values = values_of(arguments, name);
    *ret_texts = values->texts;
    return values->count;
}

const char *cli_operand(const struct cli_arguments *arguments, int index)
{
    return index < arguments->operand_count ? arguments->operands[index] : NULL;
}

bool cli_check_event_id(const struct cli_arguments *arguments, const char *text)
{
    if (!text || uuid_is_valid(text))
        return true;
    cli_complain(arguments, CLI_USAGE_ERROR, "the event id \"%s\" is not a UUID", text);
    return false;
}

/* Parsing */

static int check_choice(
    const struct cli_command *command, const struct cli_option *option, const char *text)
{
    char choices[256];
    if (!option->choices || choices_have(option->choices, text))
        return CLI_OK;
    choices_list(option->choices, choices, sizeof choices);
    return usage_error(command->name, "--%s must be %s, not \"%s\"", option->name, choices, text);
}

static int parse_number(
    const struct cli_command *command, const struct cli_option *option, struct cli_values *values)
{
    char *end;
    const char *text = values->texts[0];
    errno = 0;
    values->number = strtoll(text, &end, 10);
    if (errno || end == text || *end || values->number < option->min ||
        values->number > option->max)
        return usage_error(command->name,
            "--%s: \"%s\" is not an integer from %" PRId64 " to %" PRId64, option->name, text,
            option->min, option->max);
    return CLI_OK;
}

static int take_value(const struct cli_command *command, const struct cli_option *option,
    struct cli_values *values, const char *text)
{
    if (option->type != CLI_LIST && values->count > 0)
        return usage_error(command->name, "--%s is given twice", option->name);
    if (values->count == CLI_MAX_REPEATS)
        return usage_error(
            command->name, "--%s is given more than %d times", option->name, CLI_MAX_REPEATS);
    values->texts[values->count++] = text;
    if (option->type == CLI_INT)
        return parse_number(command, option, values);
    int status = check_choice(command, option, text);
    if (status)
        return status;
    char mistake[CLI_MISTAKE_SIZE];
    if (option->check && !option->check(text, mistake))
        return usage_error(command->name, "--%s: %s", option->name, mistake);
    return CLI_OK;
}

/* argv[*index] is an option; moves *index past its value. */
static int parse_option(struct cli_arguments *arguments, int argc, char **argv, int *index)
{
    const struct cli_command *command = arguments->command;
    const char *word = argv[*index] + 2;
    size_t length = strcspn(word, "=");

    for (size_t i = 0; i < command->option_count; i++) {
        const struct cli_option *option = &command->options[i];
        if (strlen(option->name) != length || strncmp(option->name, word, length) != 0)
            continue;
        if (option->type == CLI_FLAG) {
            if (word[length])
                return usage_error(command->name, "--%s takes no value", option->name);
            arguments->values[i].count = 1;
            return CLI_OK;
        }
        if (word[length])
            return take_value(command, option, &arguments->values[i], word + length + 1);
        if (*index + 1 == argc)
            return usage_error(
                command->name, "--%s needs a value (%s)", option->name, option->metavar);
        return take_value(command, option, &arguments->values[i], argv[++*index]);
    }
    return usage_error(command->name, "unknown option --%.*s (see " PROGRAM " %s --help)",
        (int)length, word, command->name);
}

/* Options not given come from the environment, where one is named; required ones must be there. */
static int complete_options(struct cli_arguments *arguments)
{
    const struct cli_command *command = arguments->command;
    for (size_t i = 0; i < command->option_count; i++) {
        const struct cli_option *option = &command->options[i];
        const char *text = option->environment ? getenv(option->environment) : NULL;
        if (arguments->values[i].count == 0 && text && *text) {
            int status = take_value(command, option, &arguments->values[i], text);
            if (status)
                return status;
        }
        if (arguments->values[i].count == 0 && option->required)
            return usage_error(command->name, "missing --%s %s%s%s", option->name, option->metavar,
                option->environment ? " or environment variable " : "",
                option->environment ? option->environment : "");
    }
    return CLI_OK;
}

static int parse_arguments(struct cli_arguments *arguments, int argc, char **argv)
{
    const struct cli_command *command = arguments->command;
    bool options_end = false;
    for (int i = 0; i < argc; i++) {
        if (!options_end && strcmp(argv[i], "--") == 0) {
            options_end = true;
        } else if (!options_end && strncmp(argv[i], "--", 2) == 0) {
            int status = parse_option(arguments, argc, argv, &i);
            if (status)
                return status;
        } else if (!options_end && argv[i][0] == '-' && argv[i][1]) {
            return usage_error(command->name, "unknown option %s (see " PROGRAM " %s --help)",
                argv[i], command->name);
        } else if (arguments->operand_count == command->max_operands) {
            return usage_error(command->name, "unexpected argument \"%s\"", argv[i]);
        } else {
            arguments->operands[arguments->operand_count++] = argv[i];
        }
    }
    if (arguments->operand_count < command->min_operands)
        return usage_error(command->name, "missing argument: %s (see " PROGRAM " %s --help)",
            command->operands, command->name);
    return complete_options(arguments);
}

static int run_command(const struct cli_command *command, int argc, char **argv)
{
    struct cli_arguments arguments = {.command = command};
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return cli_print_command_help(command);
    int status = parse_arguments(&arguments, argc, argv);
    return status ? status : command->run(&arguments);
}

static const struct cli_command *find_command(
    const struct cli_command *const *commands, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

/* Without a command. */
static int tell(const struct cli_command *const *commands, size_t count, const char *word)
{
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0)
        return cli_print_help(commands, count);
    if (strcmp(word, "--version") == 0)
        printf(PROGRAM " " VERSION "\n");
    else if (strcmp(word, "--man") == 0) /* for the build of the manual page */
        cli_print_man(commands, count);
    else
        return usage_error(NULL, "unknown command \"%s\" (see " PROGRAM " --help)", word);
    return CLI_OK;
}

int cli_flush(void)
{
    errno = 0;
    bool written = fflush(stdout) == 0 && !ferror(stdout);
    int error = written ? 0 : errno ? -errno : -EIO;
    clearerr(stdout);
    return error;
}

static int finish_output(const struct cli_command *command, int status)
{
    int error = cli_flush();
    if (!error || error == -EPIPE) /* a reader that has gone, as `head` does, wants no more */
        return status;
    usage_error(command ? command->name : NULL, CLI_OUTPUT_LOST, strerror(-error));
    return status ? status : CLI_FAILED;
}

int cli_main(const struct cli_command *const *commands, size_t count, int argc, char **argv)
{
    if (argc < 2)
        return usage_error(NULL, "missing command (see " PROGRAM " --help)");
    const struct cli_command *command = find_command(commands, count, argv[1]);
    return finish_output(command,
        command ? run_command(command, argc - 2, argv + 2) : tell(commands, count, argv[1]));
}
