/* Databases for tests in the cluster that PGHOST and PGPORT lead to (tests/pg-temp.sh). */
#ifndef TESTS_SUPPORT_DATABASE_H
#define TESTS_SUPPORT_DATABASE_H

/* Makes an empty database; returns its conninfo, which the caller frees. */
char *database_new(void);

/* Runs SQL on a connection of its own; returns the first value of its last result, which the caller
 * frees, "" when there is none. Fails the test on an error. */
char *database_query(const char *conninfo, const char *sql);

/* The same for a number. */
long database_count(const char *conninfo, const char *sql);

/* Ends all other connections to the database, as a restart of the server would. */
void database_kick(const char *conninfo);

/* Stops and continues (SIGSTOP, SIGCONT) the server processes of all other connections to the
 * database, as on a machine that hangs. */
void database_freeze(const char *conninfo);
void database_thaw(void);

/* The server itself: "fast" or "immediate". Started on the same port. */
void database_stop(const char *mode);
void database_start(void);

#endif
