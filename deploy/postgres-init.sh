#!/bin/bash
# Start-up script of the PostgreSQL image (/docker-entrypoint-initdb.d): one database and login role
# for each service, the outbox's group roles, the relay's login. Passwords are read from files
# named as the role under $SECRETS_DIR (or $SECRETS_DIR/<role>/password, as Kubernetes mounts them).
set -euo pipefail
here=${PROVISION_DIR:-/deploy}

password_of() { # ROLE
    if [ -d "$SECRETS_DIR/$1" ]; then cat "$SECRETS_DIR/$1/password"; else cat "$SECRETS_DIR/$1"; fi
}

# On standard input, as arguments can be seen by every user.
{
    printf "\\\\set relay_password '%s'\n" "$(password_of relay)"
    # Who monitors is optional.
    if [ -e "$SECRETS_DIR/monitor" ]; then
        printf "\\\\set monitor_password '%s'\n" "$(password_of monitor)"
    fi
    cat "$here/provision.sql"
    while IFS=$'\t' read -r service _ publishes; do
        case $service in '' | \#*) continue ;; esac
        role=${service//-/_}
        printf "\\\\set role %s\n\\\\set password '%s'\n\\\\set publishes %s\n" \
            "$role" "$(password_of "$role")" "$publishes"
        cat "$here/provision-service.sql"
    done <"$here/services.tsv"
} | psql -X -q -v ON_ERROR_STOP=1 -U postgres -d postgres
