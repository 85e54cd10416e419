#!/usr/bin/env bash
# Runs one file of browser tests and prints its output in one piece: browser_tests.sh FILE
#
# A browser on a busy machine is slow now and then: a file with a test that failed runs once more.
set -uo pipefail
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
node --test "$1" >"$log" 2>&1 || {
  echo "once more: $1" >>"$log"
  node --test "$1" >>"$log" 2>&1
  status=$?
}
cat "$log"
exit "$status"
