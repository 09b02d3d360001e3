/* Answers of receivers: what is read does not depend on how the bytes were split, and a body has
 * the length that its answer says. */
#include "outbox-relay/base/backoff.h"
#include "outbox-relay/http/http1.h"
#include "tests/fuzz/fuzz.h"

struct reading {
    struct http1 http1;
    int ret; /* 0: a whole answer, else an errno */
    size_t taken, body_length;
    uint64_t body_hash;
};

static void on_body(void *context, const char *data, size_t length)
{
    struct reading *reading = context;
    reading->body_length += length;
    for (size_t i = 0; i < length; i++)
        reading->body_hash = (reading->body_hash ^ (unsigned char)data[i]) * 0x100000001b3;
}

/* The length of the next piece, from 1 on. */
typedef size_t next_piece(uint64_t *state, size_t left);

static size_t all_at_once(uint64_t *state, size_t left)
{
    (void)state;
    return left;
}

static size_t one_byte(uint64_t *state, size_t left)
{
    (void)state;
    (void)left;
    return 1;
}

static size_t any_length(uint64_t *state, size_t left)
{
    uint64_t random = random_next(state);
    size_t length = 1 + (size_t)(random >> 8) % (random & 1 ? 8 : 700);
    return length < left ? length : left;
}

static void feed(
    struct reading *reading, const char *data, size_t length, next_piece *next, uint64_t random)
{
    *reading = (struct reading){.http1 = {.on_body = on_body, .context = reading}};
    struct http1 *http1 = &reading->http1;
    http1_begin(http1);
    while (reading->taken < length && http1->state != HTTP1_DONE) {
        size_t piece = next(&random, length - reading->taken);
        AUTO_FREE char *copy = fuzz_copy(data + reading->taken, piece);
        ssize_t taken = http1_feed(http1, copy, piece);
        if (taken < 0) {
            reading->ret = (int)taken;
            return;
        }
        REQUIRE((size_t)taken <= piece);
        REQUIRE((size_t)taken == piece || http1->state == HTTP1_DONE);
        reading->taken += (size_t)taken;
    }
    if (http1->state != HTTP1_DONE)
        reading->ret = http1_end(http1);
}

static void require_same(const struct reading *one, const struct reading *other)
{
    REQUIRE(one->ret == other->ret);
    REQUIRE(one->body_length == other->body_length);
    REQUIRE(one->body_hash == other->body_hash);
    if (one->ret < 0)
        return;
    REQUIRE(one->taken == other->taken);
    REQUIRE(one->http1.status == other->http1.status);
    REQUIRE(one->http1.keep_alive == other->http1.keep_alive);
    REQUIRE(strcmp(one->http1.retry_after, other->http1.retry_after) == 0);
}

static void require_whole(const struct reading *reading)
{
    const struct http1 *http1 = &reading->http1;
    REQUIRE(http1->state == HTTP1_DONE);
    REQUIRE(http1->status >= 200 && http1->status <= 999);
    REQUIRE(reading->body_length <= reading->taken);
    REQUIRE(memchr(http1->retry_after, '\0', sizeof(http1->retry_after)));
    if (http1->status == 204 || http1->status == 304)
        REQUIRE(reading->body_length == 0);
    /* Two ways to tell the length: the next answer on the connection can't be trusted. */
    if (http1->has_coding && http1->has_length && http1->status != 204 && http1->status != 304)
        REQUIRE(!http1->keep_alive);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static next_piece *const WAYS[] = {any_length, one_byte};
    struct reading whole, split;
    feed(&whole, (const char *)data, size, all_at_once, 0);
    if (whole.ret == 0)
        require_whole(&whole);
    /* Byte by byte takes long, and shows no more with a long input. */
    for (size_t i = 0; i < (size < 1000 ? ARRAY_SIZE(WAYS) : 1); i++) {
        feed(&split, (const char *)data, size, WAYS[i], fuzz_hash(data, size));
        require_same(&whole, &split);
    }
    return 0;
}
