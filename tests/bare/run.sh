#!/usr/bin/env bash
# Checks the first minute on a bare Debian 12: in fresh containers that have git and make and nothing else, every
# target installs what it needs, and no more.
#   tests/bare/run.sh [TARGET…]       (make bare-test; SHORT=yes: what CI runs; TARGETS=lint: those alone)
#
# The containers are as Docker makes them: root may not trace, mount or change networks, and nobody reaps
# orphans. The system is made by debootstrap, and the packages come from where this machine's own come from.
# What is cloned is the last commit.
# The image and the downloaded packages (volumes outbox-test-apt and outbox-test-npm) are kept for the next run.
# Variables: SHORT (yes), DOCKERD_ARGS (for a daemon that has to be started, which needs root), DEBIAN_MIRROR,
# BUILD (build): on failure the output is in $BUILD/test/bare.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=scripts/lib/common.sh
. "$ROOT/scripts/lib/common.sh"
# shellcheck source=tests/check.sh
. "$ROOT/tests/check.sh"
# shellcheck source=tests/compose/docker.sh
. "$ROOT/tests/compose/docker.sh"

readonly IMAGE=outbox-test-bare
readonly USER_ID=1000
BUILD=${BUILD:-build}
LOGS=$ROOT/$BUILD/test/bare
case $BUILD in /*) LOGS=$BUILD/test/bare ;; esac

clean_up() {
    local status=$?
    trap - EXIT INT TERM
    leave
    stop_daemon
    rm -rf "$WORK"
    exit "$status"
}

# ---- Containers ----------------------------------------------------------------------------------

# Where this machine finds packages of npm, and whom it trusts.
machine_options() {
    local name
    OPTIONS=(-v "$WORK/checkout.bundle:/checkout.bundle:ro" -v outbox-test-apt:/var/cache/apt/archives -v outbox-test-npm:/npm-cache -e npm_config_cache=/npm-cache)
    for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
        [ -z "${!name:-}" ] || OPTIONS+=(-e "$name=${!name}")
    done
    if [ -s /etc/ssl/certs/ca-certificates.crt ]; then
        OPTIONS+=(-v /etc/ssl/certs/ca-certificates.crt:/machine-ca.crt:ro -e npm_config_cafile=/machine-ca.crt)
    fi
    ! command -v npm >/dev/null || OPTIONS+=(-e "npm_config_registry=$(npm config get registry)")
}

# Starts a container with a clone of the checkout in ~/shop of a user.
enter() { # root|sudo|user [DOCKER-OPTION…]
    local account=$1
    shift
    leave
    CONTAINER=$(docker run -d "${OPTIONS[@]}" "$@" "$IMAGE" sleep infinity)
    AS=0 HOME_DIR=/root
    if [ "$account" != root ]; then
        AS=$USER_ID HOME_DIR=/home/dev
        docker exec "$CONTAINER" useradd -m -u "$USER_ID" dev
    fi
    if [ "$account" = sudo ]; then
        docker exec "$CONTAINER" sh -c 'apt-get update && apt-get install -y --no-install-recommends sudo &&
            echo "dev ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/dev' >>"$LOG" 2>&1
    fi
    # Nothing is left of the package lists: who needs them, fetches them.
    docker exec "$CONTAINER" sh -c 'rm -rf /var/lib/apt/lists/*'
    # shellcheck disable=SC2016 # expanded in the container
    inside 'git -c advice.detachedHead=false clone -q /checkout.bundle "$HOME/shop"'
}

leave() {
    [ -z "${CONTAINER:-}" ] || docker rm -f "$CONTAINER" >/dev/null 2>&1
    CONTAINER=''
}

inside() { # COMMAND: in ~/shop
    docker exec --user "$AS" -e HOME="$HOME_DIR" -e LANG=C.UTF-8 -w "$HOME_DIR" "$CONTAINER" \
        sh -c "cd shop 2>/dev/null; $1" </dev/null >"$WORK/output" 2>&1 || { cat "$WORK/output" >>"$LOG" && return 1; }
    cat "$WORK/output" >>"$LOG"
}

wrong() { # TEXT…
    printf '    %s\n' "$*"
    tail -n 15 "$LOG" | sed 's/^/    | /'
    return 1
}

says() { # PATTERN: so did the last command
    grep -qE -- "$1" "$WORK/output"
}

# Fails when one of the packages is installed.
has_none_of() { # PACKAGE…
    # shellcheck disable=SC2016 # dpkg-query's own
    docker exec "$CONTAINER" dpkg-query -W -f '${Package} ${db:Status-Status}\n' >"$WORK/packages"
    local package
    for package in "$@"; do
        ! grep -qx "$package installed" "$WORK/packages" || wrong "$package was installed for nothing" || return 1
    done
}

# ---- As root, as Docker gives it -----------------------------------------------------------------

# shellcheck disable=SC2016 # expanded in the container
check_not_privileged() {
    enter root
    inside 'awk "/^CapEff/ { print \$2 }" /proc/self/status' || wrong "no capabilities" || return 1
    # Bits 19 and 21: CAP_SYS_PTRACE, CAP_SYS_ADMIN.
    [ $((0x$(cat "$WORK/output") & (1 << 19 | 1 << 21))) = 0 ] || wrong "this container is privileged"
}

check_demo() {
    inside 'make demo' || wrong "make demo failed" || return 1
    says 'The shop is still running' || wrong "the demo did not come to its end"
}

rows_that_are() { # STATE
    inside 'make status'
    awk -v state="$1" '$2 == state { n++ } END { print n + 0 }' "$WORK/output"
}

check_status() {
    [ "$(rows_that_are ready)" = 10 ] || wrong "make status doesn't show ten parts as ready" || return 1
    inside 'make up' || wrong "a second make up failed" || return 1
    says '^Already running: ' || wrong "a second make up started something"
}

no_server_runs() {
    # shellcheck disable=SC2016 # expanded in the container
    inside 'for stat in /proc/[0-9]*/stat; do
            ! grep -qE "^[0-9]+ \((postgres|nginx|outbox-relay)\) [^Z]" "$stat" 2>/dev/null || exit 1; done'
}

