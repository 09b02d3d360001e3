/* Problems that several endpoints reply with. */
#include "services/auth/replies.h"

#include <errno.h>

int reply_failure(struct http_request *request, int error)
{
    if (error == -EBUSY)
        return http_problem(
            request, 503, "busy", "too many passwords are being checked; try again soon");
    if (error == -ENOTCONN)
        return http_problem(request, 503, "unavailable", "try again soon");
    return http_problem(request, 500, "internal", "the request could not be handled");
}

int reply_unauthorized(struct http_request *request, const char *code, const char *detail)
{
    bool sent = http_header(request, "Authorization");

    http_reply_header(
        request, "WWW-Authenticate", sent ? "Bearer error=\"invalid_token\"" : "Bearer");
    return http_problem(request, 401, code, "%s", detail);
}
