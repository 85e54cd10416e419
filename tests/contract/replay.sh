#!/usr/bin/env bash
# Replays the recorded requests of the old panel against this one, and fails if an answer differs.
#
#   SARBAN_CONTRACT_DIR=… tests/contract/replay.sh [fresh|seeded] [further arguments of replay.py]
#
# `fresh` uses a new panel, `seeded` a panel that imported the recorded database; without either, both run.
# Intended differences are listed in the file differs_on_purpose beside this script.
# Two test nodes use the ports of the recorded nodes, so only one replay can run at a time on a machine.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
contract=$(realpath "${SARBAN_CONTRACT_DIR:?set it to the folder with replay.py and corpus/}")
# shellcheck source=tests/support/tools.sh
. "$root/tests/support/tools.sh"

phases="fresh seeded"
case "${1:-}" in
  fresh | seeded)
    phases=$1
    shift
    ;;
esac

cd "$root"
cargo build --locked --quiet --bin sarban --example test_node
built=$(realpath "${CARGO_TARGET_DIR:-target}")/debug

exec 9>/tmp/nodes.lock
flock 9

secret=$(printf '5a%.0s' {1..32})
home=$(mktemp -d "${TMPDIR:-/tmp}/sarban-replay.XXXXXX")
started=()
cleanup() {
  local pid
  for pid in "${started[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
  rm -rf "$home"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
  echo "replay: $1" >&2
  [ -z "${2:-}" ] || tail -n 20 "$2" >&2
  exit 1
}

# Python's YAML package; if it is not installed, installs it for this run only.
yaml() {
  python3 -c 'import yaml' 2>/dev/null && return
  export PYTHONPATH=$home/python
  python3 -m pip install --quiet --target "$PYTHONPATH" PyYAML >&2 2>/dev/null && return
  as_root apt-get update -q >&2 && as_root apt-get install -y -q --no-install-recommends python3 python3-yaml >&2
}

# wait_for FILE TEXT: waits until a server has printed this text.
wait_for() {
  for _ in {1..600}; do
    if grep -qs "$2" "$1"; then return; fi
    sleep 0.05
  done
  fail "the server did not print \"$2\":" "$1"
}

start() {
  local log=$1
  shift
  "$@" >"$log" 2>&1 9>&- &
  started+=("$!")
  disown
}

# Starts new nodes for a phase: a node remembers the log of its engines.
nodes() {
  local name phase=$1
  for name in $(python3 -c 'import json, sys; print(*(node["name"] for node in json.load(open(sys.argv[1]))["nodes"]))' "$contract/corpus/nodes.json"); do
    start "$home/$phase-node-$name.log" "$built/examples/test_node" --nodes "$contract/corpus/nodes.json" --name "$name"
    wait_for "$home/$phase-node-$name.log" "serving on"
  done
}

# Starts a panel like the recorded one: without periodic tasks and rate limits.
panel() {
  local phase=$1 folder=$home/$1
  mkdir "$folder"
  cd "$folder"
  export SQLALCHEMY_DATABASE_URL=sqlite:///panel.sqlite3 UVICORN_HOST=127.0.0.1 UVICORN_PORT=$((20000 + RANDOM % 12000))
  export SERVER_IP=192.0.2.2
  export SUBSCRIPTION_URL_PREFIX=https://sub.example.com/ LOGIN_ATTEMPTS_PER_MINUTE=0 SUBSCRIPTION_MISSES_PER_MINUTE=0 TZ=UTC
  if [ "$phase" = seeded ]; then
    "$built/sarban" import --from "sqlite:///$contract/corpus/seeded.sqlite3" >import.log || fail "the import failed:" import.log
  else
    SARBAN_ADMIN_PASSWORD=rootpass "$built/sarban" admin create -u root --sudo >create.log
  fi
  # A new panel runs each task at once, whatever the interval. The trigger prevents the row in the ledger, and so the run.
  # Forged tokens need a known secret; the recorded database has one.
  python3 - "$secret" <<'PYTHON'
import sqlite3, sys
database = sqlite3.connect("panel.sqlite3")
database.execute("CREATE TRIGGER tasks_off BEFORE INSERT ON task_run BEGIN SELECT RAISE(IGNORE); END")
database.execute("INSERT OR IGNORE INTO jwt (id, secret_key) VALUES (1, ?)", sys.argv[1:])
database.commit()
PYTHON
  start panel.log "$built/sarban" serve
  for _ in {1..600}; do
    if "$built/sarban" healthcheck >/dev/null 2>&1; then return; fi
    sleep 0.05
  done
  fail "the panel did not start:" panel.log
}

# All listed answers must differ, and no others. Numbers before "# only PATH" must differ there and nowhere else.
as_listed() {
  python3 - "$root/tests/contract/differs_on_purpose" report.json <<'PYTHON'
import json, sys
listed = {int(number) for line in open(sys.argv[1]) for number in line.split("#")[0].split()}
records = {record["seq"]: record for record in json.load(open(sys.argv[2]))["records"]}
only = {
    int(number): line.split("# only ")[1].strip()
    for line in open(sys.argv[1])
    if "# only " in line
    for number in line.split("#")[0].split()
}
failed = {number for number, record in records.items() if record["result"] == "fail"}
same = {number for number in listed if number in records and records[number]["result"] == "pass"}
for number in sorted(failed - listed):
    print(f"replay: #{number} {records[number]['name']} differs and is not listed in differs_on_purpose")
more = {
    number
    for number in failed & set(only)
    if {difference["path"] for difference in records[number]["differences"]} != {only[number]}
}
for number in sorted(more):
    print(f"replay: #{number} {records[number]['name']} differs in more than its {only[number]}")
for number in sorted(same):
    print(f"replay: #{number} {records[number]['name']} does not differ any more: remove it from differs_on_purpose")
print(f"replay: {len(failed & listed)} answers differ on purpose, {len(failed - listed)} unexpectedly")
sys.exit(1 if failed - listed or more or same else 0)
PYTHON
}

yaml || fail "Python's yaml is missing and could not be installed: python3 -m pip install PyYAML"
failed=
for phase in $phases; do
  echo "replay: $phase"
  nodes "$phase"
  panel "$phase"
  known=(--jwt-secret "$secret")
  if [ "$phase" = seeded ]; then known=(); fi
  python3 "$contract/replay.py" --base "http://127.0.0.1:$UVICORN_PORT" --phase "$phase" --no-crash "${known[@]}" "$@" \
    --report report.json || true
  as_listed || failed=yes
  for pid in "${started[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
  started=()
done
[ -z "$failed" ] || fail "answers differ from the recorded ones"
