/* The commands of outbox-relay, each in its cmd_*.c. */
#ifndef RELAY_COMMANDS_H
#define RELAY_COMMANDS_H

#include "outbox-relay/cli/cli.h"

extern const struct cli_command CMD_RUN, CMD_INIT, CMD_SUBSCRIBE, CMD_SUBSCRIPTIONS,
    CMD_UNSUBSCRIBE, CMD_STATUS, CMD_EVENTS, CMD_DEAD, CMD_REDRIVE, CMD_SKIP, CMD_REPLAY, CMD_PAUSE,
    CMD_RESUME, CMD_SECRETS, CMD_ADOPT, CMD_REPAIR, CMD_HEALTHCHECK;

#endif
