#!/usr/bin/env bash
# Sees to it that everything the tests start is installed. Debian and its kin: installs what is missing. Elsewhere, or
# without the right to install: names each missing tool and fails. Nothing is ever skipped.
set -euo pipefail

# The folder with initdb and postgres: Debian keeps them out of the PATH, one folder for each version. The newest wins.
postgres_bin() {
  local found
  if found=$(command -v initdb); then
    dirname "$(readlink -f "$found")"
    return
  fi
  found=$(printf '%s\n' /usr/lib/postgresql/*/bin/initdb | sort -V | tail -n 1)
  [ -x "$found" ] && dirname "$found"
}

# Each missing tool with the Debian packages that bring it.
missing() {
  command -v cc >/dev/null || echo "cc gcc libc6-dev"
  command -v redis-server >/dev/null || echo "redis-server redis-server"
  command -v redis-sentinel >/dev/null || echo "redis-sentinel redis-sentinel"
  postgres_bin >/dev/null || echo "initdb postgresql"
  [ -x /usr/sbin/pgbouncer ] || command -v pgbouncer >/dev/null || echo "pgbouncer pgbouncer"
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

install_missing() {
  local packages
  read -r -a packages <<<"$(missing | cut -d' ' -f2- | tr '\n' ' ')"
  echo "installing: ${packages[*]}" >&2
  as_root apt-get update -q >&2 &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${packages[@]}" >&2
}

require_tools() {
  if ! command -v cargo >/dev/null; then
    echo "cargo is missing: install Rust from https://rustup.rs" >&2
    return 1
  fi
  [ -n "$(missing)" ] || return 0
  if command -v apt-get >/dev/null && as_root true 2>/dev/null; then
    install_missing || echo "apt-get could not install everything" >&2
  fi
  [ -n "$(missing)" ] || return 0
  missing | while read -r tool packages; do
    echo "$tool is missing and could not be installed here: install it (on Debian: apt-get install $packages)" >&2
  done
  return 1
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then require_tools; fi
