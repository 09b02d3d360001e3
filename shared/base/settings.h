/* Settings from the environment, described by one table that also makes --help and
 * docs/configuration.md. Every program has one table of its own settings; a service's is appended
 * to the common one of service.h. */
#ifndef SHARED_SETTINGS_H
#define SHARED_SETTINGS_H

#include "shared/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum setting_type {
    SETTING_TEXT,   /* char *, owned by the target */
    SETTING_SECRET, /* char *; NAME_FILE may name a file that holds it (trailing newline dropped);
                       never printed */
    SETTING_INT,    /* int64_t within [min, max] */
    SETTING_BOOL,   /* bool: true or false */
};

struct setting {
    const char *name; /* the environment variable */
    enum setting_type type;
    size_t offset;        /* of the field in the target struct */
    const char *fallback; /* as it would be written in the environment; NULL: required */
    int64_t min, max;     /* SETTING_INT only */
    const char *unit;     /* "ms", "bytes" …; NULL when it has none */
    const char *choices;  /* SETTING_TEXT: the words allowed, separated by '|'; NULL: any */
    const char *help;     /* one sentence */
};

/* Fills `target` from the environment. On error returns -EINVAL and a message in *ret_error (owned
 * by the caller) that names the variable, what is wrong and what is allowed; the target may be
 * partly filled and is still to be released. An empty variable counts as unset. */
MUST_CHECK int settings_load(
    const struct setting *table, size_t count, void *target, char **ret_error);

/* Frees the strings in `target`. */
void settings_release(const struct setting *table, size_t count, void *target);

/* Prints the table for people (--help) or as the rows of a Markdown table. */
void settings_print_help(FILE *out, const struct setting *table, size_t count);
void settings_print_markdown(FILE *out, const struct setting *table, size_t count);

#endif
