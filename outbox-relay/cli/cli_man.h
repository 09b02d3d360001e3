/* The sections about commands of the manual page, from the same tables as --help. */
#ifndef RELAY_CLI_MAN_H
#define RELAY_CLI_MAN_H

#include "outbox-relay/cli/cli_table.h"

/* Prints them in mdoc(7) on standard output. */
void cli_print_man(const struct cli_command *const *commands, size_t count);

#endif
