#!/bin/sh
# Makes the passwords and signing secrets of a deployment in containers, once: what exists is kept.
# Each directory below SECRETS is a volume of its own, so that a program sees no secret but its own.
# Run in the shop's image, by its own user, who is also in the groups that read a volume:
#   make-secrets.sh SECRETS PG_HOST
set -eu
umask 077
secrets=${1:?usage: make-secrets.sh SECRETS PG_HOST}
host=${2:?usage: make-secrets.sh SECRETS PG_HOST}
here=$(cd "$(dirname "$0")" && pwd)
tab=$(printf '\t')

# The groups of PostgreSQL's image, and of the images of Prometheus' world.
postgres_group=999
monitoring_group=65534

random() { # BYTES, as hexadecimal digits
    od -An -v -N "$1" -tx1 /dev/urandom | tr -d ' \n'
}

# Standard input becomes FILE, all of it or nothing: it may be in use, and this may be killed.
put() { # FILE
    cat >"$1.new"
    mv "$1.new" "$1"
}

password_of() { # ROLE: made where missing, kept where PostgreSQL's start-up script reads it
    [ -s "$secrets/postgres/$1" ] || random 24 | put "$secrets/postgres/$1"
    cat "$secrets/postgres/$1"
}

readable_by() { # GROUP DIRECTORY
    chgrp "$1" "$2" "$2"/*
    chmod 750 "$2"
    chmod 440 "$2"/*
}

services() {
    grep -v '^#' "$here/services.tsv"
}

password_of postgres >/dev/null
password_of monitor | put "$secrets/monitoring/password"
[ -s "$secrets/monitoring/grafana-admin" ] || random 24 | put "$secrets/monitoring/grafana-admin"
printf '%s:5432:*:relay:%s\n' "$host" "$(password_of relay)" | put "$secrets/relay/pgpass"

services | while IFS="$tab" read -r service _; do
    role=$(printf %s "$service" | tr - _)
    printf 'host=%s dbname=%s user=%s password=%s\n' "$host" "$role" "$role" "$(password_of "$role")" |
        put "$secrets/$service/database-url"
done
services | while IFS="$tab" read -r service _; do
    role=$(printf %s "$service" | tr - _)
    printf '%s:5432:%s:%s:%s\n' "$host" "$role" "$role" "$(password_of "$role")"
done | put "$secrets/deploy/pgpass"

grep -v '^#' "$here/subscriptions.tsv" | while IFS="$tab" read -r source consumer _; do
    file=$secrets/deploy/webhook.$source.$consumer
    [ -s "$file" ] || printf 'whsec_%s\n' "$(head -c 32 /dev/urandom | base64)" | put "$file"
done
services | while IFS="$tab" read -r service _; do
    for file in "$secrets/deploy/webhook."*".$service"; do
        [ -e "$file" ] || continue
        source=${file#"$secrets/deploy/webhook."}
        # Bound to its source: a secret of one publisher signs nothing in the name of another.
        printf '%s=%s ' "${source%".$service"}" "$(cat "$file")"
    done | put "$secrets/$service/webhooks"
done

readable_by "$postgres_group" "$secrets/postgres"
readable_by "$monitoring_group" "$secrets/monitoring"
echo "secrets are in place"
