/* Signing secrets as the database names them: the value itself, a file or an environment variable.
 */
#ifndef RELAY_SECRET_H
#define RELAY_SECRET_H

#include "shared/base/cleanup.h"
#include "shared/base/webhook.h"

/* `value`: whsec_…, file:/path or env:NAME. Errors: -EINVAL (no such secret text), -ENOENT (no such
 * variable), or what opening and reading the file gave. */
MUST_CHECK int secret_resolve(const char *value, struct webhook_key *ret_key);

#endif
