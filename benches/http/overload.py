#!/usr/bin/env python3
"""Measures a panel under far more load than it can take: part of `make bench`.

First the capacity on an expensive route with a few connections. Then thousands of connections that ask again as soon as
they are answered: answers and refusals (503 with Retry-After) a second, the duration of health probes, and whether the
lease moves. Then how soon the panel answers as before. On SQLite without Redis, and on PostgreSQL with Redis.
"""

import json
import os
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import bench
import tasks

ROW = ["/api/users?size=50&username=user"]


class Probe(threading.Thread):
    """Asks for the panel's health ten times a second and stores the longest answer and every role that it reported."""

    def __init__(self, panel):
        super().__init__()
        self.panel, self.over, self.longest, self.places, self.failed = panel, threading.Event(), 0.0, set(), 0

    def run(self):
        while not self.over.wait(0.1):
            began = time.monotonic()
            try:
                answer = urllib.request.urlopen(self.panel.base + "/health/ready", timeout=10).read()
                self.places.add(json.loads(answer)["scheduler"])
            except OSError:
                self.failed += 1
            self.longest = max(self.longest, time.monotonic() - began)

    def __exit__(self, *_):
        self.over.set()
        self.join()

    def __enter__(self):
        self.start()
        return self


def load(panel, folder, seconds, connections):
    """Runs wrk on the route and returns its figures with the outcomes."""
    process = bench.start_wrk(panel.base, ROW, seconds, connections, folder, script="statuses.lua", TOKEN=panel.token,
                              HERE=str(bench.HERE))
    return bench.figures_of(process, "FIGURES", "OUTCOMES")


def recovery(panel):
    """Seconds until a request of the route succeeds."""
    began = time.monotonic()
    while True:
        try:
            panel.ask(ROW[0])
            return time.monotonic() - began
        except urllib.error.HTTPError:
            time.sleep(0.01)


def measured(args, panel, folder, engine, connections):
    term = lambda: panel.ask("/api/cluster")["leader"]["epoch"]
    before, idle = term(), bench.resident_mb(panel.process.pid)
    capacity = load(panel, folder, args.seconds, 32)
    with Probe(panel) as probe:
        flood = load(panel, folder, args.seconds, connections)
    back = recovery(panel)
    again = load(panel, folder, args.seconds, 32)
    rate = lambda figures, what: round(figures[what] / figures["seconds"])
    row = {
        "engine": engine, "connections": connections, "capacity": rate(capacity, "answered"),
        "asked": rate(flood, "requests"), "answered": rate(flood, "answered"), "shed": rate(flood, "shed"),
        "without_retry_after": flood["without_retry"], "other": flood["other"], "broken": flood["broken"],
        "longest_probe_ms": round(1e3 * probe.longest, 1), "failed_probes": probe.failed, "places": sorted(probe.places),
        "terms": term() - before, "back_after_ms": round(1e3 * back, 1), "afterwards": rate(again, "answered"),
        "idle_mb": round(idle), "resident_mb": round(bench.resident_mb(panel.process.pid)),
        "p50_ms": flood["p50_ms"], "p99_ms": flood["p99_ms"],
    }
    print(json.dumps(row), flush=True)
    return row


def main():
    parser = bench.arguments(__doc__, "performance-overload.json", 100_000)
    parser.add_argument("--connections", type=int, nargs="+", default=[500, 2_000, 10_000])
    parser.add_argument("--seconds", type=int, default=8)
    args = parser.parse_args()
    server, redis = os.environ.get("SARBAN_TEST_POSTGRES_URL"), os.environ.get("SARBAN_TEST_REDIS_URL")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(args.databases or folder)
        for engine in args.engines:
            database = tasks.Database(args, home, engine, args.users, server)
            panel = bench.Panel(args, database.url, "", folder, {"REDIS_URL": redis} if engine == "postgres" else {})
            try:
                # Wait until the tasks have done what a seeded database has due.
                time.sleep(3)
                tasks.settled(database, "SELECT COUNT(*) FROM task_run WHERE state = 'running'", 120)
                rows += [measured(args, panel, folder, engine, count) for count in args.connections]
            finally:
                panel.stop()
    bench.store(args.output, {"users": args.users, "rows": rows})
    bench.replace(Path(args.output).with_name("performance-tables.md"), "overload", table(rows))


def table(rows):
    lines = [
        "", "| engine | capacity/s | connections | answered/s | refused/s | p50 ms | p99 ms | longest health probe ms | back after ms | afterwards/s | MB |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['engine']} | {row['capacity']} | {row['connections']} | {row['answered']} | {row['shed']} | {row['p50_ms']:.0f} | "
            f"{row['p99_ms']:.0f} | {row['longest_probe_ms']:.0f} | {row['back_after_ms']:.0f} | {row['afterwards']} | {row['resident_mb']} |")
    kept = all(row["terms"] == 0 and row["places"] == ["leader"] for row in rows)
    clean = all(row["without_retry_after"] == row["other"] == row["broken"] == row["failed_probes"] == 0 for row in rows)
    lines += ["", f"The lease {'did not move' if kept else 'MOVED'}; every refusal was a 503 with `Retry-After`" +
              (", and no connection broke." if clean else ", EXCEPT SOME: see performance-overload.json.")]
    return "\n".join(lines) + "\n\n"


if __name__ == "__main__":
    main()
