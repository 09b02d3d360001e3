/* outbox-relay healthcheck: for images that have no HTTP client. */
#include "outbox-relay/address.h"
#include "outbox-relay/commands.h"

#include "shared/base/healthcheck.h"

static int run_healthcheck(const struct cli_arguments *arguments)
{
    const char *listen = cli_text(arguments, "listen");
    struct listen_address address;
    if (!listen_address_parse(listen ? listen : "127.0.0.1:8010", &address) || address.port == 0)
        return cli_complain(
            arguments, CLI_WRONG_USE, "--listen: \"%s\" is not ADDRESS:PORT", listen);
    return healthcheck("outbox-relay", address.host, address.port);
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
