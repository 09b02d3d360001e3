/* See pg_conninfo.h. */
#include "outbox-relay/postgres/pg_conninfo.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define ONE_HOST "10"
#define SEVERAL_HOSTS "3"

static const char *value_of(const PQconninfoOption *options, const char *keyword)
{
    for (const PQconninfoOption *option = options; option && option->keyword; option++)
        if (strcmp(option->keyword, keyword) == 0)
            return option->val ? option->val : "";
    return "";
}

static bool is_list(const PQconninfoOption *options, const char *keyword)
{
    return strchr(value_of(options, keyword), ',') != NULL;
}

static bool names_hosts(const PQconninfoOption *options)
{
    return *value_of(options, "host") || *value_of(options, "hostaddr");
}

const char *pg_connect_timeout(const char *conninfo)
{
    PQconninfoOption *options = PQconninfoParse(conninfo, NULL); /* NULL: a database's name */
    if (!names_hosts(options)) {
        PQconninfoFree(options);
        options = PQconndefaults(); /* those of the environment */
    }
    bool several = is_list(options, "host") || is_list(options, "hostaddr");
    PQconninfoFree(options);
    return several ? SEVERAL_HOSTS : ONE_HOST;
}
