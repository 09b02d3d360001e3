/* GET /verify, for the gateway's auth_request. */
#include "services/auth/verify.h"

#include "services/auth/replies.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct auth *tokens;

void verify_configure(struct auth *auth)
{
    tokens = auth;
}

static const char *role_text(enum auth_role role)
{
    return role == AUTH_ROLE_ADMIN ? "ADMIN" : "USER";
}

static int reply_accepted(struct http_request *request, const struct auth_claims *claims)
{
    char number[24];
    snprintf(number, sizeof(number), "%" PRId64, claims->user_id);
    http_reply_header(request, "X-Auth-Sub", number);
    snprintf(number, sizeof(number), "%" PRId64, claims->expires_at);
    http_reply_header(request, "X-Auth-Exp", number);
    http_reply_header(request, "X-Auth-Role", role_text(claims->role));
    return http_reply_json_text(request, 200, "{}");
}

int verify_token(struct http_request *request)
{
    const char *required = http_header(request, "X-Required-Role");
    bool any = required && strcmp(required, "ANY") == 0;
    if (!any && (!required || (strcmp(required, "USER") != 0 && strcmp(required, "ADMIN") != 0)))
        return http_problem(
            request, 400, "bad_header", "X-Required-Role must be USER, ADMIN or ANY");
    struct auth_claims claims = {0};
    const char *reason = NULL;
    int error = auth_check(tokens, http_header(request, "Authorization"), &claims, &reason);
    if (error == -EACCES)
        return reply_unauthorized(request, "unauthorized", reason);
    if (error < 0)
        return reply_failure(request, error);
    if (!any && strcmp(role_text(claims.role), required) != 0)
        return http_problem(request, 403, "forbidden", "role %s is needed", required);
    return reply_accepted(request, &claims);
}
