/* Light checks of contact data: they refuse what no real address or number looks like, and confirm
 * nothing. */
#ifndef USER_PROFILE_CONTACT_H
#define USER_PROFILE_CONTACT_H

#include <stdbool.h>

/* Something, one @, and a domain of non-empty labels after it; no white space or control
 * characters. */
bool contact_email_ok(const char *email);

/* 3 to 20 digits, with an optional leading + and spaces, hyphens, dots and parentheses between. */
bool contact_phone_ok(const char *phone);

/* No control characters. */
bool contact_name_ok(const char *name);

#endif
