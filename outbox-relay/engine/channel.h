/* Whether notifications reach the session. A transaction-pooling proxy accepts LISTEN and lets
 * nobody hear, or somebody else. So the active relay notifies itself, and does not sleep until it
 * has heard that. See docs/mechanisms/wake-up.md. */
#ifndef RELAY_CHANNEL_H
#define RELAY_CHANNEL_H

#include "outbox-relay/engine/core.h"

void channel_init(struct source *source);
void channel_stop(struct source *source);

/* Sends the notification, and again from time to time until it is heard. Once active, and with
 * nothing under way in the session, which a proxy would deliver it with. */
void channel_prove(struct source *source);
/* The session has heard something on the channel outbox_control. Returns whether it was that. */
bool channel_heard(struct source *source, const char *payload);

/* Whether it has been heard: the relay may wait for notifications. */
bool channel_is_proved(const struct source *source);

#endif
