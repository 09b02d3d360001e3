/* What --help prints, from the tables of the commands. */
#ifndef RELAY_CLI_HELP_H
#define RELAY_CLI_HELP_H

#include "outbox-relay/cli/cli_table.h"

/* Both print on standard output and return CLI_OK. */
int cli_print_help(const struct cli_command *const *commands, size_t count);
int cli_print_command_help(const struct cli_command *command);

#endif
