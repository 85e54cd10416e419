#!/usr/bin/env bash
# Checks and tests the dashboard: its types and languages, that src/dashboard/dist is what its sources build, and its screens
# in a browser on a real panel. Needs Node with npm, and Chromium.
#
#   dashboard.sh build      builds src/dashboard/dist
#   dashboard.sh test       checks and tests; target/debug must have `sarban` and the example `test_node`, and a PostgreSQL and
#                           a Redis must run (services.sh run …)
#   dashboard.sh pictures   takes the README's pictures from the demo
set -euo pipefail

support=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/support/tools.sh
. "$support/tools.sh"
cd "$support/../../dashboard"

# npm's own mark of a finished installation is compared with the lock file, so that the second run needs no network.
# Not `npm ci`, which refuses a lock file without an optional package for another system that the registry does not have.
require_packages() {
  if [ ! node_modules/.package-lock.json -nt package-lock.json ]; then
    npm install --no-save --no-audit --no-fund --loglevel=error
    touch node_modules/.package-lock.json
  fi
}

require_chromium() {
  CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || true)}
  if [ -z "$CHROMIUM" ]; then
    echo "installing: chromium" >&2
    as_root apt-get update -q >&2 || true
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends chromium >&2 || true
    CHROMIUM=$(command -v chromium || true)
  fi
  if [ -z "$CHROMIUM" ]; then
    echo "chromium is missing and could not be installed: install it (on Debian: apt-get install chromium), or name one in CHROMIUM" >&2
    exit 1
  fi
  export CHROMIUM
}

require_node
require_packages
case ${1:-} in
  build) npm run --silent build ;;
  pictures)
    require_chromium
    node scripts/pictures.mjs
    ;;
  test)
    require_chromium
    npm run --silent check
    npx vite build --logLevel warn
    node scripts/pack.mjs --check
    # Two files at a time: their tests wait more than they compute.
    printf '%s\0' tests/browser/*.test.mjs | xargs -0 -n 1 -P 2 "$support/browser_tests.sh"
    ;;
  *)
    echo "usage: dashboard.sh build|pictures|test" >&2
    exit 2
    ;;
esac
