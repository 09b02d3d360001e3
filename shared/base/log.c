/* JSON log lines: formatted on the stack, without allocation, and written by one write(2). */
#include "shared/base/log.h"

#include "shared/base/cleanup.h"
#include "shared/base/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_SIZE 8192
#define LINE_TAIL 4 /* kept free for what closes a cut line: "}\n and a spare */

struct line {
    char text[LINE_SIZE];
    size_t length;
};

static const char *const LEVEL_NAMES[] = {"debug", "info", "warn", "error"};

static const char *log_program = "?";
static atomic_int log_lowest = LOG_LEVEL_INFO;
static _Thread_local const char *context_request_id;
static _Thread_local const char *context_traceparent;

void log_init(const char *program, enum log_level lowest)
{
    log_program = program;
    atomic_store(&log_lowest, (int)lowest);
}

bool log_is_on(enum log_level level)
{
    return (int)level >= atomic_load(&log_lowest);
}

int log_level_parse(const char *text, enum log_level *ret_level)
{
    for (size_t i = 0; i < ARRAY_SIZE(LEVEL_NAMES); i++) {
        if (strcmp(text, LEVEL_NAMES[i]) == 0) {
            *ret_level = (enum log_level)i;
            return 0;
        }
    }
    return -EINVAL;
}

void log_context_set(const char *request_id, const char *traceparent)
{
    context_request_id = request_id;
    context_traceparent = traceparent;
}

void log_context_clear(void)
{
    log_context_set(NULL, NULL);
}

static size_t line_room(const struct line *line)
{
    return sizeof line->text - LINE_TAIL - line->length;
}

static bool line_put(struct line *line, const char *bytes, size_t length)
{
    if (length > line_room(line))
        return false;
    memcpy(line->text + line->length, bytes, length);
    line->length += length;
    return true;
}

/* The JSON form of one character; bytes that are no UTF-8 become U+FFFD. Returns its length. */
static size_t escape(const unsigned char *from, char to[8], size_t *ret_consumed)
{
    size_t valid = utf8_sequence((const char *)from);
    *ret_consumed = valid ? valid : 1;
    if (!valid) {
        memcpy(to, "\xEF\xBF\xBD", 3);
        return 3;
    }
    if (valid > 1) {
        memcpy(to, from, valid);
        return valid;
    }
    static const char SPECIAL[] = "\"\\\n\t\r", WRITTEN[] = "\"\\ntr";
    const char *special = *from ? strchr(SPECIAL, *from) : NULL;
    if (special) {
        to[0] = '\\';
        to[1] = WRITTEN[special - SPECIAL];
        return 2;
    }
    if (*from < 0x20 || *from == 0x7F)
        return (size_t)snprintf(to, 8, "\\u%04x", *from);
    to[0] = (char)*from;
    return 1;
}

/* Writes as much of the text as there is room for, always as a closed JSON string. */
static void line_put_string(struct line *line, const char *text)
{
    line->text[line->length++] = '"';
    while (*text) {
        char escaped[8];
        size_t consumed;
        size_t length = escape((const unsigned char *)text, escaped, &consumed);
        if (length + 1 > line_room(line))
            break;
        line_put(line, escaped, length);
        text += consumed;
    }
    line->text[line->length++] = '"';
}

/* `,"key":` when at least an empty value fits behind it. Keys are literals: not escaped. */
static bool line_put_key(struct line *line, const char *key)
{
    size_t length = strlen(key);
    if (length + 4 + 24 > line_room(line))
        return false;
    if (line->length > 1)
        line_put(line, ",", 1);
    line_put(line, "\"", 1);
    line_put(line, key, length);
    return line_put(line, "\":", 2);
}

static void line_put_text_field(struct line *line, const char *key, const char *text)
{
    if (line_put_key(line, key))
        line_put_string(line, text);
}

static void line_put_time(struct line *line)
{
    struct timespec now;
    struct tm utc;
    char text[40];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t length = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + length, sizeof text - length, ".%06ldZ", now.tv_nsec / 1000);
    line_put_text_field(line, "time", text);
}

static void line_put_field(struct line *line, const struct log_field *field)
{
    if (field->text) {
        line_put_text_field(line, field->key, field->text);
        return;
    }
    char text[24];
    int length = snprintf(text, sizeof text, "%" PRId64, field->number);
    if (line_put_key(line, field->key))
        line_put(line, text, (size_t)length);
}

void log_write(
    enum log_level level, const char *message, const struct log_field *fields, size_t field_count)
{
    if (!log_is_on(level))
        return;

    struct line line;
    line.text[0] = '{';
    line.length = 1;
    line_put_time(&line);
    line_put_text_field(&line, "level", LEVEL_NAMES[level]);
    line_put_text_field(&line, "program", log_program);
    line_put_text_field(&line, "message", message);
    if (context_request_id)
        line_put_text_field(&line, "requestId", context_request_id);
    if (context_traceparent)
        line_put_text_field(&line, "traceparent", context_traceparent);
    for (size_t i = 0; i < field_count; i++)
        line_put_field(&line, &fields[i]);
    line.text[line.length++] = '}';
    line.text[line.length++] = '\n';

    /* A log that can't be written has nowhere to be reported. */
    int saved_errno = errno;
    while (write(STDERR_FILENO, line.text, line.length) < 0 && errno == EINTR)
        ;
    errno = saved_errno;
}
