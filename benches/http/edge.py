#!/usr/bin/env python3
"""Measures subscriptions from a copy, as an edge serves them, beside those of a panel on PostgreSQL: part of `make bench`.

How long an edge takes to be complete and how large its copy is; then share links of ten thousand users in turn, of the panel
and of the edge in turn, with 32 and with 4 connections: requests per second, p50 and p99, CPU time of the process and of the
database.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import bench

CONNECTIONS = (32, 4)
ROUNDS = 3


def start_edge(args, panel, database, folder):
    """Starts an edge of this panel. Returns it once it is complete, with its address and the seconds that it took."""
    env = {**os.environ, "SQLALCHEMY_DATABASE_URL": database, "DATA_DIR": panel.folder}
    create = [args.binary, "token", "create", "--admin", "root", "--name", f"edge-{time.time_ns()}", "--scope", "edge:*", "--json"]
    token = json.loads(subprocess.run(create, env=env, cwd=panel.folder, check=True, capture_output=True, text=True).stdout)["secret"]
    port = bench.free_port()
    settings = {"EDGE_PANELS": panel.base, "EDGE_TOKEN": token, "DATA_DIR": folder, "UVICORN_HOST": "127.0.0.1", "UVICORN_PORT": str(port),
                "LOG_LEVEL": "warn"}
    began = time.monotonic()
    process = subprocess.Popen([args.binary, "edge"], env={**os.environ, **settings}, cwd=folder)
    base = f"http://127.0.0.1:{port}"
    bench.wait_for(base + "/health/live", process)
    while True:
        try:
            urllib.request.urlopen(base + "/health/ready", timeout=5).read()
            return process, base, round(time.monotonic() - began, 1)
        except urllib.error.HTTPError:
            time.sleep(0.1)
        if time.monotonic() - began > 600:
            sys.exit("bench: the edge is not complete after ten minutes")


def one(base, paths, seconds, connections, process, database_pid, folder):
    bench.wrk(base, paths, 1, connections, folder)
    server, database = bench.cpu_seconds(process.pid), bench.cpu_seconds(database_pid, True)
    figures = bench.wrk(base, paths, seconds, connections, folder)
    requests = max(figures["requests"], 1)
    return {
        "per_second": round(figures["requests"] / figures["seconds"], 1),
        "p50_ms": figures["p50_ms"],
        "p99_ms": figures["p99_ms"],
        "cpu_ms": round(1e3 * (bench.cpu_seconds(process.pid) - server) / requests, 4),
        "database_cpu_ms": round(1e3 * (bench.cpu_seconds(database_pid, True) - database) / requests, 4),
        "failed": figures["failed"],
        "resident_mb": round(bench.resident_mb(process.pid), 1),
    }


def main():
    parser = bench.arguments(__doc__, "performance-edge.json", 100_000, engines=False)
    parser.add_argument("--seconds", type=int, default=5)
    args = parser.parse_args()
    server = os.environ.get("SARBAN_TEST_POSTGRES_URL") or sys.exit("bench: SARBAN_TEST_POSTGRES_URL is not set: run `make bench`")
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as at_edge:
        database, pid = bench.seeded(args, Path(args.databases or home), "postgres", args.users, server)
        panel = bench.Panel(args, database, "2", home)
        time.sleep(args.users / 20_000)
        edge = None
        try:
            edge, base, seconds = start_edge(args, panel, database, at_edge)
            paths = bench.paths_of(panel, "links")
            time.sleep(5)
            rounds = {}
            for _ in range(ROUNDS):
                for connections in CONNECTIONS:
                    for who, address, process in (("panel", panel.base, panel.process), ("edge", base, edge)):
                        row = one(address, paths, args.seconds, connections, process, pid, home)
                        rounds.setdefault((who, connections), []).append(row)
            copy = (Path(at_edge) / "subscriptions.copy").stat().st_size
        finally:
            if edge:
                edge.terminate()
                edge.wait(30)
            panel.stop()
    rows = {f"{who}, {connections} connections": bench.middle(rows) for (who, connections), rows in sorted(rounds.items(), reverse=True)}
    results = [{"users": args.users, "complete_after_s": seconds, "copy_mb": round(copy / 1e6, 1), "rows": rows}]
    print(json.dumps(results, indent=1), flush=True)
    bench.store(args.output, results)
    bench.replace(Path(args.output).with_name("performance-tables.md"), "edge", table(results[0]))


def table(result):
    lines = [
        f"\n**Share links of {result['users']:,} users from a panel on PostgreSQL, and from an edge's copy** (complete after "
        f"{result['complete_after_s']} s, {result['copy_mb']} MB on disk)\n",
        "| | requests/s | p50 ms | p99 ms | CPU ms | database CPU ms | failed | MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in result["rows"].items():
        lines.append(
            f"| {name} | {row['per_second']:.0f} | {row['p50_ms']:.2f} | {row['p99_ms']:.2f} | {row['cpu_ms']:.3f} | "
            f"{row['database_cpu_ms']:.3f} | {row['failed']} | {row['resident_mb']:.0f} |"
        )
    return "\n".join(lines) + "\n\n"


if __name__ == "__main__":
    main()
