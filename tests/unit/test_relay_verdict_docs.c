/* What the documentation says about answers is what the relay makes of them: every status that a
 * table or a sentence names, and every status that none of them names, against judge(). */
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

static char *read_document(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t size = 0;
    if (!file || getdelim(&text, &size, '\0', file) < 0)
        fail_msg("%s can't be read: run this from the top of the repository", path);
    fclose(file);
    return text;
}

/* ---- Lists of statuses ---- */

/* "408, 3xx, 501 to 599 or a 5xx other than 500". A status by itself is meant more closely than one
 * of a range. */
enum meant { NOT_MEANT, MEANT_BY_RANGE, MEANT };
struct statuses {
    enum meant meant[STATUSES];
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
        int first, last, beyond;
        size_t length = read_status(text, &first, &last);
        if (strncmp(text, "other than ", 11) == 0)
            adding = false;
        if (length == 0) {
            text++;
            continue;
        }
        text += length;
        if (strncmp(text, " to ", 4) == 0)
            text += 4 + read_status(text + 4, &beyond, &last);
        assert_in_range(first, FIRST_STATUS, STATUSES - 1);
        assert_in_range(last, first, STATUSES - 1);
        for (int status = first; status <= last; status++)
            ret_statuses->meant[status] = !adding         ? NOT_MEANT
                                          : first == last ? MEANT
                                                          : MEANT_BY_RANGE;
    }
}

/* ---- The table ---- */

#define TABLE_HEAD "| you answer | it means |\n|---|---|\n"

/* The verdict is the one bold word of the second cell that stands for one. */
static enum verdict read_verdict(const char *cell, const char *end)
{
    int found = -1;
    const char *bold = memmem(cell, (size_t)(end - cell), "**", 2);
    const char *close = bold ? memmem(bold + 2, (size_t)(end - bold - 2), "**", 2) : NULL;
    if (!close) {
        fail_msg("no bold words: %.*s", (int)(end - cell), cell);
        return VERDICT_GONE;
    }
    for (size_t i = 0; i < ARRAY_SIZE(VERDICTS); i++)
        if (memmem(bold, (size_t)(close - bold), VERDICTS[i], strlen(VERDICTS[i]))) {
            assert_int_equal(found, -1);
            found = (int)i;
        }
    if (found < 0)
        fail_msg("no verdict: %.*s", (int)(close - bold), bold);
    return (enum verdict)found;
}

struct table {
    struct {
        enum verdict verdict;
        enum meant meant;
    } of[STATUSES];
    bool has_no_answer;
    enum verdict no_answer;
};

static void add_row(const char *row, const char *end, struct table *table)
{
    const char *middle = memchr(row + 1, '|', (size_t)(end - row - 1));
    if (!middle) {
        fail_msg("not a row of two cells: %.*s", (int)(end - row), row);
        return;
    }
    enum verdict verdict = read_verdict(middle, end);
    if (memmem(row, (size_t)(middle - row), "no connection, no complete answer", 33)) {
        table->no_answer = verdict;
        table->has_no_answer = true;
        return;
    }
    struct statuses statuses;
    read_statuses(row, middle, &statuses);
    for (int status = FIRST_STATUS; status < STATUSES; status++) {
        if (statuses.meant[status] == table->of[status].meant && statuses.meant[status])
            fail_msg("%d stands in two rows", status);
        if (statuses.meant[status] < table->of[status].meant)
            continue;
        table->of[status].verdict = verdict;
        table->of[status].meant = statuses.meant[status];
    }
}

static void the_table_for_receivers_is_right(void **state)
{
    (void)state;
    AUTO_FREE char *text = read_document("docs/relay/receiving.md");
    struct table table = {0};
    const char *row = strstr(text, TABLE_HEAD);
    assert_non_null(row);
    for (row += strlen(TABLE_HEAD); *row == '|'; row = strchr(row, '\n') + 1)
        add_row(row, strchr(row, '\n'), &table);

    for (int status = FIRST_ANSWER; status < STATUSES; status++) {
        if (table.of[status].meant == NOT_MEANT)
            fail_msg("%d is not in the table", status);
        if (table.of[status].verdict != judge_answer(status))
            fail_msg("%d: documented as %s, judged as %s", status,
                VERDICTS[table.of[status].verdict], VERDICTS[judge_answer(status)]);
    }
    assert_true(table.has_no_answer);
    for (int status = FIRST_STATUS; status < FIRST_ANSWER; status++)
        assert_int_equal(judge_answer(status), table.no_answer);
    static const enum response_outcome OUTCOMES[] = {
        RESPONSE_NO_CONNECT, RESPONSE_BROKEN, RESPONSE_TIMEOUT};
    for (size_t i = 0; i < ARRAY_SIZE(OUTCOMES); i++)
        assert_int_equal(judge(&(struct response){.outcome = OUTCOMES[i]}), table.no_answer);
}

/* ---- Sentences ---- */

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
        {"docs/mechanisms/delivery.md", "**The endpoint is down**: ", ", no connection",
            VERDICT_DOWN},
        {"docs/mechanisms/delivery.md", "**The event is refused**: ", ".", VERDICT_REFUSED},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sentences); i++) {
        AUTO_FREE char *text = read_document(sentences[i].path);
        const char *begin = strstr(text, sentences[i].before);
        if (!begin) {
            fail_msg("%s does not say \"%s\"", sentences[i].path, sentences[i].before);
            return;
        }
        begin += strlen(sentences[i].before);
        struct statuses statuses;
        read_statuses(begin, strstr(begin, sentences[i].after), &statuses);
        for (int status = FIRST_ANSWER; status < STATUSES; status++)
            if ((statuses.meant[status] != NOT_MEANT) !=
                (judge_answer(status) == sentences[i].verdict))
                fail_msg("%s, \"%s…\": %d is judged as %s", sentences[i].path, sentences[i].before,
                    status, VERDICTS[judge_answer(status)]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_for_receivers_is_right),
        cmocka_unit_test(lists_in_sentences_are_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
