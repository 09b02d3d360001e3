/* The allow-list of callback hosts: keeps a subscription from making the relay call what only the
 * relay can reach. */
#ifndef RELAY_ALLOW_H
#define RELAY_ALLOW_H

#include <stdbool.h>

/* `list`: HOST, HOST:PORT or *.DOMAIN, separated by blanks or commas; an empty list allows all.
 * Compared without regard to case; without :PORT any port is meant. False for what is no http or
 * https URL, or carries a user or password. */
bool allow_url(const char *list, const char *url);

#endif
