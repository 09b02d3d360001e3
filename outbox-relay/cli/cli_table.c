/* See cli_table.h. */
#include "outbox-relay/cli/cli_table.h"

#include <stdio.h>

void cli_option_text(const struct cli_option *option, char ret_text[CLI_OPTION_TEXT_SIZE])
{
    snprintf(ret_text, CLI_OPTION_TEXT_SIZE, "%s%s%s%s%s", option->help,
        option->type == CLI_LIST ? "; may be repeated" : "", option->required ? "; required" : "",
        option->environment ? "; may also be set in " : "",
        option->environment ? option->environment : "");
}
