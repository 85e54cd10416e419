#!/usr/bin/env bash
# Sends a fresh panel on SQLite requests that its OpenAPI document allows, and many that it does not, with a sudo admin's
# token. Fails on a 5xx, on an undocumented status, and on an answer that does not match the document.
#
#   fuzz_api.sh PROGRAM SECONDS
#
# Operations that need a node are left out: without a node their correct answer is a 502. So is the stream of events, which
# does not end.
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

# Use the installed schemathesis, or install one for this run only.
if ! command -v schemathesis >/dev/null; then
  python3 -m venv "$home/python" && "$home/python/bin/pip" install --quiet 'schemathesis==4.32.5' >&2 ||
    fail "schemathesis is missing and could not be installed: python3 -m pip install schemathesis"
  PATH=$home/python/bin:$PATH
fi

cd "$home"
export SQLALCHEMY_DATABASE_URL=sqlite:///panel.sqlite3 UVICORN_HOST=127.0.0.1 UVICORN_PORT=$((20000 + RANDOM % 12000))
export DOCS=true LOGIN_ATTEMPTS_PER_MINUTE=0 SUBSCRIPTION_MISSES_PER_MINUTE=0
# Do not use a cluster, a webhook or a bot from the caller's environment.
unset REDIS_URL DATABASE_URL WEBHOOK_ADDRESS TELEGRAM_API_TOKEN
SARBAN_ADMIN_PASSWORD=rootpass "$program" admin create -u root --sudo >create.log 2>&1 || fail "could not create the admin:" create.log
"$program" serve >panel.log 2>&1 &
panel=$!
disown
for _ in {1..600}; do
  if "$program" healthcheck >/dev/null 2>&1; then break; fi
  sleep 0.05
done
"$program" healthcheck >/dev/null || fail "the panel did not start:" panel.log

address=http://127.0.0.1:$UVICORN_PORT
token=$(curl -sf "$address/api/admins/token" -d username=root -d password=rootpass |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["access_token"])')
ask() {
  schemathesis run "$address/openapi.json" --header "Authorization: Bearer $token" "$@" \
    --phases examples,coverage,fuzzing --continue-on-failure --no-shrink --warnings off \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance \
    >fuzz.log 2>&1 || { cat fuzz.log >&2 && fail "some answers do not match openapi.json (see above)"; }
  grep -E 'Tested:|generated' fuzz.log
}

# Changes of admins come last and alone: sooner or later the sudo admin changes its own password, and its token ends.
ask --max-time "$seconds" --exclude-path-regex '\{backend\}|^/api/events$' --exclude-operation-id admin_modify
ask --max-time 5 --include-operation-id admin_modify
if grep -q ERROR panel.log; then fail "the panel logged errors:" panel.log; fi
