#!/usr/bin/env python3
"""Measures a panel's memory over an hour of load: `make soak`.

All loads run at the same time: pages of users, searches, single users, the list of admins, and subscriptions in each
format, for ten thousand users in turn; once a minute services with the ids of all users. Resident memory is read each minute.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import bench

# Requests besides those for single users; some answers are large.
LISTS = ["/api/users?size=100", "/api/users?size=50&order_by=used_traffic&descending=true", "/api/users?size=50&username=user1",
         "/api/users?size=50&page={last}", "/api/admins", "/api/system/stats/users"]
LOADS = {"lists": LISTS, "one user": "users", "links": "links", "clash-meta": "clash-meta", "sing-box": "sing-box", "xray": "xray"}


def soak(args, panel, folder):
    """Runs the loads for the given time and returns the resident memory in MB, minute by minute."""
    idle = bench.resident_mb(panel.process.pid)
    seconds = args.minutes * 60
    loads = {
        name: bench.start_wrk(panel.base, bench.paths_of(panel, kind), seconds, args.connections, folder,
                              TOKEN=panel.token, DELAY=str(args.delay))
        for name, kind in LOADS.items()
    }
    minutes, began = [], time.monotonic()
    for minute in range(1, args.minutes + 1):
        # One second early, while the load is still running.
        time.sleep(max(0, began + 60 * minute - 1 - time.monotonic()))
        panel.ask("/api/services")
        minutes.append(round(bench.resident_mb(panel.process.pid), 1))
        print(f"{minute:>4} min {minutes[-1]:>8.1f} MB", flush=True)
    figures = {name: bench.figures_of(load) for name, load in loads.items()}
    return {
        "minutes": minutes, "idle_mb": round(idle, 1),
        "requests": sum(load["requests"] for load in figures.values()),
        "failed": sum(load["failed"] for load in figures.values()),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, nargs="+", default=[100_000])
    parser.add_argument("--engines", nargs="+", default=["sqlite"], choices=["sqlite", "postgres"])
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--connections", type=int, default=4, help="connections of each of the six loads")
    parser.add_argument("--delay", type=int, default=20, help="milliseconds between an answer and the next request")
    parser.add_argument("--databases", help="keep the seeded databases in this folder")
    parser.add_argument("--output", default=str(bench.ROOT / "docs" / "performance-memory.json"))
    target = Path(os.environ.get("CARGO_TARGET_DIR", bench.ROOT / "target")) / "release"
    parser.add_argument("--binary", default=str(target / "sarban"))
    parser.add_argument("--seed", default=str(target / "examples" / "seed"))
    args = parser.parse_args()
    server, results = os.environ.get("SARBAN_TEST_POSTGRES_URL"), []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(args.databases or folder)
        for users in args.users:
            for engine in args.engines:
                database, _ = bench.seeded(args, home, engine, users, server)
                print(f"\n{users:,} users, {engine}", flush=True)
                panel = bench.Panel(args, database, "", folder)
                try:
                    results.append({"users": users, "engine": engine, **soak(args, panel, folder)})
                finally:
                    panel.stop()
    bench.store(args.output, results)
    bench.replace(Path(args.output).with_name("performance-tables.md"), "memory", table(results))


def table(results):
    lines = ["", "| users | engine | idle MB | after 1 min | after 10 min | at the end | most | minutes | requests | failed |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    for result in results:
        at = result["minutes"]
        tenth = at[9] if len(at) > 9 else at[-1]
        lines.append(f"| {result['users']:,} | {result['engine']} | {result['idle_mb']} | {at[0]} | {tenth} | {at[-1]} | {max(at)} "
                     f"| {len(at)} | {result['requests']:,} | {result['failed']} |")
    return "\n".join(lines) + "\n\n"


if __name__ == "__main__":
    main()
