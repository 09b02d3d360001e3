/* See http1.h. */
#include "outbox-relay/http/http1.h"
#include "shared/base/hex.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

void http1_begin(struct http1 *http1)
{
    http1->state = HTTP1_STATUS_LINE;
    http1->status = 0;
    http1->keep_alive = http1->chunked = http1->has_coding = http1->has_length = false;
    http1->old_version = http1->field_matters = false;
    http1->left = 0;
    http1->retry_after[0] = '\0';
    http1->line_length = http1->head_length = 0;
    http1->line_cut = false;
}

/* Lines ------------------------------------------------------------------------------------------
 * Each is NUL-terminated, without its line end. */

static int read_status_line(struct http1 *http1, const char *line)
{
    if (strncmp(line, "HTTP/1.", 7) != 0 || (line[7] != '0' && line[7] != '1') || line[8] != ' ')
        return -EBADMSG;
    int status = 0;
    for (int i = 9; i < 12; i++) {
        if (line[i] < '0' || line[i] > '9')
            return -EBADMSG;
        status = status * 10 + (line[i] - '0');
    }
    if ((line[12] != ' ' && line[12] != '\0') || status < 100 || status == 101)
        return -EBADMSG; /* nobody has asked to switch protocols */
    http1->status = status;
    http1->keep_alive = line[7] == '1';
    http1->old_version = line[7] == '0';
    http1->state = HTTP1_FIELDS;
    return 0;
}

/* Whether a comma-separated list holds the word; its case doesn't matter. */
static bool has_word(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (;;) {
        list += strspn(list, " \t,");
        if (*list == '\0')
            return false;
        size_t own = strcspn(list, " \t,;");
        if (own == length && strncasecmp(list, word, length) == 0)
            return true;
        list += strcspn(list, ",");
    }
}

static int read_content_length(struct http1 *http1, const char *value)
{
    uint64_t length = 0;
    size_t digits = strspn(value, "0123456789");
    if (digits == 0 || digits > 18 || value[digits + strspn(value + digits, " \t")] != '\0')
        return -EBADMSG;
    for (size_t i = 0; i < digits; i++)
        length = length * 10 + (uint64_t)(value[i] - '0');
    if (http1->has_length && http1->left != length)
        return -EBADMSG;
    http1->has_length = true;
    http1->left = length;
    return 0;
}

static void read_coding(struct http1 *http1, const char *value)
{
    const char *last = strrchr(value, ',');
    http1->has_coding = true;
    http1->chunked = has_word(last ? last : value, "chunked");
}

static void read_connection(struct http1 *http1, const char *value)
{
    if (has_word(value, "close"))
        http1->keep_alive = false;
    else if (has_word(value, "keep-alive"))
        http1->keep_alive = true;
}

/* The value, when the line is the field `name`. */
static const char *field_value(const char *line, const char *name, size_t length)
{
    if (strncasecmp(line, name, length) != 0 || line[length] != ':')
        return NULL;
    line += length + 1;
    return line + strspn(line, " \t");
}

#define FIELD(line, name) field_value((line), (name), sizeof(name) - 1)

static bool is_framing(const char *line)
{
    return FIELD(line, "content-length") || FIELD(line, "transfer-encoding") ||
           FIELD(line, "connection");
}

static int read_framing(struct http1 *http1, const char *line)
{
    const char *value = FIELD(line, "content-length");
    if (value)
        return read_content_length(http1, value);
    if ((value = FIELD(line, "transfer-encoding")) != NULL)
        read_coding(http1, value);
    else if ((value = FIELD(line, "connection")) != NULL)
        read_connection(http1, value);
    return 0;
}

static int read_field(struct http1 *http1, const char *line)
{
    const char *value;
    /* The rest of a folded field (RFC 9112, 5.2) is passed over, unless it may say where the body
     * ends. */
    if (*line == ' ' || *line == '\t')
        return http1->field_matters ? -EBADMSG : 0;
    http1->field_matters = false;
    switch (*line) {
    case 'c':
    case 'C':
    case 't':
    case 'T':
        http1->field_matters = is_framing(line);
        return read_framing(http1, line);
    case 'r':
    case 'R':
        value = FIELD(line, "retry-after");
        if (value && strlen(value) < sizeof(http1->retry_after))
            memcpy(http1->retry_after, value, strlen(value) + 1);
        return 0;
    default:
        return 0;
    }
}

