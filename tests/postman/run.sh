#!/bin/sh
# Runs the Postman collection with newman against a running stack:
#     BASE_URL=http://127.0.0.1:8080 tests/postman/run.sh [newman's options, such as --folder 'Simple Order']
# Needs node 18 or later; newman itself is installed from the lock file on the first run.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
postman=$here/../../examples/postman
base_url=${BASE_URL:-http://127.0.0.1:8080}

for tool in node npm; do
    command -v "$tool" >/dev/null || { echo "run.sh: $tool is missing: make deps installs it" >&2; exit 2; }
done
major=$(node -p 'process.versions.node.split(".")[0]')
[ "$major" -ge 18 ] || { echo "run.sh: node $(node --version) is too old: 18 or later is needed" >&2; exit 2; }

# npm ci leaves node_modules/.package-lock.json behind: newer than the lock file, it is up to date.
cd "$here"
if [ -z "$(find node_modules/.package-lock.json -newer package-lock.json 2>/dev/null)" ]; then
    echo "installing newman into tests/postman/node_modules"
    npm ci --no-progress --loglevel=error
fi

exec node_modules/.bin/newman run "$postman/outbox-shop.postman_collection.json" \
    --environment "${POSTMAN_ENVIRONMENT:-$postman/local.postman_environment.json}" \
    --env-var "baseUrl=$base_url" \
    --timeout-request 30000 --color "${COLOR:-auto}" "$@"
