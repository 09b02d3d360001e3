/* outbox-relay healthcheck: for images that have no HTTP client. */
#include "outbox-relay/cli/address.h"
#include "outbox-relay/cli/commands.h"
#include "shared/base/cleanup.h"

#include "shared/base/healthcheck.h"

static int run_healthcheck(const struct cli_arguments *arguments)
{
    const char *listen = cli_text(arguments, "listen");
    struct listen_address address;
    if (!listen_address_parse(listen ? listen : "127.0.0.1:8010", &address) || address.port == 0)
        return cli_complain(
            arguments, CLI_USAGE_ERROR, "--listen must be ADDRESS:PORT, not \"%s\"", listen);
    return healthcheck("outbox-relay", address.host, address.port);
}

static const struct cli_option options[] = {
    {.name = "listen",
        .type = CLI_TEXT,
        .metavar = "ADDR:PORT",
        .environment = "OUTBOX_RELAY_LISTEN",
        .help = "address that the relay listens on (default: 127.0.0.1:8010)"},
};

const struct cli_command CMD_HEALTHCHECK = {
    .name = "healthcheck",
    .operands = "",
    .summary = "check whether the relay on this machine is ready",
    .details = "Succeeds if GET /readyz answers 200 within 2 seconds.",
    .options = options,
    .option_count = ARRAY_SIZE(options),
    .run = run_healthcheck,
};
