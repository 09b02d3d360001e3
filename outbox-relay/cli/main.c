/* outbox-relay: delivers the events of PostgreSQL transactional outboxes over HTTP. */
#include "outbox-relay/cli/commands.h"
#include "shared/base/cleanup.h"

#include "shared/base/log.h"

#include <signal.h>

int main(int argc, char **argv)
{
    static const struct cli_command *const commands[] = {
        &CMD_INIT,
        &CMD_SUBSCRIBE,
        &CMD_SUBSCRIPTIONS,
        &CMD_UNSUBSCRIBE,
        &CMD_RUN,
        &CMD_STATUS,
        &CMD_EVENTS,
        &CMD_DEAD,
        &CMD_REDRIVE,
        &CMD_SKIP,
        &CMD_REPLAY,
        &CMD_PAUSE,
        &CMD_RESUME,
        &CMD_SECRETS,
        &CMD_ADOPT,
        &CMD_REPAIR,
        &CMD_HEALTHCHECK,
    };

    signal(SIGPIPE, SIG_IGN); /* a peer that has gone shows as an error of write(2) */
    log_init("outbox-relay", LOG_LEVEL_WARN);
    return cli_main(commands, ARRAY_SIZE(commands), argc, argv);
}
