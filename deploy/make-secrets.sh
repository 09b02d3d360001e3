#!/bin/sh
# Makes the passwords and signing secrets of a deployment in containers, once: what exists is kept.
# Each directory below SECRETS is a volume of its own, so that a service sees no secret but its own.
# Run as root in the shop's image: make-secrets.sh SECRETS PG_HOST
set -eu
umask 077
secrets=${1:?usage: make-secrets.sh SECRETS PG_HOST}
host=${2:?usage: make-secrets.sh SECRETS PG_HOST}
here=$(cd "$(dirname "$0")" && pwd)
shop_user=10001
postgres_user=999
tab=$(printf '\t')

random() { # BYTES, as hexadecimal digits
    od -An -N "$1" -tx1 /dev/urandom | tr -d ' \n'
}

password_of() { # ROLE: made where missing, kept where PostgreSQL's start-up script reads it
    mkdir -p "$secrets/postgres"
    [ -s "$secrets/postgres/$1" ] || random 24 >"$secrets/postgres/$1"
    cat "$secrets/postgres/$1"
}

password_of postgres >/dev/null
password_of monitor >/dev/null
mkdir -p "$secrets/relay" "$secrets/deploy" "$secrets/monitoring"
printf '%s:5432:*:relay:%s\n' "$host" "$(password_of relay)" >"$secrets/relay/pgpass"

: >"$secrets/deploy/pgpass"
grep -v '^#' "$here/services.tsv" | while IFS="$tab" read -r service _; do
    role=$(printf %s "$service" | tr - _)
    mkdir -p "$secrets/$service"
    printf 'host=%s dbname=%s user=%s password=%s\n' "$host" "$role" "$role" "$(password_of "$role")" \
        >"$secrets/$service/database-url"
    : >"$secrets/$service/webhooks"
    printf '%s:5432:%s:%s:%s\n' "$host" "$role" "$role" "$(password_of "$role")" >>"$secrets/deploy/pgpass"
done
grep -v '^#' "$here/subscriptions.tsv" | while IFS="$tab" read -r source consumer _; do
    file=$secrets/deploy/webhook.$source.$consumer
    [ -s "$file" ] || printf 'whsec_%s\n' "$(head -c 32 /dev/urandom | base64)" >"$file"
    # Bound to its source: a secret of one publisher signs nothing in the name of another.
    printf '%s=%s ' "$source" "$(cat "$file")" >>"$secrets/$consumer/webhooks"
done

for dir in "$secrets"/*/; do
    owner=$shop_user
    [ "$(basename "$dir")" != postgres ] || owner=$postgres_user
    chown -R "$owner:$owner" "$dir"
    chmod 500 "$dir"
    chmod 400 "$dir"*
done
echo "secrets are in place"
