# shellcheck shell=bash
# The Docker daemon and the images of the compose test and the bare test. Sourced by their run.sh after
# scripts/lib/common.sh; needs ROOT, WORK and, for compose, COMPOSE.

readonly DEBIAN_STAND_IN=outbox-test-debian:bookworm-slim
readonly PULL_SECONDS=300

daemon_answers() {
    docker version >/dev/null 2>&1
}

# Starts a daemon on a socket of its own when none answers, as root; DOCKERD_ARGS may move its data.
start_daemon() {
    daemon_answers && return
    [ "$(id -u)" = 0 ] || die "no Docker daemon answers; start one, or run this as root"
    command -v dockerd >/dev/null || die "dockerd is not installed (Debian package docker.io)"
    export DOCKER_HOST=unix://$WORK/docker.sock
    # shellcheck disable=SC2086 # several words on purpose
    dockerd -H "$DOCKER_HOST" ${DOCKERD_ARGS:-} >"$WORK/dockerd.log" 2>&1 &
    DAEMON_PID=$!
    wait_until 60 daemon_answers_or_ended
    daemon_answers || die "dockerd does not start, and without it nothing here is tested; it takes root with all capabilities," \
        "cgroups and overlayfs. It says: $(tail -n 1 "$WORK/dockerd.log")"
    echo "started dockerd, pid $DAEMON_PID"
}

daemon_answers_or_ended() {
    daemon_answers || ! kill -0 "$DAEMON_PID" 2>/dev/null
}

stop_daemon() {
    [ -n "${DAEMON_PID:-}" ] || return 0
    kill "$DAEMON_PID" 2>/dev/null || true
    wait "$DAEMON_PID" || true
    DAEMON_PID=''
}

# Debian's 1.29 is a Python program; v2 is the plugin or, as COMPOSE=path, the same program alone.
choose_compose() {
    if [ -n "${COMPOSE:-}" ]; then
        read -r -a COMPOSE_COMMAND <<<"$COMPOSE"
    elif docker compose version >/dev/null 2>&1; then
        COMPOSE_COMMAND=(docker compose)
    elif command -v docker-compose >/dev/null; then
        COMPOSE_COMMAND=(docker-compose)
    else
        die "neither docker compose nor docker-compose is installed (Debian package docker-compose)"
    fi
    "${COMPOSE_COMMAND[@]}" version >/dev/null 2>&1 || die "${COMPOSE_COMMAND[*]} does not work"
}

compose() {
    "${COMPOSE_COMMAND[@]}" -f "$ROOT/docker-compose.yml" "$@"
}

has_image() { # IMAGE: one that was pulled; what stands in under its name has no digest
    [ "$(docker image inspect -f '{{len .RepoDigests}}' "$1" 2>/dev/null || echo 0)" -gt 0 ]
}

# Whether official images are used: those that are here, else those that can be pulled.
# IMAGES=official or IMAGES=stand-in settles it.
official_images() {
    local image
    case ${IMAGES:-} in
    official) return 0 ;;
    stand-in) return 1 ;;
    esac
    for image in "$BASE_IMAGE" "$POSTGRES_IMAGE" "$NGINX_IMAGE"; do
        has_image "$image" || timeout "$PULL_SECONDS" docker pull -q "$image" >/dev/null 2>&1 || return 1
    done
}

# Sets BASE_IMAGE, POSTGRES_IMAGE and NGINX_IMAGE, which docker-compose.yml reads.
choose_images() {
    local began
    export BASE_IMAGE=debian:bookworm-slim POSTGRES_IMAGE=postgres:15-bookworm NGINX_IMAGE=nginx:1.28-bookworm
    began=$(now_us)
    if official_images; then
        echo "images: the official ones"
    else
        build_stand_ins
        BASE_IMAGE=$DEBIAN_STAND_IN POSTGRES_IMAGE=outbox-test-postgres NGINX_IMAGE=outbox-test-nginx
        echo "images: stand-ins for debian, postgres and nginx ($(seconds_since "$began") s)"
    fi
}

# What an earlier run has built is no image any more, but still in the cache.
forget_images() {
    docker rmi -f --no-prune "$SHOP_IMAGE" "$GATEWAY_IMAGE" >"$WORK/rmi.log" 2>&1 || true
}

build_base() {
    docker image inspect "$DEBIAN_STAND_IN" >/dev/null 2>&1 ||
        "$ROOT/tests/compose/base-image.sh" "$DEBIAN_STAND_IN"
}

build_stand_ins() {
    local name
    build_base
    for name in postgres nginx; do
        docker_build "outbox-test-$name" --build-arg "BASE=$DEBIAN_STAND_IN" \
            -f "$ROOT/tests/compose/$name.Dockerfile" "$ROOT/tests/compose"
    done
}

# DOCKER_BUILD_NETWORK=host is for a daemon without networks.
docker_build() { # TAG ARGUMENT…
    DOCKER_BUILDKIT=0 docker build --network "${DOCKER_BUILD_NETWORK:-default}" -t "$@" >"$WORK/build.log" 2>&1 || {
        tail -n 30 "$WORK/build.log" >&2
        die "the image $1 can't be built"
    }
}

# Asked of Docker, by the labels of both composes: docker-compose 1.29 takes a second for it.
container_of() { # SERVICE: also one that has ended
    docker ps -a -q -f "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" \
        -f "label=com.docker.compose.service=$1" -f label=com.docker.compose.oneoff=False
}

inspect() { # FORMAT CONTAINER
    docker inspect -f "$1" "$2"
}

# Kills the first process of a container as a crash would: `docker kill` counts as stopping by hand,
# and within the container its first process can't be killed. Works with a daemon elsewhere, too.
crash() { # SERVICE
    local pid
    pid=$(inspect '{{.State.Pid}}' "$(container_of "$1")")
    [ "$pid" -gt 1 ] || return 1
    # shellcheck disable=SC2016 # expanded in the container
    docker run --rm --pid=host --network none --user 0:0 --cap-drop ALL --cap-add KILL \
        --entrypoint sh "$SHOP_IMAGE" -c 'kill -9 "$0"' "$pid"
}
