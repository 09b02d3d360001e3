/* The reply of a request as the server sends it; handlers make it by http_reply of http.h. */
#ifndef SHARED_HTTP_REPLY_H
#define SHARED_HTTP_REPLY_H

#include "shared/http/http.h"

#include <stdbool.h>

/* Forgets the reply with its headers, so that a transaction can be run again. */
void http_reply_reset(struct http_request *request);

/* Hands the reply to libmicrohttpd. False: that failed, close the connection. */
bool http_reply_send(struct http_request *request);

#endif
