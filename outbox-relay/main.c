/* outbox-relay: delivers the events of transactional outboxes over HTTP. Finds the command and runs
 * it; everything else is in cmd_*.c. */
#include "outbox-relay/command.h"
#include "outbox-relay/settings.h"
#include "shared/log.h"

#include <stdio.h>
#include <string.h>

static const struct command *const COMMANDS[] = {&CMD_INIT, &CMD_SUBSCRIBE, &CMD_RUN};

static void print_help(FILE *out)
{
    fprintf(out,
        "outbox-relay %s - deliver the events of PostgreSQL outboxes over HTTP\n\n"
        "usage: outbox-relay COMMAND [options]\n\n",
        VERSION);
    for (size_t i = 0; i < ARRAY_SIZE(COMMANDS); i++)
        fprintf(out, "  %-10s %s\n", COMMANDS[i]->name, COMMANDS[i]->summary);
    fprintf(out, "\noutbox-relay COMMAND --help tells more; --version; --settings lists the\n"
                 "environment variables of run; --settings-markdown the same for documents.\n");
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    log_init("outbox-relay", LOG_LEVEL_WARN);
    if (!name) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
        print_help(stdout);
    else if (strcmp(name, "--version") == 0)
        printf("outbox-relay %s\n", VERSION);
    else if (strcmp(name, "--settings") == 0)
        settings_print_help(stdout, RELAY_SETTINGS, RELAY_SETTINGS_COUNT);
    else if (strcmp(name, "--settings-markdown") == 0)
        settings_print_markdown(stdout, RELAY_SETTINGS, RELAY_SETTINGS_COUNT);
    else {
        for (size_t i = 0; i < ARRAY_SIZE(COMMANDS); i++)
            if (strcmp(name, COMMANDS[i]->name) == 0)
                return COMMANDS[i]->run(COMMANDS[i], argc - 1, argv + 1);
        fprintf(stderr, "outbox-relay: unknown command %s (see outbox-relay --help)\n", name);
        return EXIT_USAGE;
    }
    return EXIT_DONE;
}
