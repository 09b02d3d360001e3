#!/bin/sh
# Checks the Spin models of the wake-up and the lease, and that every mutant of them fails: a check
# that can't fail checks nothing. Needs spin and cc; works in a temporary directory.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
command -v spin >/dev/null || { echo "tests/model/run.sh: spin is not installed (make deps)" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
passed=0 failed=0

# verify MODEL MUTANT: exit 0 when neither an assertion, a claim nor a deadlock is violated
verify() {
    rm -f pan* ./*.trail
    spin -a -DMUTANT="$2" "$here/$1.pml" >spin.log 2>&1 || { cat spin.log >&2; exit 1; }
    # Safety first (assertions, invalid end states), then the claim with weak fairness.
    ${CC:-cc} -O2 -DNOCLAIM -DSAFETY -o pan-safety pan.c >cc.log 2>&1 || { cat cc.log >&2; exit 1; }
    ${CC:-cc} -O2 -DNFAIR=4 -o pan-claim pan.c >cc.log 2>&1 || { cat cc.log >&2; exit 1; }
    # shellcheck disable=SC2086
    ./pan-safety -m100000 ${3-} >safety.log 2>&1
    ./pan-claim -a -f -m100000 >claim.log 2>&1
    for log in safety.log claim.log; do
        grep -q 'max search depth too small\|out of memory' $log && { cat $log >&2; exit 1; }
        grep -q 'State-vector' $log || { cat $log >&2; exit 1; }
        grep -q 'errors: 0' $log || return 1
    done
    states=$(awk '/states, stored/ {print $1; exit}' claim.log)
}

expect() { # MODEL MUTANT pass|fail SAFETY-OPTIONS
    if verify "$1" "$2" "${4-}"; then got=pass; else got=fail; fi
    if [ "$got" = "$3" ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    if [ "$got" = pass ]; then detail=" ($states states)"; else detail=""; fi
    if [ "$2" = 0 ]; then what="model"; else what="mutant $2"; fi
    [ "$got" = "$3" ] && mark=ok || mark="NOT OK"
    printf '%-7s %-9s expected to %s: %s%s\n' "$1" "$what" "$3" "$mark" "$detail"
}

# The sleeping relay at the end of the wake-up model is no deadlock (-E), the claim covers it.
expect wakeup 0 pass -E
for mutant in 1 2 3 4 5 6; do expect wakeup $mutant fail -E; done
expect lease 0 pass
for mutant in 1 2 3; do expect lease $mutant fail; done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
