/* Makes an allocation fail: for tests of what happens when there is no memory. A program that links
 * this needs the linker's --wrap for the functions below; see make/test.mk. */
#ifndef TESTS_SUPPORT_FAILING_H
#define TESTS_SUPPORT_FAILING_H

#include <stdbool.h>

/* Runs `scenario` again and again, the first time without its first allocation, then without its
 * second, and so on, until all of them have succeeded. Allocations of jansson and libcurl count as
 * well. Returns how many there were. */
unsigned failing_each(void (*scenario)(void));

/* In a scenario: whether an allocation has failed by now. */
bool failing_has_failed(void);

#endif
