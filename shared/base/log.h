/* JSON log lines on stderr: one object a line with time, level, program, message, the request's
 * identifiers (when set on this thread) and the caller's fields. Library code logs at DEBUG only;
 * the program that decides logs once. Secrets are never passed to it. Thread-safe. */
#ifndef SHARED_LOG_H
#define SHARED_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

struct log_field {
    const char *key;
    const char *text; /* a string field when not NULL, copied into the line, JSON-escaped */
    int64_t number;   /* an integer field otherwise */
};

/* A function, so that the compiler does not complain of an array that is never NULL. */
static inline const char *log_text_or_empty(const char *text)
{
    return text ? text : "";
}

#define LOG_TEXT(k, v) ((struct log_field){.key = (k), .text = log_text_or_empty(v)})
#define LOG_INT(k, v) ((struct log_field){.key = (k), .number = (int64_t)(v)})

/* Sets the program's name (kept, not copied) and the lowest level written. */
void log_init(const char *program, enum log_level lowest);

/* Parses "debug", "info", "warn" or "error"; returns 0, or -EINVAL. */
int log_level_parse(const char *text, enum log_level *ret_level);

/* Sets what identifies the current thread's unit of work on every following line of this thread.
 * The strings are borrowed until log_context_clear(). Either may be NULL. */
void log_context_set(const char *request_id, const char *traceparent);
void log_context_clear(void);

/* Whether lines of this level are written. */
bool log_is_on(enum log_level level);

/* Writes one line with one write(2); a line over 8 KiB is cut. Use the macros below. */
void log_write(
    enum log_level level, const char *message, const struct log_field *fields, size_t field_count);

/* log_info("migration applied", LOG_TEXT("set", name), LOG_INT("version", 3)). The array begins
 * with an empty field so that a line without fields is valid too. */
#define LOG_FIELDS(...) ((const struct log_field[]){{0}, ##__VA_ARGS__})
/* The fields of a line that is not written are not even made: a trace line costs some nanoseconds.
 */
#define LOG_AT(level, message, ...) \
    do { \
        if (log_is_on(level)) \
            log_write((level), (message), LOG_FIELDS(__VA_ARGS__) + 1, \
                sizeof(LOG_FIELDS(__VA_ARGS__)) / sizeof(struct log_field) - 1); \
    } while (0)
#define log_debug(...) LOG_AT(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...) LOG_AT(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(...) LOG_AT(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_error(...) LOG_AT(LOG_LEVEL_ERROR, __VA_ARGS__)

#endif
