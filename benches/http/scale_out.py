#!/usr/bin/env python3
"""Measures whether a request costs more with more processes: 1, 2 and 3 panels on one PostgreSQL and one Redis: part of `make bench`.

Each panel has one worker and as many connections as in the other figures, which ask without a pause, so that no panel is
idle. The result is the CPU time per request of the panels and of the database; requests per second say little on a machine
whose cores all processes share. All panels together have the same number of database connections, so that the database is as busy
with one panel as with three. Several rounds with each number of panels, and the median of the rounds, because single
measurements vary.
"""

import itertools
import os
import statistics
import tempfile
import time
from pathlib import Path

import bench
import tasks

LOADS = {"one user": "users", "links": "links", "users": ["/api/users?size=50"], "links, noted": "sub"}


def measured(args, panels, database_pid, folder, name):
    """Puts all panels under this load at once and returns the CPU time in ms per request."""
    paths = bench.paths_of(panels[0], LOADS[name])
    agent = "v2rayNG/1.8.5" if LOADS[name] == "sub" else None

    def load(seconds):
        running = [
            bench.start_wrk(panel.base, paths, seconds, args.connections, folder, TOKEN=panel.token, AGENT=agent)
            for panel in panels
        ]
        return [bench.figures_of(one) for one in running]

    load(1)
    spent = lambda: (sum(bench.cpu_seconds(panel.process.pid) for panel in panels), bench.cpu_seconds(database_pid, True))
    before = spent()
    figures = load(args.seconds)
    requests = sum(one["requests"] for one in figures)
    server, database = (1e3 * (now - then) / max(requests, 1) for now, then in zip(spent(), before))
    row = {
        "processes": len(panels), "load": name, "per_second": round(sum(one["requests"] / one["seconds"] for one in figures)),
        "failed": sum(one["failed"] for one in figures), "p99_ms": max(one["p99_ms"] for one in figures),
        "cpu_ms": round(server, 4), "database_cpu_ms": round(database, 4),
    }
    print(f"{row['processes']:>3} {name:16}{row['per_second']:>9}{row['p99_ms']:>9.2f}{server:>9.3f}{database:>9.3f}", flush=True)
    return row


def main():
    parser = bench.arguments(__doc__, "performance-scale-out.json", 100_000, engines=False)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--connections", type=int, default=32, help="connections of wrk for each process")
    parser.add_argument("--database-connections", type=int, default=12, help="database connections of all processes together")
    parser.add_argument("--workers", default="1", help="UVICORN_WORKERS of each process")
    args = parser.parse_args()
    server, redis = os.environ.get("SARBAN_TEST_POSTGRES_URL"), os.environ.get("SARBAN_TEST_REDIS_URL")
    rows = []
    with tempfile.TemporaryDirectory() as home:
        database = tasks.Database(args, Path(home), "postgres", args.users, server)
        print(f"\n{args.users:,} users, postgres\n    {'':16}{'req/s':>9}{'p99 ms':>9}{'CPU ms':>9}{'DB ms':>9}", flush=True)
        for nth_round, count in itertools.product(range(args.rounds), args.processes):
            panels = []
            try:
                for nth in range(count):
                    folder = Path(home) / f"{nth_round}.{count}.{nth}"
                    folder.mkdir()
                    panels.append(bench.Panel(args, database.url, args.workers, str(folder), {
                        "REDIS_URL": redis, "SQLALCHEMY_CONNECTION_MAX_OVERFLOW": "0",
                        "SQLALCHEMY_CONNECTION_POOL_SIZE": str(args.database_connections // count),
                    }))
                # Wait until the tasks have done what a seeded database has due.
                time.sleep(3)
                tasks.settled(database, "SELECT COUNT(*) FROM task_run WHERE state = 'running'", 120)
                rows += [measured(args, panels, database.pid, home, name) for name in LOADS]
            finally:
                for panel in panels:
                    panel.stop()
    rows = [median(rows, load, count) for load in LOADS for count in args.processes]
    bench.store(args.output, {"users": args.users, "rounds": args.rounds, "rows": rows})
    bench.replace(Path(args.output).with_name("performance-tables.md"), "scale-out", table(rows))


def median(rows, load, processes):
    """One row for all rounds: the median of each figure, and the sum of failures."""
    same = [row for row in rows if (row["load"], row["processes"]) == (load, processes)]
    middle = {key: round(statistics.median(row[key] for row in same), 4) for key in ("per_second", "p99_ms", "cpu_ms", "database_cpu_ms")}
    return {"processes": processes, "load": load, **middle, "failed": sum(row["failed"] for row in same)}


def table(rows):
    lines = ["", "| load | processes | requests/s | p99 ms | CPU ms | database CPU ms |", "|---|---|---|---|---|---|"]
    for row in rows:
        lines.append(f"| {row['load']} | {row['processes']} | {row['per_second']:.0f} | {row['p99_ms']:.2f} | {row['cpu_ms']:.3f} | {row['database_cpu_ms']:.3f} |")
    return "\n".join(lines) + "\n\n"


if __name__ == "__main__":
    main()
