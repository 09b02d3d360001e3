# shellcheck shell=bash
# What suites written in shell share: checks by name, counted. Needs scripts/lib/common.sh.

passed=0 failed=0

# Runs a function, says how it went, and goes on.
check() { # NAME FUNCTION [ARGUMENT…]
    local name=$1 began
    shift
    began=$(now_us)
    if "$@"; then
        passed=$((passed + 1))
        printf '%sok%s    %s %s(%s s)%s\n' "$GREEN" "$PLAIN" "$name" "$DIM" "$(seconds_since "$began")" "$PLAIN"
    else
        failed=$((failed + 1))
        printf '%sFAIL%s  %s\n' "$RED" "$PLAIN" "$name"
    fi
}
