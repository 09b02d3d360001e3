/* Light checks of contact data. */
#include "services/user-profile/contact.h"

#include <string.h>

#define MIN_PHONE_DIGITS 3
#define MAX_PHONE_DIGITS 20 /* E.164 has 15; extensions are dialled too */

static bool is_control(unsigned char c)
{
    return c < 0x20 || c == 0x7f;
}

static bool domain_ok(const char *domain)
{
    if (*domain == '.' || *domain == '\0')
        return false;
    for (const char *p = domain; *p; p++) {
        if (*p == '.' && (p[1] == '.' || p[1] == '\0'))
            return false;
    }
    return true;
}

bool contact_email_ok(const char *email)
{
    const char *at = strchr(email, '@');
    if (!at || at == email || strchr(at + 1, '@'))
        return false;
    for (const char *p = email; *p; p++) {
        if (*p == ' ' || is_control((unsigned char)*p))
            return false;
    }
    return domain_ok(at + 1);
}

bool contact_phone_ok(const char *phone)
{
    int digits = 0;
    for (const char *p = *phone == '+' ? phone + 1 : phone; *p; p++) {
        if (*p >= '0' && *p <= '9')
            digits++;
        else if (!strchr(" -.()", *p))
            return false;
    }
    return digits >= MIN_PHONE_DIGITS && digits <= MAX_PHONE_DIGITS;
}

bool contact_name_ok(const char *name)
{
    for (const char *p = name; *p; p++) {
        if (is_control((unsigned char)*p))
            return false;
    }
    return true;
}
