#!/usr/bin/env python3
"""Measures the scheduled tasks on seeded databases by the times in the ledger: part of `make bench`.

Usage of test nodes that report some traffic for every user, a review with 1 % and with 10 % of the users due, resets.
Durations are those of the runs in `task_run`. CPU times are those of the panel from its start and of PostgreSQL.
"""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import bench


# Users of all nodes together, at most: more test users do not fit into a small machine's memory.
MOST_ENTRIES = 10_000_000


class Database:
    """A copy of a seeded database, because tasks change it."""

    def __init__(self, args, home, engine, users, server):
        self.engine = engine
        original, self.pid = bench.seeded(args, home, engine, users, server)
        if engine == "sqlite":
            self.path = home / f"tasks_{users}.sqlite3"
            shutil.copy(original.removeprefix("sqlite:///"), self.path)
            self.url = f"sqlite:///{self.path}"
        else:
            name = f"tasks_{users}"
            bench_name = original.rsplit("/", 1)[1]
            subprocess.run(["psql", "-q", server, "-c", f"DROP DATABASE IF EXISTS {name}"], check=True, stderr=subprocess.DEVNULL)
            subprocess.run(["psql", "-q", server, "-c", f"CREATE DATABASE {name} TEMPLATE {bench_name}"], check=True)
            self.url = original.rsplit("/", 1)[0] + "/" + name

    def run(self, sql):
        """All rows of the last statement as text."""
        if self.engine == "postgres":
            out = subprocess.run(["psql", "-qAt", "-F", "\t", self.url, "-c", sql], capture_output=True, text=True, check=True).stdout
            return [line.split("\t") for line in out.splitlines()]
        with sqlite3.connect(self.path, timeout=60) as connection:
            rows = connection.execute(sql).fetchall()
        return [[str(value) for value in row] for row in rows]

    def number(self, sql):
        return int(float(self.run(sql)[0][0]))


def settled(database, question, limit=900):
    """Waits until a query returns 0."""
    for _ in range(limit * 5):
        if database.number(question) == 0:
            return
        time.sleep(0.2)
    sys.exit(f"bench: not done in {limit} s: {question}")


def measured(args, database, folder, name, task, question):
    """Starts a panel, waits until the work is done, and returns a row of the table."""
    database.run("DELETE FROM task_run")
    # From the start: the work may be done before the panel answers its first request.
    before = bench.cpu_seconds(database.pid, True) if database.pid else 0
    panel = bench.Panel(args, database.url, "", folder, {
        "TASKS_REVIEW_USERS_INTERVAL": "2", "TASKS_RESET_USER_DATA_USAGE": "2", "TASKS_RECORD_USER_USAGES_INTERVAL": "10",
        "LOG_LEVEL": "error",
    })
    try:
        settled(database, question)
        # Wait for the end of the run that did the work.
        settled(database, f"SELECT COUNT(*) FROM task_run WHERE state = 'running' AND task = '{task}'")
        cpu = bench.cpu_seconds(panel.process.pid)
        of_database = bench.cpu_seconds(database.pid, True) - before if database.pid else 0
        runs = database.run(
            "SELECT COUNT(*), COALESCE(SUM(items), 0), COALESCE(SUM(finished_at - started_at), 0) / 1000000.0,"
            f" COALESCE(MAX(finished_at - started_at), 0) / 1000000.0 FROM task_run WHERE task = '{task}' AND state = 'done' AND items > 0"
        )[0]
        row = {
            "task": name, "runs": int(runs[0]), "items": int(float(runs[1])), "seconds": round(float(runs[2]), 2),
            "longest_run": round(float(runs[3]), 2), "cpu_seconds": round(cpu, 2), "database_cpu_seconds": round(of_database, 2),
            "resident_mb": round(bench.resident_mb(panel.process.pid), 1),
        }
        print(
            f"{name:24}{row['runs']:>6}{row['items']:>11}{row['seconds']:>10.2f}{row['longest_run']:>10.2f}"
            f"{row['cpu_seconds']:>9.2f}{row['database_cpu_seconds']:>9.2f}{row['resident_mb']:>8.0f}", flush=True)
        return row
    finally:
        panel.stop()


