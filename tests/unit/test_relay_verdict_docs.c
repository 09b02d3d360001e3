/* Where the documentation lists the statuses that mean one thing, these are all of them and no
 * other. (The table for receivers, docs/relay/receiving.md, is tried by
 * tests/integration/relay/test_pages.py.) */
#include "outbox-relay/engine/verdict.h"
#include "shared/base/cleanup.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FIRST_STATUS 100
#define FIRST_ANSWER 200 /* 1xx announces an answer and is none */
#define STATUSES 600

static const char *const VERDICTS[] = {
    [VERDICT_DELIVERED] = "delivered",
    [VERDICT_REFUSED] = "refused",
    [VERDICT_DOWN] = "down",
    [VERDICT_GONE] = "disabled",
};

static enum verdict judge_answer(int status)
{
    return judge(&(struct response){.outcome = RESPONSE_STATUS, .status = status});
}

static void read_document(const char *path, char *buffer, size_t size)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        fail_msg("%s can't be read: run this from the top of the repository", path);
        return;
    }
    size_t length = fread(buffer, 1, size, file);
    fclose(file);
    assert_in_range(length, 1, size - 1);
    buffer[length] = '\0';
}

/* "408, 3xx or a 5xx other than 500". */
struct statuses {
    bool meant[STATUSES];
};

/* Reads "NNN" or "Nxx" at `text`; returns its length, or 0 when there is none. */
static size_t read_status(const char *text, int *ret_first, int *ret_last)
{
    if (!isdigit((unsigned char)text[0]))
        return 0;
    if (strncmp(text + 1, "xx", 2) == 0) {
        *ret_first = (text[0] - '0') * 100;
        *ret_last = *ret_first + 99;
        return 3;
    }
    char *end;
    *ret_first = *ret_last = (int)strtol(text, &end, 10);
    return end - text == 3 ? 3 : 0;
}

static void read_statuses(const char *text, const char *end, struct statuses *ret_statuses)
{
    bool adding = true;
    memset(ret_statuses, 0, sizeof(*ret_statuses));
    while (text < end) {
        int first, last;
        size_t length = read_status(text, &first, &last);
        if (strncmp(text, "other than ", 11) == 0)
            adding = false;
        if (length == 0) {
            text++;
            continue;
        }
        text += length;
        assert_in_range(first, FIRST_STATUS, STATUSES - 1);
        assert_in_range(last, first, STATUSES - 1);
        for (int status = first; status <= last; status++)
            ret_statuses->meant[status] = adding;
    }
}

/* The list between two texts names all statuses of a verdict and no other. */
static void lists_in_sentences_are_right(void **state)
{
    static const struct {
        const char *path, *before, *after;
        enum verdict verdict;
    } sentences[] = {
        {"docs/runbooks/OutboxBreakerOpen.md", "no answer in time, or ", ".\n", VERDICT_DOWN},
        {"docs/runbooks/OutboxDeadLetters.md", "The receiver refused an event (", ")",
            VERDICT_REFUSED},
        {"docs/relay/stuck.md", "No connection, timeouts, or ", ". `last_error`", VERDICT_DOWN},
    };
    static char text[1 << 16];
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sentences); i++) {
        read_document(sentences[i].path, text, sizeof text);
        const char *begin = strstr(text, sentences[i].before);
        if (!begin) {
            fail_msg("%s does not say \"%s\"", sentences[i].path, sentences[i].before);
            return;
        }
        begin += strlen(sentences[i].before);
        struct statuses statuses;
        read_statuses(begin, strstr(begin, sentences[i].after), &statuses);
        for (int status = FIRST_ANSWER; status < STATUSES; status++)
            if (statuses.meant[status] != (judge_answer(status) == sentences[i].verdict))
                fail_msg("%s, \"%s…\": %d is judged as %s", sentences[i].path, sentences[i].before,
                    status, VERDICTS[judge_answer(status)]);
    }
}

/* "No connection, or no complete answer": the endpoint is down. */
static void no_answer_means_that_the_endpoint_is_down(void **state)
{
    static const enum response_outcome outcomes[] = {
        RESPONSE_NO_CONNECT, RESPONSE_BROKEN, RESPONSE_TIMEOUT};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++)
        assert_int_equal(judge(&(struct response){.outcome = outcomes[i]}), VERDICT_DOWN);
    for (int status = FIRST_STATUS; status < FIRST_ANSWER; status++)
        assert_int_equal(judge_answer(status), VERDICT_DOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_in_sentences_are_right),
        cmocka_unit_test(no_answer_means_that_the_endpoint_is_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
