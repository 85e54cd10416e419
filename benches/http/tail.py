#!/usr/bin/env python3
"""Measures the effect of scheduled tasks on requests: part of `make bench`.

A load of subscriptions and one of single users, with p50 and p99: without tasks, while usage is recorded, while a tenth of
the users expires, while all nodes get their full list. Each kind of work starts again as soon as it has ended, so that it
runs during the whole window. Once under full load, and once under little load, where an answer takes less time than the
kernel's scheduler leaves a core to a thread. The median of several windows, because single measurements vary.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import bench
import tasks

# connections of each of the two loads, and milliseconds between an answer and the next request
LOADS = {"full": (32, None), "little": (4, 10)}
CAN_WORK = "enabled = TRUE AND removed = FALSE AND id NOT IN (SELECT user_id FROM user_traffic WHERE data_limit_reached = TRUE)"


class Work:
    """Work beside the load: `begin` starts it, `is_over` tells when to start it again."""

    def __init__(self, panel, database):
        self.panel, self.database, self.rounds, self.slot = panel, database, 0, None

    def prepare(self, seconds):
        """Prepares the database before the load begins."""

    def leave(self):
        """Reactivates users after the load."""

    def run(self, task):
        self.slot = self.panel.ask(f"/api/cluster/tasks/{task}/run", "POST")
        self.task = task

    def is_over(self):
        state = self.panel.ask(f"/api/cluster/runs?task={self.task}&size=1")["items"]
        return bool(state) and state[0]["state"] not in ("running", "pending")


class Nothing(Work):
    def begin(self):
        pass

    def is_over(self):
        return False


class Usage(Work):
    def begin(self):
        self.run("record_user_usages")


def resync(panel):
    for node in panel.ask("/api/nodes?size=100")["items"]:
        if node["status"] == "healthy":
            panel.ask(f"/api/nodes/{node['id']}/resync", "POST")


class Review(Work):
    """One tenth of the users after the other expires, throughout the window."""

    def prepare(self, seconds):
        begin, part = int((time.time() + 12) * 1e6), int(seconds * 1e5)
        self.database.run(
            f"UPDATE users SET activated = TRUE, expire_strategy = 'fixed_date', expire_date = {begin} + id % 10 * {part}"
            f" WHERE {CAN_WORK}")
        if self.database.engine == "postgres":
            self.database.run("VACUUM users")
        if time.time() * 1e6 > begin:
            sys.exit("bench: the users' expiry dates were written too late: several tenths have expired already")
        time.sleep(begin / 1e6 - time.time())

    def begin(self):
        self.run("review_users")

    def leave(self):
        self.database.run(f"UPDATE users SET activated = TRUE, expire_strategy = 'never', expire_date = NULL WHERE {CAN_WORK}")
        resync(self.panel)
        time.sleep(5)


class FullSync(Work):
    """Full lists for all nodes at once; a round is over after two seconds."""

    def begin(self):
        resync(self.panel)
        self.until = time.monotonic() + 2

    def is_over(self):
        return time.monotonic() > self.until


KINDS = {"nothing": Nothing, "recording usage": Usage, "expiring a tenth": Review, "full lists to all nodes": FullSync}


def window(args, panel, database, folder, load, kind):
    """Runs both loads beside one kind of work and returns a row."""
    work = KINDS[kind](panel, database)
    connections, delay = LOADS[load]
    work.prepare(args.seconds)
    loads = {
        name: bench.start_wrk(panel.base, bench.paths_of(panel, paths), args.seconds, connections, folder,
                              TOKEN=panel.token, DELAY=delay and str(delay))
        for name, paths in (("links", "links"), ("one user", "users"))
    }
    work.begin()
    began = time.monotonic()
    while any(wrk.poll() is None for wrk in loads.values()):
        time.sleep(0.1)
        if work.is_over():
            work.rounds += 1
            if time.monotonic() - began < args.seconds - 1:
                work.begin()
    work.leave()
    row = {"load": load, "work": kind, "rounds": work.rounds}
    for name, wrk in loads.items():
        figures = bench.figures_of(wrk)
        row[name] = {"per_second": round(figures["requests"] / figures["seconds"]), "failed": figures["failed"],
                     "p50_ms": figures["p50_ms"], "p99_ms": figures["p99_ms"]}
    print(f"{load:8}{kind:28}{work.rounds:>7}" + "".join(
        f"{row[name]['per_second']:>10}{row[name]['p50_ms']:>9.2f}{row[name]['p99_ms']:>9.2f}" for name in loads), flush=True)
    return row


def main():
    parser = bench.arguments(__doc__, "performance-tail.json", 100_000)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--loads", nargs="+", default=list(LOADS), choices=list(LOADS))
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    args = parser.parse_args()
    server = os.environ.get("SARBAN_TEST_POSTGRES_URL")
    results = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(args.databases or folder)
        for engine in args.engines:
            database = tasks.Database(args, home, engine, args.users, server)
            print(f"\n{args.users:,} users, {engine}, {args.nodes} nodes\n{'':36}{'rounds':>7}{'links/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'users/s':>10}{'p50 ms':>9}{'p99 ms':>9}", flush=True)
            with tasks.nodes(args, database, folder, args.nodes):
                database.run("DELETE FROM task_run")
                panel = bench.Panel(args, database.url, "", folder, {"TASKS_RECORD_USER_USAGES_INTERVAL": "3600", "TASKS_REVIEW_USERS_INTERVAL": "3600"})
                try:
                    tasks.settled(database, f"SELECT {args.nodes} - COUNT(*) FROM nodes WHERE status = 'healthy'", 60)
                    time.sleep(args.seconds)
                    rows = [
                        median([window(args, panel, database, folder, load, kind) for _ in range(args.windows)])
                        for load in args.loads for kind in args.kinds
                    ]
                finally:
                    panel.stop()
            results.append({"users": args.users, "engine": engine, "nodes": args.nodes, "rows": rows})
    bench.store(args.output, results)
    bench.replace(Path(args.output).with_name("performance-tables.md"), "tail", table(results))


def median(rows):
    """One row for several windows: the median of each figure, and the sum of failures."""
    middle = {"load": rows[0]["load"], "work": rows[0]["work"], "rounds": int(statistics.median(row["rounds"] for row in rows))}
    for name in ("links", "one user"):
        middle[name] = {key: round(statistics.median(row[name][key] for row in rows), 3) for key in ("per_second", "p50_ms", "p99_ms")}
        middle[name]["failed"] = sum(row[name]["failed"] for row in rows)
    return middle


def table(results):
    lines = [
        "", "| engine | load | beside | rounds | links/s | p50 ms | p99 ms | one user/s | p50 ms | p99 ms |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        for row in result["rows"]:
            loads = " | ".join(f"{row[name]['per_second']:.0f} | {row[name]['p50_ms']:.2f} | {row[name]['p99_ms']:.2f}" for name in ("links", "one user"))
            lines.append(f"| {result['engine']} | {row['load']} | {row['work']} | {row['rounds']} | {loads} |")
    return "\n".join(lines) + "\n\n"


if __name__ == "__main__":
    main()
