# shellcheck shell=bash
# What the compose test asserts, one function for each. Sourced by run.sh; a check prints what is wrong
# and fails, or prints a figure.

readonly PROGRAMS=(auth user-profile billing order notification product price)
RUNNING=(postgres "${PROGRAMS[@]}" relay gateway) # monitoring.sh adds to it
readonly ONE_SHOTS=(secrets "${PROGRAMS[@]/%/-migrate}" subscribe)
readonly MEMORY_LIMIT_MB=300

wrong() { # TEXT…
    printf '    %s\n' "$*"
    return 1
}

# ---- Settings ------------------------------------------------------------------------------------

# Every variable of docker-compose.yml is in .env.example, with the default it has there, and none else; images
# are tagged with the version.
check_settings() {
    grep -oE '\$\{[A-Z_]+:-[^}]*\}' "$ROOT/docker-compose.yml" | sed -E 's/^\$\{([A-Z_]+):-(.*)\}$/\1=\2/' |
        sort -u >"$WORK/settings"
    sed -nE 's/^(# )?([A-Z_]+=)/\2/p' "$ROOT/.env.example" | sort | diff "$WORK/settings" - >"$WORK/settings.diff" ||
        wrong "docker-compose.yml (<) and .env.example (>) differ: $(grep '^[<>]' "$WORK/settings.diff" | paste -sd ' ')" || return 1
    grep -qxF "SHOP_VERSION=$(cat "$ROOT/VERSION")" "$WORK/settings" || wrong "SHOP_VERSION is not VERSION"
}

# ---- The stack -----------------------------------------------------------------------------------

is_healthy() { # SERVICE
    [ "$(inspect '{{.State.Health.Status}}' "$(container_of "$1")" 2>/dev/null)" = healthy ]
}

each_container() {
    local service
    for service in "${RUNNING[@]}" "${ONE_SHOTS[@]}"; do container_of "$service"; done
}

check_healthy() {
    local service
    for service in "${RUNNING[@]}"; do
        wait_until 90 is_healthy "$service" || wrong "$service is not healthy" || return 1
    done
}

check_one_shots() {
    local service state
    for service in "${ONE_SHOTS[@]}"; do
        state=$(inspect '{{.State.Status}} {{.State.ExitCode}}' "$(container_of "$service")") || return 1
        [ "$state" = 'exited 0' ] || wrong "$service: $state" || return 1
    done
}

# One-shots are asked by what Docker was told, what runs also by what the kernel says.
check_confined() {
    local service container facts
    for service in "${RUNNING[@]}" "${ONE_SHOTS[@]}"; do
        container=$(container_of "$service")
        facts=$(inspect '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.CapAdd}} {{.HostConfig.SecurityOpt}} {{.HostConfig.Privileged}}' "$container")
        [ "$facts" = 'true [ALL] [] [no-new-privileges:true] false' ] || wrong "$service: $facts" || return 1
        case $(inspect '{{.Config.User}}' "$container") in
        '' | root | 0 | 0:*) wrong "$service is root" || return 1 ;;
        esac
        [ "$(inspect '{{.HostConfig.Memory}}' "$container")" -gt 0 ] || wrong "$service has no memory limit" || return 1
    done
    for service in "${RUNNING[@]}"; do
        container=$(container_of "$service")
        # The first line is the heading.
        docker top "$container" -eo pid,uid | awk 'NR > 1 && $2 == 0 { bad = 1 } END { exit NR < 2 || bad }' ||
            wrong "$service runs a process as root" || return 1
        docker exec "$container" cat /proc/mounts | awk '$2 == "/" { options = $4 } END { exit options !~ /^ro(,|$)/ }' ||
            wrong "the root file system of $service is writable" || return 1
    done
}

