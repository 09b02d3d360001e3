#!/usr/bin/env bash
# Runs the shop as docker-compose.yml describes it, in containers, and checks it from outside: all healthy,
# none root, none writable, little memory; the Postman collection; down and up; crashes; secrets.
#   tests/compose/run.sh        (make compose-test; SHORT=yes: a part of it, in a few minutes, for CI)
#
# What is real: Docker, docker compose, the Dockerfile, docker-compose.yml, every program, PostgreSQL, nginx.
# What stands in where no registry answers: the images debian:bookworm-slim (by debootstrap),
# postgres:15-bookworm and nginx:1.28-bookworm (both of Debian's packages, same interface, so nginx is 1.22),
# and those of the profile monitoring (Debian's packages of the same versions; none for Grafana).
# They get names of their own; nothing passes for an official image.
#
# It has a project, image tags and a port of its own, so it runs beside `docker compose up`, and removes
# its containers, networks and volumes at the end; the images stay, so that the next run is fast.
# Variables: SHORT (yes), COMPOSE ("docker compose", docker-compose or a path; default: the first that works),
# IMAGES (official|stand-in), KEEP=yes (leave it running), DOCKERD_ARGS (for a daemon that has to be
# started, which takes root), DEBIAN_MIRROR, BUILD (build): logs are left in $BUILD/test/compose on failure.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=scripts/lib/common.sh
. "$ROOT/scripts/lib/common.sh"
# shellcheck source=tests/check.sh
. "$ROOT/tests/check.sh"
# shellcheck source=tests/compose/docker.sh
. "$ROOT/tests/compose/docker.sh"
# shellcheck source=tests/compose/checks.sh
. "$ROOT/tests/compose/checks.sh"
# shellcheck source=tests/compose/monitoring.sh
. "$ROOT/tests/compose/monitoring.sh"

PROGRAM=compose-test
DAEMON_PID=''

thorough() { # NAME FUNCTION [ARGUMENT…]: a check that SHORT leaves out
    [ -n "${SHORT:-}" ] || check "$@"
}

# The images are built by `up` itself, as for a user who has none. docker-compose 1.29 has docker build, for
# which BuildKit takes a plugin that may be missing.
start_stack() {
    DOCKER_BUILDKIT=${DOCKER_BUILDKIT-0} COMPOSE_DOCKER_CLI_BUILD=1 compose up -d >"$WORK/up.log" 2>&1 || {
        tail -n 20 "$WORK/up.log" >&2
        return 1
    }
    check_healthy
}

keep_logs() {
    local directory=$ROOT/${BUILD:-build}/test/compose
    mkdir -p "$directory"
    compose logs --no-color >"$WORK/compose.log" 2>&1 || true
    cp "$WORK"/*.log "$directory/" 2>/dev/null || true
    echo "logs are in $directory" >&2
}

clean_up() {
    local status=$?
    trap - EXIT INT TERM
    if [ "$status" != 0 ] && [ -n "${COMPOSE_COMMAND:-}" ]; then keep_logs; fi
    if [ "${KEEP:-}" = yes ]; then
        echo "left running: $BASE_URL; COMPOSE_PROJECT_NAME=$COMPOSE_PROJECT_NAME ${COMPOSE_COMMAND[*]} down -v removes it"
    elif [ -n "${COMPOSE_COMMAND:-}" ]; then
        compose --profile monitoring down -v --remove-orphans -t 10 >/dev/null 2>&1 || true
    fi
    [ "${KEEP:-}" = yes ] || stop_daemon
    rm -rf "$WORK"
    exit "$status"
}

for tool in curl jq node npm numfmt; do need_tool "$tool" "$tool" compose; done
need_tool docker docker.io compose
WORK=$(mktemp -d "${TMPDIR:-/tmp}/shop-compose.XXXXXX")
trap clean_up EXIT
trap 'exit 130' INT TERM

GATEWAY_PORT=$(free_port_block 1)
export GATEWAY_PORT COMPOSE_PROJECT_NAME=shoptest$$ SHOP_VERSION=compose-test ADMIN_REGISTRATION=open DEMO_DATA=true LOG_LEVEL=info
export GATEWAY_BIND=127.0.0.1
BASE_URL=http://127.0.0.1:$GATEWAY_PORT
SHOP_IMAGE=outbox-shop:$SHOP_VERSION
RELAY_IMAGE=outbox-relay:$SHOP_VERSION
GATEWAY_IMAGE=outbox-shop-gateway:$SHOP_VERSION

check ".env.example lists the settings" check_settings
start_daemon
choose_compose
echo "with $("${COMPOSE_COMMAND[@]}" version | head -n 1), Docker $(docker version -f '{{.Server.Version}}'), port $GATEWAY_PORT"
choose_images
forget_images

check "up alone builds the images, and every part is healthy" start_stack
[ "$failed" = 0 ] || exit 1
check "the one-shot services have ended well" check_one_shots
check "nothing is root, nothing is writable, nothing has a capability" check_confined
check "no compiler in the image" check_no_compiler
thorough "the relay has an image of its own" check_relay_image
thorough "image sizes" check_image_size
check "an order is paid, completed and told of" with_memory_sampled check_order
thorough "the Postman collection passes" with_memory_sampled check_collection
check "memory of the whole stack is below $MEMORY_LIMIT_MB MB" check_memory
thorough "down and up: the data, the keys and the secrets are the same" check_down_and_up
thorough "the gateway and the relay follow services that move" check_moved_services
thorough "kill -9 of a service" check_crash order
check "kill -9 of the relay" check_crash relay
thorough "kill -9 of PostgreSQL" check_crash postgres
thorough "SERVICE_MODE=INIT twice, at once, beside the running services" check_migrations_again
thorough "each login reaches its own database only" check_databases_apart
thorough "a webhook secret and a password are changed while it runs" check_rotation
thorough "the profile monitoring sees all of it" check_monitoring
check "no secret where others can look" check_secrets
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
