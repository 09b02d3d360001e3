/* Who may call a route. */
#include "shared/http/http_access.h"
#include "shared/http/http_request.h"

#include <errno.h>

static int refuse_token(struct http_request *request, bool sent, const char *reason)
{
    http_reply_header(
        request, "WWW-Authenticate", sent ? "Bearer error=\"invalid_token\"" : "Bearer");
    return http_problem(request, 401, "unauthorized", "%s", reason);
}

static bool may_call(const struct http_request *request, enum http_access access)
{
    const struct auth_claims *claims = &request->claims;
    switch (access) {
    case HTTP_OPEN:
    case HTTP_TOKEN:
        return true;
    case HTTP_USER:
        return claims->role == AUTH_ROLE_USER;
    case HTTP_ADMIN:
        return claims->role == AUTH_ROLE_ADMIN;
    case HTTP_OWNER:
        return claims->role == AUTH_ROLE_USER && request->path_id_count > 0 &&
               request->path_ids[0] == claims->user_id;
    }
    return false;
}

int http_authorize(struct http_request *request)
{
    enum http_access access = request->route->access;
    if (access == HTTP_OPEN)
        return 0;

    const char *authorization = http_header(request, "Authorization");
    const char *reason = "a bearer token is required";
    const struct http_authenticator *auth = request->app->settings.auth;
    int error = auth->check(auth->context, authorization, &request->claims, &reason);
    if (error == -ENOTCONN)
        return http_problem(request, 503, "unavailable", "tokens cannot be checked right now");
    if (error)
        return refuse_token(request, authorization != NULL, reason);
    request->has_claims = true;
    if (!may_call(request, access))
        return http_problem(request, 403, "forbidden", "this token does not allow this request");
    return 0;
}