@contextlib.contextmanager
def nodes(args, database, folder, count):
    """Test nodes with all users, which report some traffic for each. They run at the lowest priority, because real nodes are
    on other machines and their CPU time is not the panel's."""
    started = []
    try:
        for nth in range(count):
            node = subprocess.Popen(
                ["nice", "-n", "19", args.test_node, "--listen", "127.0.0.1:0", "--bytes-per-second", "1000"], stdout=subprocess.PIPE, text=True)
            started.append(node)
            port = node.stdout.readline().rsplit(":", 1)[1].strip()
            if nth == 0:
                database.run(f"UPDATE nodes SET address = '127.0.0.1', port = {port} WHERE name = 'local'")
            else:
                database.run(
                    "INSERT INTO nodes (name, address, port, connection_backend, created_at)"
                    f" VALUES ('node {nth}', '127.0.0.1', {port}, 'grpcio', 0) ON CONFLICT (name) DO UPDATE SET port = excluded.port")
        # As soon as the node has reported its four inbounds, they are added to a service that all users have.
        row_of_nodes = "(SELECT id FROM nodes WHERE name = 'local' OR name LIKE 'node %')"
        panel = bench.Panel(args, database.url, "", folder, {"LOG_LEVEL": "error"})
        try:
            settled(database, f"SELECT {4 * count} - COUNT(*) FROM inbounds WHERE node_id IN {row_of_nodes}")
        finally:
            panel.stop()
        database.run(
            "INSERT INTO inbounds_services (inbound_id, service_id) SELECT i.id, s.id FROM inbounds i JOIN services s ON TRUE"
            f" WHERE i.node_id IN {row_of_nodes} ON CONFLICT DO NOTHING")
        yield started
    finally:
        for node in started:
            node.kill()
            node.wait()


def usage(args, database, folder, count):
    """A few runs with this number of nodes, each of which reports traffic for all active users."""
    with nodes(args, database, folder, count):
        done = "SELECT CASE WHEN COUNT(*) >= 3 THEN 0 ELSE 1 END FROM task_run WHERE task = 'record_user_usages' AND state = 'done' AND items > 0"
        return measured(args, database, folder, f"usage of {count} node{'s' if count > 1 else ''}", "record_user_usages", done)


def tasks(args, database, folder, users):
    rows = []
    live = "activated = TRUE AND removed = FALSE"
    for percent, where in ((1, "id % 100 = 1"), (10, "id % 10 = 2")):
        database.run(f"UPDATE users SET expire_strategy = 'fixed_date', expire_date = 1 WHERE {live} AND {where}")
        due = f"SELECT COUNT(*) FROM users WHERE {live} AND expire_date = 1"
        rows.append(measured(args, database, folder, f"review, {percent} % due", "review_users", due))
    database.run("UPDATE user_traffic SET data_limit_reset_strategy = 'day', traffic_reset_at = 1 WHERE user_id % 100 = 3")
    due = "SELECT COUNT(*) FROM user_traffic t JOIN users u ON u.id = t.user_id WHERE t.traffic_reset_at = 1 AND u.removed = FALSE"
    rows.append(measured(args, database, folder, "resets, 1 % due", "reset_user_data_usage", due))
    for count in args.nodes:
        if count * users <= MOST_ENTRIES:
            rows.append(usage(args, database, folder, count))
    return rows


def main():
    parser = bench.arguments(__doc__, "performance-tasks.json", [10_000, 100_000, 1_000_000])
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 10, 100])
    args = parser.parse_args()
    server = os.environ.get("SARBAN_TEST_POSTGRES_URL")
    results = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(args.databases or folder)
        for users in args.users:
            for engine in args.engines:
                print(f"\n{users:,} users, {engine}\n{'':24}{'runs':>6}{'items':>11}{'seconds':>10}{'longest':>10}{'CPU s':>9}{'DB s':>9}{'RSS MB':>8}", flush=True)
                database = Database(args, home, engine, users, server)
                results.append({"users": users, "engine": engine, "rows": tasks(args, database, folder, users)})
    bench.store(args.output, results)
    bench.replace(Path(args.output).with_name("performance-tables.md"), "tasks", table(results))


def table(results):
    lines = [
        "", "| users | engine | task | runs | items | seconds | longest run | CPU s | database CPU s | MB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        for row in result["rows"]:
            lines.append(
                f"| {result['users']:,} | {result['engine']} | {row['task']} | {row['runs']} | {row['items']} | {row['seconds']} | "
                f"{row['longest_run']} | {row['cpu_seconds']} | {row['database_cpu_seconds']} | {row['resident_mb']:.0f} |")
    return "\n".join(lines) + "\n\n"


if __name__ == "__main__":
    main()
