/* Problems that several endpoints reply with. */
#ifndef AUTH_REPLIES_H
#define AUTH_REPLIES_H

#include "shared/http/http.h"

/* Replies for a negative errno of password.h, keys.h or db.h: 503 when it may pass, else 500. */
int reply_failure(struct http_request *request, int error);

/* Replies 401 with the challenge that RFC 9110 asks for. */
int reply_unauthorized(struct http_request *request, const char *code, const char *detail);

#endif
