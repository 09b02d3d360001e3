# shellcheck shell=bash
# What the scripts share: messages, time, checks, ports. Sourced, never run by itself.

PROGRAM=$(basename "$0")

die() {
    printf '%s: %s\n' "$PROGRAM" "$*" >&2
    exit 1
}

usage_error() {
    printf '%s: %s; see %s --help\n' "$PROGRAM" "$*" "$PROGRAM" >&2
    exit 2
}

# Colours only on a terminal.
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    BOLD=$'\e[1m' DIM=$'\e[2m' RED=$'\e[31m' GREEN=$'\e[32m' YELLOW=$'\e[33m' BLUE=$'\e[34m'
    PLAIN=$'\e[0m'
else
    BOLD='' DIM='' RED='' GREEN='' YELLOW='' BLUE='' PLAIN=''
fi
# shellcheck disable=SC2034 # used by those who source this file
readonly BOLD DIM RED GREEN YELLOW BLUE PLAIN

# Microseconds since 1970; EPOCHREALTIME has the locale's decimal point.
now_us() {
    printf '%s' "${EPOCHREALTIME/[^0-9]/}"
}

# seconds_since US: "0.42"
seconds_since() {
    local us=$((${EPOCHREALTIME/[^0-9]/} - $1))
    printf '%d.%02d' $((us / 1000000)) $((us % 1000000 / 10000))
}

need_tool() { # TOOL PACKAGE [GROUP of scripts/deps]
    local install='make deps'
    [ -z "${3:-}" ] || install="scripts/deps $3"
    command -v "$1" >/dev/null 2>&1 || die "$1 is missing: run '$install' (Debian package $2)"
}

random_hex() { # BYTES
    od -An -v -tx1 -N "$1" /dev/urandom | tr -d ' \n'
}

# A zombie has ended, but its parent has not looked yet.
is_zombie() { # PID
    grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null
}

check_port() { # VARIABLE VALUE
    if ! [[ $2 =~ ^[1-9][0-9]{0,4}$ ]] || [ "$2" -gt 65535 ]; then
        die "$1=$2 is not a port number (1 to 65535)"
    fi
}

# Reads the kernel's socket tables: that needs no package, and shows the sockets of every user.
port_is_taken() { # PORT
    local hex
    hex=$(printf '%04X' "$1")
    awk -v port="$hex" '$4 == "0A" { split($2, a, ":"); if (a[2] == port) found = 1 }
        END { exit !found }' /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

require_port_free() { # VARIABLE PORT
    ! port_is_taken "$2" ||
        die "port $2 is in use: set $1 to a free port, or FREE_PORTS=yes"
}

# Finds COUNT consecutive free ports below the range the kernel hands out for connections, and
# prints the first.
free_port_block() { # COUNT
    local first port try
    for try in $(seq 200); do
        first=$((10240 + (RANDOM * 32768 + RANDOM) % 20000))
        for ((port = first; port < first + $1; port++)); do
            ! port_is_taken "$port" || continue 2
        done
        printf '%s' "$first"
        return
    done
    die "found no $1 consecutive free ports in $try tries"
}

# Creates a directory, or ends with one line that says why not.
make_directory() { # DIRECTORY VARIABLE
    local reason
    case $1 in
    *[[:space:]]*) die "$2='$1' contains white space: choose another directory" ;;
    /*) ;;
    *) die "$2=$1 must be an absolute path" ;;
    esac
    reason=$(mkdir -p "$1" 2>&1) || die "can't create $1 (${reason##*: }): set $2 to another directory"
    [ -w "$1" ] || die "can't write to $1: set $2 to another directory"
}

# Runs the command every 20 ms until it succeeds; returns 1 if it has not within SECONDS.
wait_until() { # SECONDS COMMAND…
    local end=$((${EPOCHREALTIME/[^0-9]/} + $1 * 1000000))
    shift
    until "$@"; do
        [ "${EPOCHREALTIME/[^0-9]/}" -lt "$end" ] || return 1
        sleep 0.02
    done
}
