/* See answer_body.h. */
#include "outbox-relay/http/answer_body.h"
#include "outbox-relay/base/buffer.h"

/* This much is kept of an answer, which is plenty for an error's text, and its memory between
 * requests; more is kept of an answer that may name the failed events of a batch. */
#define KEEP_BODY 4096
/* All answers together. */
#define ANSWERS_AT_ONCE 4194304

static bool is_object(const struct buffer *text)
{
    size_t at = 0;
    while (at < text->length && strchr(" \t\r\n", text->data[at]))
        at++;
    return at < text->length && text->data[at] == '{';
}

/* How many bytes may follow: only an object can name failed events. */
static size_t room_for_more(const struct answer_body *body)
{
    const struct buffer *text = &body->text;
    size_t all = *body->all_bytes;
    size_t most = text->length >= KEEP_BODY && is_object(text) ? ANSWER_BODY_MAX : KEEP_BODY;
    size_t room = most - text->length;
    size_t left = all < ANSWERS_AT_ONCE ? ANSWERS_AT_ONCE - all : 0;
    return room < left ? room : left;
}

void answer_body_add(struct answer_body *body, const char *data, size_t length)
{
    while (length > 0 && !body->cut) {
        size_t room = room_for_more(body), taken = length < room ? length : room;
        buffer_add(&body->text, data, taken);
        body->cut = taken == 0 || body->text.failed;
        if (body->cut)
            return;
        *body->all_bytes += taken;
        data += taken;
        length -= taken;
    }
}

void answer_body_end(struct answer_body *body, struct response *response, struct buffer *ret_large)
{
    struct buffer *text = &body->text;
    *ret_large = (struct buffer){0};
    *body->all_bytes -= text->length;
    response->cut = body->cut;
    response->body_length = text->failed ? 0 : text->length;
    buffer_add(text, "", 1);
    response->body = text->failed ? "" : text->data;
    if (text->capacity > KEEP_BODY + 1) {
        *ret_large = *text;
        *text = (struct buffer){0};
    }
    text->length = 0;
    text->failed = false;
    body->cut = false;
}

void answer_body_release(struct answer_body *body)
{
    *body->all_bytes -= body->text.length;
    buffer_release(&body->text);
}
