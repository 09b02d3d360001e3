/* Reading answers to POSTs: whole, byte by byte, and cut at every place. */
#include "outbox-relay/http/http1.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct answer {
    const char *text;
    int status; /* 0: the answer is refused */
    const char *body, *retry_after;
    bool keep_alive;
    bool until_end; /* ends with the connection */
    size_t extra;   /* bytes after the answer */
};

static const struct answer ANSWERS[] = {
    {"HTTP/1.1 204 No Content\r\n\r\n", 204, "", "", true, false, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, "{}", "", true, false, 0},
    {"HTTP/1.1 200\r\ncontent-LENGTH:2\t\r\n\r\n{}", 200, "{}", "", true, false, 0},
    {"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}", 200, "{}", "", true, false, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "", "", true, false, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 200, "{}", "", true,
        false, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{}", 200, "{", "", true, false, 1},
    {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", 200, "{}", "", false,
        false, 0},
    {"HTTP/1.1 200 OK\r\nConnection: te, Close\r\nContent-Length: 2\r\n\r\n{}", 200, "{}", "",
        false, false, 0},
    {"HTTP/1.1 200 OK\r\nConnection: closed\r\nContent-Length: 2\r\n\r\n{}", 200, "{}", "", true,
        false, 0},
    {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, "{}", "", false, false, 0},
    {"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\n{}", 200, "{}", "",
        true, false, 0},
    {"HTTP/1.1 200 OK\r\n\r\nsome text", 200, "some text", "", false, true, 0},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nxyz", 200, "xyz", "", false, true, 0},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200, "abc", "",
        true, false, 0},
    {"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, Chunked\r\n\r\n"
     "A;x=y\r\n0123456789\r\n1 \r\na\r\n00\r\nTrailer: 1\r\n\r\nrest",
        200, "0123456789a", "", true, false, 4},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: "
     "3\r\n\r\n1\r\na\r\n0\r\n\r\n",
        200, "a", "", false, false, 0},
    {"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
     "HTTP/1.1 204 No Content\r\n\r\n",
        204, "", "", true, false, 0},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", 304, "", "", true, false, 0},
    {"HTTP/1.1 503 Busy\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n", 503, "", "120", true,
        false, 0},
    {"HTTP/1.1 429 Slow Down\r\nretry-after: Fri, 31 Dec 1999 23:59:59 GMT\r\nContent-Length: "
     "0\r\n\r\n",
        429, "", "Fri, 31 Dec 1999 23:59:59 GMT", true, false, 0},
    {"HTTP/1.1 200 OK\r\nRetry-Afterwards: 1\r\nContent-Lengthy: 7\r\nContent-Length: 0\r\n\r\n",
        200, "", "", true, false, 0},
    {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
     "1\r\na\r\n0\r\n\r\n",
        200, "a", "", false, false, 0},
    {"HTTP/1.1 200 OK\r\nX: a\r\n Content-Length: 7\r\n\tb\r\nContent-Length: 2\r\n\r\n{}", 200,
        "{}", "", true, false, 0},
    /* Not HTTP/1, or not whole. */
    {.text = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n 2\r\n\r\nab"},
    {.text = "HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\tchunked\r\n\r\n0\r\n\r\n"},
    {.text = "HTTP/2 200\r\n\r\n"},
    {.text = "HTTP/1.2 200 OK\r\n\r\n"},
    {.text = "HTTP/1.1 20 OK\r\n\r\n"},
    {.text = "HTTP/1.1 2000 OK\r\n\r\n"},
    {.text = "HTTP/1.1 099 OK\r\n\r\n"},
    {.text = "HTTP/1.1 101 Switching Protocols\r\n\r\n"},
    {.text = "\r\nHTTP/1.1 200 OK\r\n\r\n"},
    {.text = "garbage\r\n\r\n"},
    {.text = "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"},
    {.text = "HTTP/1.1 200 OK\r\nContent-Length: 0x10\r\n\r\n"},
    {.text = "HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999\r\n\r\n"},
    {.text = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"},
    {.text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"},
    {.text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n"},
    {.text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n"},
    {.text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1234567890123456\r\n"},
    {.text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n"},
    {.text = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"},
    {.text = "HTTP/1.1 200 OK\r\nContent-Le"},
    {.text = ""},
};

struct read {
    struct http1 http1;
    char body[64];
    size_t length;
};

static void on_body(void *context, const char *data, size_t length)
{
    struct read *read = context;
    assert_true(read->length + length < sizeof(read->body));
    memcpy(read->body + read->length, data, length);
    read->length += length;
}

/* Feeds `step` bytes at a time (the first time `first`), then the end of the connection. Returns 0,
 * with the bytes that were left over, or a negative errno. */
static int feed(struct read *read, const char *text, size_t first, size_t step, size_t *ret_extra)
{
    size_t length = strlen(text), at = 0, piece = first;
    *read = (struct read){.http1 = {.on_body = on_body, .context = read}};
    http1_begin(&read->http1);
    for (; at < length && read->http1.state != HTTP1_DONE; piece = step) {
        if (piece > length - at)
            piece = length - at;
        ssize_t taken = http1_feed(&read->http1, text + at, piece);
        if (taken < 0)
            return (int)taken;
        assert_true((size_t)taken == piece || read->http1.state == HTTP1_DONE);
        at += (size_t)taken;
    }
    *ret_extra = length - at;
    return read->http1.state == HTTP1_DONE ? 0 : http1_end(&read->http1);
}

static void expect(const struct answer *answer, size_t first, size_t step)
{
    struct read read;
    size_t extra = 0;
    int ret = feed(&read, answer->text, first, step, &extra);
    if (answer->status == 0) {
        assert_int_equal(ret, -EBADMSG);
        return;
    }
    assert_int_equal(ret, 0);
    assert_int_equal(read.http1.status, answer->status);
    assert_int_equal(read.length, strlen(answer->body));
    assert_memory_equal(read.body, answer->body, read.length);
    assert_string_equal(read.http1.retry_after, answer->retry_after);
    assert_int_equal(read.http1.keep_alive, answer->keep_alive);
    assert_int_equal(extra, answer->extra);
}

static void answers_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(ANSWERS); i++) {
        size_t length = strlen(ANSWERS[i].text);
        expect(&ANSWERS[i], length, length);
        for (size_t step = 1; step < 8; step++)
            expect(&ANSWERS[i], step, step);
        for (size_t cut = 1; cut < length; cut++)
            expect(&ANSWERS[i], cut, length);
    }
}

static int feed_long(const char *format, size_t length, struct read *read)
{
    AUTO_FREE char *filler = malloc(length + 1);
    AUTO_FREE char *text = NULL;
    size_t extra;
    memset(filler, 'x', length);
    filler[length] = '\0';
    assert_true(asprintf(&text, format, filler) > 0);
    return feed(read, text, 1000, 1000, &extra);
}

static void long_lines_are_passed_over(void **state)
{
    static const char FORMAT[] = "HTTP/1.1 200 %1$s\r\nX-Long: %1$s\r\nContent-Length: 2\r\n\r\n{}";
    struct read read;
    (void)state;
    for (size_t length = HTTP1_LINE_MAX - 40; length < HTTP1_LINE_MAX + 40; length++) {
        assert_int_equal(feed_long(FORMAT, length, &read), 0);
        assert_int_equal(read.http1.status, 200);
        assert_int_equal(read.length, 2);
    }
}

static void where_the_body_ends_is_not_missed(void **state)
{
    struct read read;
    (void)state;
    assert_int_equal(
        feed_long("HTTP/1.1 200 OK\r\nConnection: %s, close\r\n\r\n", 600, &read), -EBADMSG);
    assert_int_equal(
        feed_long("HTTP/1.1 200 OK\r\nTransfer-Encoding: %s,chunked\r\n\r\n", 600, &read),
        -EBADMSG);
}

static void heads_have_a_limit(void **state)
{
    struct read read;
    (void)state;
    assert_int_equal(
        feed_long("HTTP/1.1 204 No\r\nA: %s\r\n\r\n", HTTP1_HEAD_MAX, &read), -EBADMSG);
    assert_int_equal(feed_long("HTTP/1.1 204 No\r\nA: %s\r\n\r\n", HTTP1_HEAD_MAX / 2, &read), 0);
}

static void a_connection_is_used_again(void **state)
{
    static const char FIRST[] =
        "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{}";
    static const char SECOND[] = "HTTP/1.1 204 No Content\r\n\r\n";
    struct read read = {.http1 = {.on_body = on_body, .context = &read}};
    (void)state;
    http1_begin(&read.http1);
    assert_int_equal(http1_feed(&read.http1, FIRST, sizeof(FIRST) - 1), sizeof(FIRST) - 1);
    assert_int_equal(read.http1.state, HTTP1_DONE);
    http1_begin(&read.http1);
    assert_int_equal(http1_feed(&read.http1, SECOND, sizeof(SECOND) - 1), sizeof(SECOND) - 1);
    assert_int_equal(read.http1.state, HTTP1_DONE);
    assert_int_equal(read.http1.status, 204);
    assert_string_equal(read.http1.retry_after, "");
}

static void a_zero_byte_is_no_text(void **state)
{
    static const char TEXT[] = "HTTP/1.1 204 No\0Content\r\n\r\n";
    struct read read = {.http1 = {.on_body = on_body, .context = &read}};
    (void)state;
    http1_begin(&read.http1);
    assert_int_equal(http1_feed(&read.http1, TEXT, sizeof(TEXT) - 1), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_read),
        cmocka_unit_test(long_lines_are_passed_over),
        cmocka_unit_test(where_the_body_ends_is_not_missed),
        cmocka_unit_test(heads_have_a_limit),
        cmocka_unit_test(a_connection_is_used_again),
        cmocka_unit_test(a_zero_byte_is_no_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