check_down_and_up() {
    inside 'make down' || wrong "make down failed" || return 1
    no_server_runs || wrong "something still runs after make down" || return 1
    [ "$(rows_that_are stopped)" = 10 ] || wrong "make status doesn't show ten parts as stopped" || return 1
    inside 'make up' || wrong "make up failed" || return 1
    [ "$(rows_that_are ready)" = 10 ] || wrong "not all is ready again"
}

check_wipe() {
    inside 'make wipe && test ! -e .run' || wrong "make wipe failed" || return 1
    no_server_runs || wrong "something still runs after make wipe"
}

check_test() {
    inside "make test SHORT=yes TESTS='tests/integration/test_stack.py tests/integration/relay/test_install.py'" ||
        wrong "make test failed" || return 1
    says '^[0-9]+ passed, 0 failed' || wrong "no count" || return 1
    printf '    make test: %s\n' "$(tail -n 1 "$WORK/output")"
    has_none_of clang-14 clang-format-14 cppcheck shellcheck prometheus docker.io spin debhelper valgrind
}

# ---- As a user with sudo -------------------------------------------------------------------------

# shellcheck disable=SC2016 # expanded in the container
check_install() {
    enter sudo
    inside 'make install PREFIX="$HOME/.local" && "$HOME/.local/bin/outbox-relay" --version' ||
        wrong "make install failed" || return 1
    says "^outbox-relay $(cat "$ROOT/VERSION")" || wrong "not the version that was built" || return 1
    has_none_of libargon2-dev libjwt-dev libcmocka-dev nginx postgresql postgresql-15 nodejs npm clang-14 python3-pytest
}

check_deb() {
    enter sudo
    inside 'make deb' || wrong "make deb failed" || return 1
    # shellcheck disable=SC2016 # expanded in the container
    inside 'sudo apt-get install -y ./build/deb/outbox-relay_*.deb && outbox-relay --version' ||
        wrong "the package can't be installed"
}

# ---- Where nothing can be installed --------------------------------------------------------------

# One line names what is missing; make's own line follows.
refuses() { # TARGET PATTERN
    ! inside "make $1" || wrong "make $1 did not fail" || return 1
    grep -v '^make' "$WORK/output" | grep -cE "$2" | grep -qx 1 || wrong "make $1 doesn't say '$2'" || return 1
    [ "$(grep -vc '^make\|^Installing packages:' "$WORK/output")" = 1 ] || wrong "make $1 says more than that"
}

check_without_sudo() {
    local target
    enter user
    for target in test install all lint deb build/bin/auth build/tests/test_base64; do
        refuses "$target" '^deps: missing packages: .*gcc.*; install them as root, or install sudo$' || return 1
    done
}

check_without_network() {
    enter root --network none
    refuses deb '^deps: missing packages: .*debhelper.*; apt-get ' || return 1
    refuses 'test PACKAGES=check' "^deps: missing packages: .*gcc.*; 'scripts/deps test' installs them\$"
}

# ---- Every other target alone --------------------------------------------------------------------

check_alone() { # COMMAND…
    enter root
    inside "$*" || wrong "'$*' failed"
}

# Docker in Docker would take more than a container may do: the packages alone.
check_packages_of() { # GROUP…
    local group
    for group in "$@"; do
        enter root
        inside "scripts/deps $group && scripts/deps --check $group" || wrong "the packages of $group can't be installed" || return 1
    done
}

[ "$(id -u)" = 0 ] || docker version >/dev/null 2>&1 || die "no Docker daemon answers; start one, or run this as root"
WORK=$(mktemp -d "${TMPDIR:-/tmp}/shop-bare.XXXXXX")
CONTAINER=''
trap clean_up EXIT
trap 'exit 130' INT TERM
mkdir -p "$LOGS"
LOG=$LOGS/log
: >"$LOG"
(cd "$ROOT" && git -c safe.directory='*' bundle create -q "$WORK/checkout.bundle" HEAD)
chmod 755 "$WORK"
[ -z "$(cd "$ROOT" && git -c safe.directory='*' status --porcelain)" ] ||
    echo "note: what is not committed is not tested"
start_daemon
build_base
docker_build "$IMAGE" --build-arg "BASE=$DEBIAN_STAND_IN" "$ROOT/tests/bare"
machine_options

check_all() {
    check "the container is no more than ordinary" check_not_privileged
    check "make demo" check_demo
    check "make status and make up know that it is running" check_status
    check "make down and make up" check_down_and_up
    check "make wipe" check_wipe
    check "make test" check_test
    check "make install, as a user with sudo: the relay's packages and no others" check_install
    check "without root and sudo, one line says what is missing" check_without_sudo
    check "without a network, too" check_without_network
    [ -z "${SHORT:-}" ] || return 0
    check "make deb, and the package" check_deb
    local target
    for target in lint model 'fuzz TIME=2' asan native bench-smoke 'stress DURATION=15 CLIENTS=4 OUTAGE=3' \
        'monitoring-test SHORT=yes' unit postman build/bin/auth build/tests/test_base64; do
        check "make $target, alone" check_alone "make $target"
    done
    check "the packages for what needs Docker or debootstrap" check_packages_of compose k8s bare arm64
}

if [ $# -gt 0 ]; then
    for target; do check "make $target, alone" check_alone "make $target"; done
else
    check_all
fi
leave
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
