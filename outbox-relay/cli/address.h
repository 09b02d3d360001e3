/* Where the relay's own HTTP server listens, as it is written. */
#ifndef RELAY_ADDRESS_H
#define RELAY_ADDRESS_H

#include "shared/base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>

struct listen_address {
    char host[128]; /* an IPv6 address has no brackets here */
    uint16_t port;
};

/* Reads HOST:PORT, where an IPv6 address may be in brackets, as in a URL. False when it is none;
 * ret_address is undefined then. */
MUST_CHECK bool listen_address_parse(const char *text, struct listen_address *ret_address);

#endif
