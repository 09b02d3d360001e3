/* See address.h. */
#include "outbox-relay/cli/address.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

bool listen_address_parse(const char *text, struct listen_address *ret_address)
{
    const char *colon = strrchr(text, ':');
    if (!colon || !isdigit((unsigned char)colon[1]))
        return false;
    char *end;
    long port = strtol(colon + 1, &end, 10);
    bool brackets = *text == '[' && colon > text && colon[-1] == ']';
    const char *host = text + brackets;
    size_t length = (size_t)(colon - text) - (brackets ? 2 : 0);
    if (*end || port > UINT16_MAX || colon == text || length == 0 ||
        length >= sizeof ret_address->host)
        return false;
    memcpy(ret_address->host, host, length);
    ret_address->host[length] = '\0';
    ret_address->port = (uint16_t)port;
    return true;
}
