/* What a connection string says, for those who connect by it. */
#ifndef RELAY_PG_CONNINFO_H
#define RELAY_PG_CONNINFO_H

/* Seconds to wait for each host of a connection string that does not say so itself, as the text of
 * libpq's connect_timeout: less where another host may answer. Put it before the connection string,
 * whose own connect_timeout then counts. */
const char *pg_connect_timeout(const char *conninfo);

#endif
