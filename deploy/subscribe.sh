#!/bin/sh
# Makes the shop's subscriptions (subscriptions.tsv) in each publishing database; those that exist keep
# their cursor. Run in the shop's image: subscribe.sh SECRETS PG_HOST
set -eu
secrets=${1:?usage: subscribe.sh SECRETS PG_HOST}
host=${2:?usage: subscribe.sh SECRETS PG_HOST}
here=$(cd "$(dirname "$0")" && pwd)
tab=$(printf '\t')

grep -v '^#' "$here/subscriptions.tsv" | while IFS="$tab" read -r source consumer types; do
    role=$(printf %s "$source" | tr - _)
    port=$(awk -F '\t' -v name="$consumer" '$1 == name {print $2}' "$here/services.tsv")
    outbox-relay subscribe "$consumer" \
        --source "host=$host dbname=$role user=$role passfile=$secrets/pgpass" \
        --url "http://$consumer:$port/internal/events" --types "$types" --from-beginning \
        --secret-file "$secrets/webhook.$source.$consumer"
done
