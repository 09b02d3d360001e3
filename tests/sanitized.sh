#!/usr/bin/env bash
# Runs a command on programs that are built with sanitizers: tests/sanitized.sh BUILD COMMAND…
# A program that a test kills, or whose status nobody looks at, can't hide what was found: the
# sanitizers write what they find into BUILD/reports/, and a report there is a failure. Only UBSan, in
# a build with AddressSanitizer, writes to standard error whatever it is told; it ends the program.
set -euo pipefail
build=$1
shift
reports=$(realpath -m "$build")/reports
rm -rf "$reports"
mkdir -p "$reports"
chmod 1777 "$reports" # some of the programs don't run as root

status=0
ASAN_OPTIONS=detect_leaks=1:log_path=$reports/asan \
    UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
    TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:log_path=$reports/tsan \
    "$@" || status=$?
shopt -s nullglob
found=("$reports"/*)
[ ${#found[@]} = 0 ] && exit "$status"
head -n 100 "${found[@]}" >&2
printf '%d reports of sanitizers are in %s\n' ${#found[@]} "$reports" >&2
exit 1
