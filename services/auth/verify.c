/* GET /verify: the gateway's first check of a token. */
#include "services/auth/handlers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct auth *tokens;

void verify_configure(struct auth *auth)
{
    tokens = auth;
}

static int reply_accepted(struct http_request *request, const struct auth_claims *claims)
{
    char number[24];

    snprintf(number, sizeof(number), "%" PRId64, claims->user_id);
    http_reply_header(request, "X-Auth-Sub", number);
    snprintf(number, sizeof(number), "%" PRId64, claims->expires_at);
    http_reply_header(request, "X-Auth-Exp", number);
    http_reply_header(request, "X-Auth-Role", claims->role == AUTH_ROLE_ADMIN ? "ADMIN" : "USER");
    return http_reply_json_text(request, 200, "{}");
}

int verify(struct http_request *request)
{
    const char *required = http_header(request, "X-Required-Role");
    bool any = required != NULL && strcmp(required, "ANY") == 0;
    bool user = required != NULL && strcmp(required, "USER") == 0;
    bool admin = required != NULL && strcmp(required, "ADMIN") == 0;
    struct auth_claims claims;
    const char *reason;
    int ret;

    if (!any && !user && !admin)
        return http_problem(
            request, 400, "bad_header", "X-Required-Role must be USER, ADMIN or ANY");
    ret = auth_check(tokens, http_header(request, "Authorization"), &claims, &reason);
    if (ret == -EACCES)
        return reply_unauthorized(request, "unauthorized", reason);
    if (ret < 0)
        return reply_failure(request, ret);
    if ((user && claims.role != AUTH_ROLE_USER) || (admin && claims.role != AUTH_ROLE_ADMIN))
        return http_problem(request, 403, "forbidden", "role %s is needed", required);
    return reply_accepted(request, &claims);
}