/* After the fields: what follows is decided by RFC 9112, section 6.3. */
static void begin_body(struct http1 *http1)
{
    if (http1->status < 200) {
        size_t head_length = http1->head_length;
        http1_begin(http1); /* an interim answer: the final one comes next */
        http1->head_length = head_length;
    } else if (http1->status == 204 || http1->status == 304) {
        http1->state = HTTP1_DONE;
    } else if (http1->chunked) {
        /* With a length as well, or in HTTP/1.0, someone may be smuggling: nothing after it is
         * believed. */
        http1->keep_alive = http1->keep_alive && !http1->has_length && !http1->old_version;
        http1->state = HTTP1_CHUNK_SIZE;
    } else if (http1->has_coding || !http1->has_length) {
        http1->keep_alive = false;
        http1->state = HTTP1_UNTIL_END;
    } else {
        http1->state = http1->left > 0 ? HTTP1_BODY : HTTP1_DONE;
    }
}

static int read_chunk_size(struct http1 *http1, const char *line)
{
    uint64_t size = 0;
    int digits = 0;
    for (int digit; (digit = hex_digit(line[digits])) >= 0; digits++) {
        if (digits == 15)
            return -EBADMSG;
        size = size << 4 | (uint64_t)digit;
    }
    char end = line[digits];
    if (digits == 0 || (end != '\0' && end != ';' && end != ' ' && end != '\t'))
        return -EBADMSG;
    http1->left = size;
    http1->state = size > 0 ? HTTP1_CHUNK : HTTP1_TRAILER;
    return 0;
}

static int read_line(struct http1 *http1, const char *line)
{
    switch (http1->state) {
    case HTTP1_STATUS_LINE:
        return read_status_line(http1, line);
    case HTTP1_FIELDS:
        if (*line)
            return read_field(http1, line);
        begin_body(http1);
        return 0;
    case HTTP1_CHUNK_SIZE:
        http1->head_length = 0; /* a body may have any number of chunks */
        return read_chunk_size(http1, line);
    case HTTP1_CHUNK_END:
        http1->state = HTTP1_CHUNK_SIZE;
        return *line ? -EBADMSG : 0;
    case HTTP1_TRAILER:
        if (!*line)
            http1->state = HTTP1_DONE;
        return 0;
    default:
        return -EBADMSG;
    }
}

/* A line of which only the beginning was kept: where the body ends must not be missed. */
static int read_cut_line(struct http1 *http1, const char *line)
{
    return http1->state == HTTP1_FIELDS && is_framing(line) ? -EBADMSG : read_line(http1, line);
}

/* Input ------------------------------------------------------------------------------------------
 */

/* Takes the bytes up to the end of the line, or all. */
static ssize_t feed_line(struct http1 *http1, const char *data, size_t length)
{
    const char *end = memchr(data, '\n', length);
    size_t taken = end ? (size_t)(end - data) + 1 : length;
    size_t text = end ? taken - 1 : length, room = HTTP1_LINE_MAX - 1 - http1->line_length;
    http1->head_length += taken;
    if (http1->head_length > HTTP1_HEAD_MAX || memchr(data, '\0', text))
        return -EBADMSG;
    if (text > room) {
        text = room;
        http1->line_cut = true;
    }
    memcpy(http1->line + http1->line_length, data, text);
    http1->line_length += text;
    if (!end)
        return (ssize_t)taken;
    if (http1->line_length > 0 && http1->line[http1->line_length - 1] == '\r')
        http1->line_length--;
    http1->line[http1->line_length] = '\0';
    http1->line_length = 0;
    int ret = http1->line_cut ? read_cut_line(http1, http1->line) : read_line(http1, http1->line);
    http1->line_cut = false;
    return ret < 0 ? ret : (ssize_t)taken;
}

static size_t feed_body(struct http1 *http1, const char *data, size_t length)
{
    size_t taken = length;
    if (http1->state != HTTP1_UNTIL_END) {
        if (taken > http1->left)
            taken = (size_t)http1->left;
        http1->left -= taken;
    }
    http1->on_body(http1->context, data, taken);
    if (http1->state == HTTP1_BODY && http1->left == 0)
        http1->state = HTTP1_DONE;
    else if (http1->state == HTTP1_CHUNK && http1->left == 0)
        http1->state = HTTP1_CHUNK_END;
    return taken;
}

ssize_t http1_feed(struct http1 *http1, const char *data, size_t length)
{
    size_t at = 0;
    while (at < length && http1->state != HTTP1_DONE) {
        if (http1->state == HTTP1_BODY || http1->state == HTTP1_CHUNK ||
            http1->state == HTTP1_UNTIL_END) {
            at += feed_body(http1, data + at, length - at);
            continue;
        }
        ssize_t taken = feed_line(http1, data + at, length - at);
        if (taken < 0)
            return taken;
        at += (size_t)taken;
    }
    return (ssize_t)at;
}

int http1_end(struct http1 *http1)
{
    http1->keep_alive = false;
    if (http1->state == HTTP1_UNTIL_END)
        http1->state = HTTP1_DONE;
    return http1->state == HTTP1_DONE ? 0 : -EBADMSG;
}
