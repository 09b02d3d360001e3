/* Settings from the environment by a table. */
#include "shared/base/settings.h"
#include "shared/base/choices.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_MAX 65536 /* bytes of a file that holds a secret */

static char **text_target(const struct setting *setting, void *target)
{
    return (char **)(void *)((char *)target + setting->offset);
}

static int fail(char **ret_error, const char *format, ...) PRINTF_LIKE(2, 3);
static int fail(char **ret_error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(ret_error, format, arguments) < 0)
        *ret_error = NULL;
    va_end(arguments);
    return -EINVAL;
}

/* The variable's value; NULL when unset or empty. */
static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static int keep_text(
    const struct setting *setting, void *target, const char *text, char **ret_error)
{
    char *copy = strdup(text);
    if (!copy)
        return fail(ret_error, "%s: out of memory", setting->name);
    char **field = text_target(setting, target);
    free(*field);
    *field = copy;
    return 0;
}

static int load_text(
    const struct setting *setting, void *target, const char *text, char **ret_error)
{
    char choices[256];
    if (!setting->choices || choices_have(setting->choices, text))
        return keep_text(setting, target, text, ret_error);
    choices_list(setting->choices, choices, sizeof choices);
    return fail(ret_error, "%s must be %s, not \"%s\"", setting->name, choices, text);
}

static int load_int(const struct setting *setting, void *target, const char *text, char **ret_error)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    bool starts_well = *text == '-' || (*text >= '0' && *text <= '9');
    if (errno || *end || !starts_well || value < setting->min || value > setting->max)
        return fail(ret_error,
            "%s must be an integer from %" PRId64 " to %" PRId64 "%s%s, not \"%s\"", setting->name,
            setting->min, setting->max, setting->unit ? " " : "",
            setting->unit ? setting->unit : "", text);
    *(int64_t *)(void *)((char *)target + setting->offset) = value;
    return 0;
}

static int load_bool(
    const struct setting *setting, void *target, const char *text, char **ret_error)
{
    bool yes = strcmp(text, "true") == 0;
    if (!yes && strcmp(text, "false") != 0)
        return fail(ret_error, "%s must be true or false, not \"%s\"", setting->name, text);
    *(bool *)((char *)target + setting->offset) = yes;
    return 0;
}

/* Reads a small file and drops the newlines at its end. NULL and errno on failure. */
static char *read_secret(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    char *text = malloc(SECRET_MAX + 1);
    size_t length = 0;
    ssize_t got = text ? 1 : -1;
    while (got > 0 && length < SECRET_MAX) {
        got = read(fd, text + length, SECRET_MAX - length);
        if (got > 0)
            length += (size_t)got;
    }
    int error = errno;
    close(fd);
    if (got != 0) {
        free(text);
        errno = got < 0 ? error : EFBIG;
        return NULL;
    }
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r'))
        length--;
    text[length] = '\0';
    return text;
}

static int load_secret_file(
    const struct setting *setting, void *target, const char *path, char **ret_error)
{
    char *text = read_secret(path);
    if (!text)
        return fail(ret_error, "%s_FILE: %s: %s", setting->name, path, strerror(errno));
    if (*text == '\0') {
        free(text);
        return fail(ret_error, "%s_FILE: %s is empty", setting->name, path);
    }
    char **field = text_target(setting, target);
    free(*field);
    *field = text;
    return 0;
}

static int load_value(
    const struct setting *setting, void *target, const char *text, char **ret_error)
{
    switch (setting->type) {
    case SETTING_TEXT:
        return load_text(setting, target, text, ret_error);
    case SETTING_SECRET:
        return keep_text(setting, target, text, ret_error);
    case SETTING_INT:
        return load_int(setting, target, text, ret_error);
    case SETTING_BOOL:
        return load_bool(setting, target, text, ret_error);
    }
    return fail(ret_error, "%s: unknown type of setting", setting->name);
}

static int load_one(const struct setting *setting, void *target, char **ret_error)
{
    const char *value = environment(setting->name);
    const char *path = NULL;
    if (setting->type == SETTING_SECRET) {
        char file_name[128];
        snprintf(file_name, sizeof file_name, "%s_FILE", setting->name);
        path = environment(file_name);
    }
    if (value && path)
        return fail(ret_error, "%s and %s_FILE are both set", setting->name, setting->name);
    if (path)
        return load_secret_file(setting, target, path, ret_error);
    if (!value)
        value = setting->fallback;
    if (!value)
        return fail(ret_error, "%s is not set: %s", setting->name, setting->help);
    return load_value(setting, target, value, ret_error);
}

int settings_load(const struct setting *table, size_t count, void *target, char **ret_error)
{
    for (size_t i = 0; i < count; i++) {
        int error = load_one(&table[i], target, ret_error);
        if (error)
            return error;
    }
    return 0;
}

void settings_release(const struct setting *table, size_t count, void *target)
{
    for (size_t i = 0; i < count; i++) {
        if (table[i].type != SETTING_TEXT && table[i].type != SETTING_SECRET)
            continue;
        char **field = text_target(&table[i], target);
        free(*field);
        *field = NULL;
    }
}

/* What may be written: "8000 to 9000 ms", "true or false", "SERVICE|INIT". */
static void allowed_values(const struct setting *setting, char *buffer, size_t size)
{
    buffer[0] = '\0';
    if (setting->type == SETTING_INT)
        snprintf(buffer, size, "%" PRId64 " to %" PRId64 "%s%s", setting->min, setting->max,
            setting->unit ? " " : "", setting->unit ? setting->unit : "");
    else if (setting->type == SETTING_BOOL)
        snprintf(buffer, size, "true or false");
    else if (setting->choices)
        snprintf(buffer, size, "%s", setting->choices);
}

void settings_print_help(FILE *out, const struct setting *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct setting *s = &table[i];
        char allowed[128];
        allowed_values(s, allowed, sizeof allowed);
        fprintf(out, "  %s", s->name);
        if (s->type == SETTING_SECRET)
            fprintf(out, " (secret; or %s_FILE)", s->name);
        fprintf(out, "\n      %s", s->help);
        if (allowed[0])
            fprintf(out, " [%s]", allowed);
        if (!s->fallback)
            fprintf(out, " (required)");
        else if (s->fallback[0])
            fprintf(out, " (default: %s)", s->fallback);
        fputc('\n', out);
    }
}

/* A cell's text; a bar would end the cell. */
static void print_cell(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text, out);
    }
}

void settings_print_markdown(FILE *out, const struct setting *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct setting *s = &table[i];
        char allowed[128];
        allowed_values(s, allowed, sizeof allowed);
        fprintf(out, "| `%s`", s->name);
        if (s->type == SETTING_SECRET)
            fprintf(out, ", `%s_FILE`", s->name);
        fputs(" | ", out);
        if (!s->fallback)
            fputs("required", out);
        else if (s->fallback[0])
            fprintf(out, "`%s`", s->fallback);
        fputs(" | ", out);
        print_cell(out, allowed);
        fputs(" | ", out);
        print_cell(out, s->help);
        fputs(" |\n", out);
    }
}
