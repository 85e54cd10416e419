#!/usr/bin/env bash
# Runs all Rust tests: rust_tests.sh CARGO
#
# The suite `cluster` runs real processes against real time limits, several tests at once. Up to three of its tests that fail beside
# others run again, each alone: what then passes is named at the end, and what fails again fails the run. No other suite has a
# second try.
set -uo pipefail
cargo=$1
most=3

log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$cargo" test --locked --no-fail-fast 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
[ "$status" != 0 ] || exit 0

# Cargo's last lines name the suites that failed.
suites=$(sed -n '/^error: [0-9]* targets\? failed:$/,$s/^ *`\(.*\)`$/\1/p' "$log")
mapfile -t failed < <(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$log")
if [ "$suites" != "--test cluster" ] || [ "${#failed[@]}" = 0 ] || [ "${#failed[@]}" -gt "$most" ]; then
  exit "$status"
fi
echo
echo "once more, alone: ${failed[*]}"
RUST_TEST_THREADS=1 "$cargo" test --locked --test cluster -- --exact "${failed[@]}" || exit
echo "These tests failed beside others and passed alone: ${failed[*]}"
