#!/usr/bin/env bash
# Runs all Rust tests: rust_tests.sh CARGO
#
# The suites `cluster`, `fast` and `chaos` run real processes, several tests at once, on machines that may be busy. Up to three of their
# tests that fail beside others run again, each alone: what then passes is named at the end, and what fails again fails the run. The
# suites without processes have no second try.
set -uo pipefail
cargo=$1
most=3

log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$cargo" test --locked --no-fail-fast 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
[ "$status" != 0 ] || exit 0

# Cargo's last lines name the suites that failed.
mapfile -t suites < <(sed -n '/^error: [0-9]* targets\? failed:$/,$s/^ *`--test \(.*\)`$/\1/p' "$log")
others=$(sed -n '/^error: [0-9]* targets\? failed:$/,$s/^ *`\(.*\)`$/\1/p' "$log" | grep -cvxE -e '--test (cluster|fast|chaos)')
mapfile -t failed < <(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$log")
if [ "$others" != 0 ] || [ "${#suites[@]}" = 0 ] || [ "${#failed[@]}" -gt "$most" ]; then
  exit "$status"
fi
echo
echo "once more, alone: ${suites[*]}: ${failed[*]}"
for suite in "${suites[@]}"; do
  if [ "$suite" = chaos ]; then only=(); else only=(--exact "${failed[@]}"); fi
  RUST_TEST_THREADS=1 "$cargo" test --locked --test "$suite" -- "${only[@]}" || exit
done
echo "These failed beside others and passed alone: ${suites[*]}: ${failed[*]}"
