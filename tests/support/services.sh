#!/usr/bin/env bash
# Starts a Redis and a PostgreSQL for the tests: in a temporary folder, on free ports, deleted afterwards.
#
#   services.sh run COMMAND…   start both, run the command, always stop both; exits with the command's status
#   services.sh start          start both, leave them running, print the exports that tests need
#   services.sh stop           stop what `start` left running
set -euo pipefail

support=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/support/tools.sh
. "$support/tools.sh"

# File in which `start` stores the name of its folder for `stop`.
note=$support/../../.services

fail() {
  echo "services: $1" >&2
  [ -z "${2:-}" ] || tail -n 20 "$2" >&2
  exit 1
}

# Prints a port that is free now, below the kernel's range of client ports.
free_port() {
  local port
  while port=$((20000 + RANDOM % 12000)); do
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "$port"
      return
    fi
  done
}

# The first node of a new panel is here. Panels that tests start would take charge of it: send it their users, and read its traffic,
# which is counted once.
check_first_node() {
  if (exec 3<>/dev/tcp/127.0.0.1/53042) 2>/dev/null; then
    fail "a node listens at 127.0.0.1:53042, and tests would take it from its panel; stop it, or test on another machine"
  fi
}

# Signals that stop a server at once, because its data is not needed. (Redis would not receive QUIT: background jobs of bash
# ignore it. PostgreSQL handles it, and removes its child processes and shared memory.)
declare -A end=([redis]=KILL [postgres]=QUIT)

# Prefix of a server's command: with `run` the kernel stops the server even if this script is killed; after `start` it
# keeps running.
hold() {
  if [ "$lives_on" = yes ]; then echo setsid; else echo setpriv --pdeathsig "${end[$1]}"; fi
}

# A folder in memory if there is enough (a container has little by default): creating a database takes half the time there.
temporary_folder() {
  local free
  free=$(df --output=avail --block-size=M /dev/shm 2>/dev/null | tail -n 1 | tr -dc 0-9)
  if [ "${free:-0}" -ge 4096 ]; then echo /dev/shm; else echo /tmp; fi
}

make_home() {
  home=$(mktemp -d "${TMPDIR:-$(temporary_folder)}/sarban.XXXXXX")
  mkdir "$home/redis" "$home/postgres"
  as_postgres=()
  if [ "$(id -u)" = 0 ]; then
    # PostgreSQL refuses to run as root.
    chmod 711 "$home"
    chown postgres: "$home/postgres"
    as_postgres=(setpriv --reuid postgres --regid postgres --init-groups)
    "${as_postgres[@]}" test -w "$home/postgres" || fail "user postgres can't reach $home: set TMPDIR to a folder that it can"
  fi
}

start_redis() {
  local log=$home/redis/log
  for _ in {1..5}; do
    redis_port=$(free_port)
    # shellcheck disable=SC2046  # a command in words
    $(hold redis) redis-server --bind 127.0.0.1 --port "$redis_port" --dir "$home/redis" --save '' --appendonly no \
      >"$log" 2>&1 </dev/null &
    redis_pid=$!
    # Otherwise bash would report its end after the last line of the tests.
    disown
    for _ in {1..100}; do
      kill -0 "$redis_pid" 2>/dev/null || break
      # Check that it is this server, and not another process that took the port first.
      if redis-cli -p "$redis_port" info server 2>/dev/null | grep -q "^process_id:$redis_pid"; then return; fi
      sleep 0.05
    done
    kill -"${end[redis]}" "$redis_pid" 2>/dev/null || true
  done
  fail "Redis did not start:" "$log"
}

# A server without durability, which sorts text by language, as most operators' servers do.
start_postgres() {
  local log=$home/postgres/log data=$home/postgres/data
  bin=$(postgres_bin)
  (cd / && "${as_postgres[@]}" "$bin/initdb" --no-sync --auth=trust --username=postgres --encoding=UTF8 \
    --locale=C.UTF-8 --locale-provider=icu --icu-locale=en-US --pgdata="$data") >"$home/initdb.log" 2>&1 ||
    fail "initdb failed (PostgreSQL 15 or later is needed):" "$home/initdb.log"
  for _ in {1..5}; do
    postgres_port=$(free_port)
    # shellcheck disable=SC2046
    (cd / && exec "${as_postgres[@]}" $(hold postgres) "$bin/postgres" -D "$data" -h 127.0.0.1 -p "$postgres_port" -k "$home/postgres" \
      -c max_connections=300 -c fsync=off -c synchronous_commit=off -c full_page_writes=off) \
      >"$home/postgres.log" 2>&1 </dev/null &
    postgres_pid=$!
    disown
    for _ in {1..400}; do
      kill -0 "$postgres_pid" 2>/dev/null || break
      if grep -qs ready "$data/postmaster.pid" && [ "$(head -n 1 "$data/postmaster.pid")" = "$postgres_pid" ]; then return; fi
      sleep 0.05
    done
    kill -"${end[postgres]}" "$postgres_pid" 2>/dev/null || true
  done
  fail "PostgreSQL did not start:" "$home/postgres.log"
}

start() {
  require_tools
  require_programs
  require_node
  require_s3_server
  make_home
  start_redis
  echo "redis $redis_pid" >>"$home/pids"
  start_postgres
  echo "postgres $postgres_pid" >>"$home/pids"
}

stop() {
  [ -n "$1" ] && [ -d "$1" ] || return 0
  local server pid
  if [ -f "$1/pids" ]; then
    while read -r server pid; do
      kill -"${end[$server]}" "$pid" 2>/dev/null || true
      for _ in {1..100}; do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
      done
    done <"$1/pids"
  fi
  rm -rf "$1"
}

exports() {
  echo "export SARBAN_TEST_POSTGRES_URL=postgresql://postgres@127.0.0.1:$postgres_port/postgres"
  echo "export SARBAN_TEST_POSTGRES_BIN=$bin"
  echo "export SARBAN_TEST_REDIS_URL=redis://127.0.0.1:$redis_port"
  echo "export SARBAN_TEST_PROGRAMS=$programs"
  echo "export SARBAN_TEST_NODE=$(node -p process.execPath)"
}

case "${1:-}" in
  run)
    shift
    home=
    trap 'stop "$home"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    check_first_node
    lives_on=no
    start
    eval "$(exports)"
    "$@"
    ;;
  start)
    [ ! -f "$note" ] || fail "Redis and PostgreSQL are already running, in $(cat "$note"); \`make services-stop\` stops them"
    check_first_node
    lives_on=yes
    start
    echo "$home" >"$note"
    exports
    ;;
  stop)
    [ -f "$note" ] || fail "no Redis and PostgreSQL were left running"
    stop "$(cat "$note")"
    rm "$note"
    ;;
  *)
    sed -n '2,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
