#!/usr/bin/env bash
# Asks a fresh panel on SQLite everything that its OpenAPI document allows, and much that it does not, with a sudo's
# token: no answer may be a 5xx, have an undocumented status, or another shape than the document says.
#
#   fuzz_api.sh PROGRAM SECONDS
#
# What asks a node is left out: without one the right answer is a 502.
set -euo pipefail

program=$(realpath "$1")
seconds=$2
home=$(mktemp -d "${TMPDIR:-/tmp}/sarban-fuzz.XXXXXX")
panel=
cleanup() {
  [ -z "$panel" ] || kill -KILL "$panel" 2>/dev/null || true
  rm -rf "$home"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
  echo "fuzz-api: $1" >&2
  [ -z "${2:-}" ] || tail -n 20 "$2" >&2
  exit 1
}

# The one that is installed, or one for this run only.
if ! command -v schemathesis >/dev/null; then
  python3 -m venv "$home/python" && "$home/python/bin/pip" install --quiet 'schemathesis==4.32.5' >&2 ||
    fail "schemathesis is missing and could not be installed: python3 -m pip install schemathesis"
  PATH=$home/python/bin:$PATH
fi

cd "$home"
export SQLALCHEMY_DATABASE_URL=sqlite:///panel.sqlite3 UVICORN_HOST=127.0.0.1 UVICORN_PORT=$((20000 + RANDOM % 12000))
export DOCS=true LOGIN_ATTEMPTS_PER_MINUTE=0 SUBSCRIPTION_MISSES_PER_MINUTE=0
# Nothing of the caller's: neither a cluster nor a webhook.
unset REDIS_URL DATABASE_URL WEBHOOK_ADDRESS TELEGRAM_API_TOKEN
SARBAN_ADMIN_PASSWORD=rootpass "$program" admin create -u root --sudo >create.log 2>&1 || fail "no admin:" create.log
"$program" serve >panel.log 2>&1 &
panel=$!
disown
for _ in {1..600}; do
  if "$program" healthcheck >/dev/null 2>&1; then break; fi
  sleep 0.05
done
"$program" healthcheck >/dev/null || fail "the panel does not start:" panel.log

address=http://127.0.0.1:$UVICORN_PORT
token=$(curl -sf "$address/api/admins/token" -d username=root -d password=rootpass |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["access_token"])')
ask() {
  schemathesis run "$address/openapi.json" --header "Authorization: Bearer $token" "$@" \
    --phases examples,coverage,fuzzing --continue-on-failure --no-shrink --warnings off \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance \
    >fuzz.log 2>&1 || { cat fuzz.log >&2 && fail "there are answers that should not be"; }
  grep -E 'Tested:|generated' fuzz.log
}

# Changing admins comes last and alone: sooner or later the sudo that asks changes its own password, and is out.
ask --max-time "$seconds" --exclude-path-regex '\{backend\}' --exclude-operation-id admin_modify
ask --max-time 5 --include-operation-id admin_modify
if grep -q ERROR panel.log; then fail "the panel's log:" panel.log; fi
