# shellcheck shell=bash
# Background programs by pid file. A pid alone may be another program's by now, so the file also has
# the start time the kernel gives (clock ticks since boot): only what we started is ever signalled.
# Sourced after common.sh; needs RUN_DIR.

# The 22nd field of /proc/PID/stat; the 2nd, in brackets, may have spaces.
process_start_time() { # PID
    local stat fields
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    read -r -a fields <<<"${stat##*) }"
    printf '%s' "${fields[19]}"
}

# Starts a program and appends its output to log/NAME.log. 9 is the lock, which it must not keep.
process_start() { # NAME COMMAND…
    local name=$1 pid
    shift
    setsid "$@" </dev/null >>"$RUN_DIR/log/$name.log" 2>&1 9>&- &
    pid=$!
    printf '%s %s\n' "$pid" "$(process_start_time "$pid")" >"$RUN_DIR/pid/$name"
}

# Prints the pid if the program that we started is still running.
process_pid() { # NAME
    local pid started
    read -r pid started 2>/dev/null <"$RUN_DIR/pid/$1" || return 1
    [ -n "$started" ] && [ "$(process_start_time "$pid")" = "$started" ] || return 1
    ! is_zombie "$pid" || return 1
    printf '%s' "$pid"
}

process_runs() { # NAME
    process_pid "$1" >/dev/null
}

process_is_gone() { # NAME
    ! process_runs "$1"
}

process_signal() { # NAME SIGNAL
    local pid
    pid=$(process_pid "$1") || return 0
    kill "-$2" "$pid" 2>/dev/null || true
}

# Waits until a program that was told to stop has ended; kills it after SECONDS.
process_wait_gone() { # NAME SECONDS
    if ! wait_until "$2" process_is_gone "$1"; then
        printf '%s: %s did not stop within %s s and was killed\n' "$PROGRAM" "$1" "$2" >&2
        process_signal "$1" KILL
        wait_until 10 process_is_gone "$1" || die "$1 can't be killed"
    fi
    rm -f "$RUN_DIR/pid/$1"
}
