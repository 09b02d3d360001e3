/* outbox-relay healthcheck: for images that have no HTTP client. */
#include "outbox-relay/commands.h"

#include "shared/healthcheck.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int run_healthcheck(const struct cli_arguments *arguments)
{
    const char *listen = cli_text(arguments, "listen");
    char address[128];
    snprintf(address, sizeof address, "%s", listen ? listen : "127.0.0.1:8010");
    char *colon = strrchr(address, ':');
    long port = colon ? strtol(colon + 1, NULL, 10) : 0;
    if (!colon || port < 1 || port > 65535)
        return cli_complain(
            arguments, CLI_WRONG_USE, "--listen: \"%s\" is not ADDRESS:PORT", listen);
    *colon = '\0';
    return healthcheck("outbox-relay", address, (uint16_t)port);
}

static const struct cli_option options[] = {
    {.name = "listen",
        .type = CLI_TEXT,
        .metavar = "ADDR:PORT",
        .environment = "OUTBOX_RELAY_LISTEN",
        .help = "where `run` listens (default: 127.0.0.1:8010)"},
};

const struct cli_command CMD_HEALTHCHECK = {
    .name = "healthcheck",
    .operands = "",
    .summary = "ask the relay that runs on this machine whether it is ready",
    .options = options,
    .option_count = ARRAY_SIZE(options),
    .run = run_healthcheck,
};
