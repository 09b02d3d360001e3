/* The body of an answer, of which a part is kept: receivers must not be able to fill the memory. */
#ifndef RELAY_ANSWER_BODY_H
#define RELAY_ANSWER_BODY_H

#include "outbox-relay/base/buffer.h"
#include "outbox-relay/http/exchange.h"

#define ANSWER_BODY_MAX 1048576 /* the rest is read and dropped */

struct answer_body {
    struct buffer text;
    bool cut;          /* the answer is longer than what is kept of it */
    size_t *all_bytes; /* kept of all answers under way: shared by the bodies of a transport */
};

void answer_body_add(struct answer_body *body, const char *data, size_t length);

/* The answer is whole: puts what was kept into the response, as text. The memory of a large one is
 * moved to `ret_large`, to be released once the response has been read; that of a small one stays
 * for the next answer. The body is then ready for that. */
void answer_body_end(struct answer_body *body, struct response *response, struct buffer *ret_large);

void answer_body_release(struct answer_body *body);

#endif