check_no_compiler() {
    local found
    # shellcheck disable=SC2016 # expanded in the container
    found=$(docker run --rm --network none "$SHOP_IMAGE" sh -c '
        for tool in cc gcc g++ c99 clang tcc as ld make cpp; do command -v $tool; done
        ls /usr/include/*.h /usr/lib/*/pkgconfig 2>/dev/null')
    [ -z "$found" ] || wrong "in the image: $found"
}

# The image that docker-compose.yml does not use.
check_relay_image() {
    DOCKER_BUILDKIT=0 docker build -q -t "$RELAY_IMAGE" --target relay --build-arg "BASE=$BASE_IMAGE" "$ROOT" >"$WORK/relay-build.log" 2>&1 ||
        wrong "not built: $(tail -n 1 "$WORK/relay-build.log")" || return 1
    [ "$(docker run --rm --network none --read-only "$RELAY_IMAGE" --version)" = "outbox-relay $(cat "$ROOT/VERSION")" ] ||
        wrong "it tells another version"
}

check_image_size() {
    local image bytes
    for image in "$SHOP_IMAGE" "$RELAY_IMAGE" "$GATEWAY_IMAGE" "$BASE_IMAGE"; do
        bytes=$(docker image inspect -f '{{.Size}}' "$image")
        printf '    %-40s %s MB\n' "$image" $((bytes / 1000000))
    done
}

# ---- A user's view -------------------------------------------------------------------------------

# Sends a request; the token in HEADERS goes in a file, as arguments can be seen by every user.
api() { # METHOD PATH [JSON]: prints the body; fails unless 200
    local arguments=(-sS --max-time 30 -f -X "$1" -H "@$WORK/headers")
    [ $# -lt 3 ] || arguments+=(-H 'Content-Type: application/json' --data "$3")
    curl "${arguments[@]}" "$BASE_URL$2" 2>>"$WORK/curl.log"
}

answers() { # JQ-CONDITION PATH
    api GET "$2" | jq -e "$1" >/dev/null 2>&1
}

log_in() {
    local token
    : >"$WORK/headers"
    token=$(api POST /login "{\"username\":\"$USERNAME\",\"password\":\"$PASSWORD\"}" | jq -r .token) || return 1
    printf 'Authorization: Bearer %s\n' "$token" >"$WORK/headers"
}

# Sets ORDER: an order that the user has paid for and been told of. EXPECT_SECONDS: longest wait for events.
place_order() {
    ORDER=$(api POST /me/orders '{"items":[{"productId":1,"quantity":2}]}' | jq -r .orderId) || return 1
    wait_until "${EXPECT_SECONDS:-30}" answers "any(.orderId == $ORDER and .total != \"0\")" /me/bills ||
        wrong "order $ORDER has no bill" || return 1
    local bill
    bill=$(api GET /me/bills | jq -r ".[] | select(.orderId == $ORDER).billId")
    api POST "/me/bills/$bill/confirm" '{}' >/dev/null || wrong "bill $bill can't be paid" || return 1
    wait_until "${EXPECT_SECONDS:-30}" answers '.status == "COMPLETED"' "/me/orders/$ORDER" ||
        wrong "order $ORDER is not completed" || return 1
    wait_until "${EXPECT_SECONDS:-30}" answers "any(.orderId == $ORDER)" /me/notifications ||
        wrong "no notification of order $ORDER" || return 1
}

check_order() {
    USERNAME=compose-$(random_hex 6) PASSWORD=$(random_hex 16)
    : >"$WORK/headers"
    api POST /register/init "{\"username\":\"$USERNAME\",\"password\":\"$PASSWORD\"}" >/dev/null || wrong "no registration" || return 1
    log_in || wrong "no login" || return 1
    api POST /me/add-money '{"money":"1000000"}' >/dev/null || wrong "no money" || return 1
    place_order || return 1
    FIRST_ORDER=$ORDER
}

check_collection() {
    local status=0 stats
    BASE_URL=$BASE_URL "$ROOT/tests/postman/run.sh" --reporters cli,json --reporter-cli-silent \
        --reporter-json-export "$WORK/newman.json" </dev/null >"$WORK/newman.log" 2>&1 || status=$?
    stats=$(jq -r '.run.stats | "\(.requests.total) requests, \(.assertions.total) assertions, \(.assertions.failed) failed"' "$WORK/newman.json")
    echo "    newman: $stats"
    [ "$status" = 0 ] || {
        jq -r '.run.failures[] | "    \(.source.name): \(.error.message)"' "$WORK/newman.json"
        tail -n 5 "$WORK/newman.log"
        return 1
    }
}

# ---- Memory --------------------------------------------------------------------------------------

# "2.762MiB / 64MiB" of each container as bytes; page cache that could be dropped is not in it.
memory_of_each() {
    local containers=() service
    for service in "${RUNNING[@]}"; do containers+=("$(container_of "$service")"); done
    docker stats --no-stream --format '{{.Name}} {{.MemUsage}}' "${containers[@]}" |
        awk '{ sub(/B$/, "", $2); print $1, $2 }' | numfmt --field 2 --from auto
}

sample_memory() {
    while :; do
        memory_of_each | awk '{ sum += $2 } END { printf "%.0f\n", sum }' >>"$WORK/memory"
    done
}

with_memory_sampled() { # COMMAND…
    local sampler status=0
    sample_memory &
    sampler=$!
    "$@" || status=$?
    kill "$sampler" 2>/dev/null || true
    wait "$sampler" 2>/dev/null || true
    return "$status"
}

check_memory() {
    local most
    memory_of_each | awk '{ printf "    %-32s %6.1f MB\n", $1, $2 / 1e6 }'
    most=$(memory_of_each | awk '{ sum += $2 } END { printf "%.0f\n", sum }' | sort -n - "$WORK/memory" | tail -n 1)
    echo "    most of all together, under load or now: $((most / 1000000)) MB"
    [ "$most" -gt 20000000 ] || wrong "that can't be" || return 1
    [ "$most" -lt $((MEMORY_LIMIT_MB * 1000000)) ] || wrong "that is over $MEMORY_LIMIT_MB MB"
}

# ---- Coming back ---------------------------------------------------------------------------------

check_down_and_up() {
    compose down -t 30 >"$WORK/down.log" 2>&1 || wrong "down: $(tail -n 1 "$WORK/down.log")" || return 1
    compose up -d --no-build >"$WORK/up.log" 2>&1 || wrong "up: $(tail -n 1 "$WORK/up.log")" || return 1
    check_healthy || return 1
    # The same token: the keys are the same, too.
    answers '.status == "COMPLETED"' "/me/orders/$FIRST_ORDER" || wrong "order $FIRST_ORDER is lost" || return 1
    log_in || wrong "the user is lost" || return 1
    place_order
}

is_back() { # SERVICE RESTARTS-BEFORE
    local container
    container=$(container_of "$1")
    [ "$(inspect '{{.RestartCount}}' "$container")" -gt "$2" ] && is_healthy "$1"
}

check_crash() { # SERVICE
    local restarts
    restarts=$(inspect '{{.RestartCount}}' "$(container_of "$1")")
    crash "$1" || wrong "$1 can't be killed" || return 1
    wait_until 90 is_back "$1" "$restarts" || wrong "$1 does not come back" || return 1
    check_healthy || return 1
    wait_until 30 answers '.status == "COMPLETED"' "/me/orders/$FIRST_ORDER" || wrong "order $FIRST_ORDER can't be read" || return 1
    EXPECT_SECONDS=60 place_order
}

address_of() { # SERVICE
    inspect '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$(container_of "$1")"
}

# Stops two services and starts first the one with the higher address: Docker hands out the lowest, so
# each has the other's then.
check_moved_services() {
    local order billing first=billing second=order
    order=$(address_of order) billing=$(address_of billing)
    [ "${order##*.}" -lt "${billing##*.}" ] || first=order second=billing
    compose stop -t 20 order billing >/dev/null 2>&1
    docker start "$(container_of "$first")" "$(container_of "$second")" >/dev/null
    check_healthy || return 1
    [ "$(address_of order)" = "$billing" ] || wrong "order was to move from $order to $billing" || return 1
    wait_until 30 answers '.status == "COMPLETED"' "/me/orders/$FIRST_ORDER" || wrong "the gateway does not find order" || return 1
    place_order
}

migrations() {
    local database
    for database in auth user_profile billing order notification product price; do
        docker exec "$(container_of postgres)" psql -XAt -U postgres -d "$database" \
            -c 'select * from schema_migration order by set_name, version' || return 1
    done
}

# In each database twice at once, beside the running services.
check_migrations_again() {
    local before service pids=() pid
    before=$(migrations) || return 1
    for service in "${PROGRAMS[@]}" "${PROGRAMS[@]}"; do
        compose run --rm -T --no-deps "$service-migrate" </dev/null >>"$WORK/migrate.log" 2>&1 &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || wrong "SERVICE_MODE=INIT failed: $(tail -n 1 "$WORK/migrate.log")" || return 1
    done
    [ "$(migrations)" = "$before" ] || wrong "the migrations differ" || return 1
    answers '.status == "COMPLETED"' "/me/orders/$FIRST_ORDER" || wrong "order $FIRST_ORDER is lost"
}

# Each login reaches its own database; the relay those of the publishers.
check_databases_apart() {
    local role database got
    # shellcheck disable=SC2016 # expanded in the container
    got=$(for role in order relay; do
        for database in auth user_profile billing order notification product price postgres template1; do
            docker exec -e "ROLE=$role" -e "DB=$database" "$(container_of postgres)" sh -c '
                PGPASSWORD=$(cat "/secrets/$ROLE") psql -XAtq -h "$(hostname)" -U "$ROLE" -d "$DB" \
                    -c "select current_user || chr(64) || current_database()"' 2>/dev/null || true
        done
    done | paste -sd ' ')
    [ "$got" = 'order@order relay@auth relay@user_profile relay@billing relay@order relay@product relay@price' ] ||
        wrong "reached: $got"
}

# ---- Secrets -------------------------------------------------------------------------------------

# As docs/docker.md tells it.
check_rotation() {
    local before
    before=$(secrets)
    {
        compose run --rm -T --entrypoint rm secrets /volumes/deploy/webhook.order.billing &&
            compose run --rm -T secrets &&
            compose run --rm -T --no-deps subscribe &&
            compose restart billing &&
            compose run --rm -T --entrypoint rm secrets /volumes/postgres/order &&
            compose run --rm -T secrets &&
            compose exec -T postgres /docker-entrypoint-initdb.d/10-shop.sh &&
            compose restart order
    } </dev/null >"$WORK/rotate.log" 2>&1 || wrong "rotation: $(tail -n 1 "$WORK/rotate.log")" || return 1
    [ "$(secrets | grep -cvxF -e "$before")" = 2 ] || wrong "two secrets were to change" || return 1
    check_healthy || return 1
    place_order || return 1
    [ "$(compose exec -T postgres psql -XAtU postgres -d order -c \
        "select count(*) from outbox.secret_status where subscription = 'billing'" </dev/null)" = 2 ] ||
        wrong "the old secret is not valid beside the new one"
}

# Every generated secret, one a line, and what the test's user typed or was given.
secrets() {
    local volume volumes=()
    for volume in $(docker volume ls -q -f "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" | grep _secrets-); do
        volumes+=(-v "$volume:/v/$volume:ro")
    done
    docker run --rm --network none --user 0:0 --cap-drop ALL --cap-add DAC_OVERRIDE "${volumes[@]}" \
        "$SHOP_IMAGE" sh -c 'cat /v/*/*' | grep -oE 'whsec_[A-Za-z0-9+/=]+|[0-9a-f]{48}' | sort -u
    printf '%s\n' "$PASSWORD"
    sed 's/.* //' "$WORK/headers"
}

# Looks for them where many can look.
check_secrets() {
    local containers images place
    secrets >"$WORK/secrets" || return 1
    # 10 passwords of the database, 8 of subscriptions, the user's password and token
    [ "$(wc -l <"$WORK/secrets")" -ge 20 ] || wrong "fewer secrets than there must be" || return 1
    mapfile -t containers < <(each_container)
    images=("$SHOP_IMAGE" "$GATEWAY_IMAGE")
    docker inspect "${containers[@]}" >"$WORK/shown.containers"
    docker inspect "${images[@]}" >"$WORK/shown.images"
    for place in "${images[@]}"; do docker history --no-trunc "$place"; done >"$WORK/shown.history"
    for place in "${containers[@]}"; do docker logs "$place"; done >"$WORK/shown.logs" 2>&1
    for place in "${RUNNING[@]}"; do docker top "$(container_of "$place")" -eo pid,args; done >"$WORK/shown.arguments"
    compose config >"$WORK/shown.config" 2>/dev/null
    git -C "$ROOT" grep -aIh '' >"$WORK/shown.git"
    for place in containers images history logs arguments config git; do
        [ -s "$WORK/shown.$place" ] || wrong "nothing could be read: $place" || return 1
        ! grep -qaF -f "$WORK/secrets" "$WORK/shown.$place" || wrong "a secret is in: $place" || return 1
    done
    ! docker run --rm --network none "$SHOP_IMAGE" grep -rlE 'PRIVATE KEY-----|whsec_[A-Za-z0-9+/]{32}' \
        /usr/local /etc /root /home /var /secrets 2>/dev/null || wrong "a key is in the image" || return 1
    echo "    $(wc -l <"$WORK/secrets") secrets in none of: inspection, history, logs, arguments, configuration, git"
}
