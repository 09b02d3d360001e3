/* outbox-relay init: installs the schema outbox into any PostgreSQL database. */
#include "outbox-relay/command.h"
#include "shared/db.h"
#include "shared/log.h"
#include "shared/migrate.h"

#include <stdio.h>

static int install(const char *dsn)
{
    struct db *db;
    int applied;
    struct db_pool *pool = db_pool_new(dsn, "outbox-relay", 1, 10000);
    if (!pool)
        return command_failed("out of memory");
    int status = EXIT_FAILED, ret = db_acquire(pool, &db);
    if (ret == 0) {
        ret = migrate(db, &sql_outbox, &applied);
        if (ret == 0)
            status = EXIT_DONE;
        else
            command_failed("the schema can't be installed: %s", db_error(db));
        db_release(db);
    } else {
        command_failed("the database can't be reached");
    }
    db_pool_free(pool);
    if (status == EXIT_DONE)
        printf(applied ? "installed: schema outbox (%d migrations)\n"
                       : "nothing to do: schema outbox is up to date\n",
            applied);
    return status;
}

static int run(const struct command *command, int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        {"source", required_argument, NULL, 's'}, {"help", no_argument, NULL, 'h'}, {0}};
    const char *dsn = NULL;
    int status, option;
    while ((option = command_option(command, argc, argv, OPTIONS, &status)) != -1) {
        if (option == -2)
            return status;
        dsn = optarg;
    }
    if (optind < argc)
        return command_misuse(command, "unexpected argument %s", argv[optind]);
    /* Says why a database can't be reached, in the server's own words. */
    PGconn *connection = command_connect(command, dsn, &status);
    if (!connection)
        return status;
    PQfinish(connection);
    return install(dsn ? dsn : getenv("OUTBOX_RELAY_SOURCE"));
}

const struct command CMD_INIT = {
    .name = "init",
    .synopsis = "--source DSN",
    .summary = "Install the outbox into a PostgreSQL database, or bring it up to date",
    .help = "  --source DSN   the database, as a URI or KEY=VALUE text\n"
            "                 (default: the variable OUTBOX_RELAY_SOURCE)\n"
            "\n"
            "The role needs to own the database, or to have CREATE on it and on its schema\n"
            "public. Safe to run again, and by several at the same time.\n",
    .run = run,
};
