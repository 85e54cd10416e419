#!/usr/bin/env python3
"""Measures a back-up beside subscriptions: part of `make bench`.

How long `sarban backup` takes, its CPU time, memory and bytes; p50 and p99 of links under little load without it and while
it runs; how long `sarban restore` takes to verify the file, and to copy it into an empty database of the other engine.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import bench

# connections, and milliseconds between an answer and the next request: some 800 requests/s
CONNECTIONS, PAUSE_MS = 4, 5
ROUNDS = 3


def run(args, command, settings, folder):
    """Runs a command of the program. Returns its duration and CPU time (s), its memory (MB), and what it printed as JSON."""
    began = time.monotonic()
    env = {**os.environ, "DATA_DIR": str(folder), "LOG_LEVEL": "warn", **settings}
    process = subprocess.Popen([args.binary, *command, "--json"], env=env, cwd=folder, stdout=subprocess.PIPE)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"bench: {' '.join(command)} failed")
    cpu = usage.ru_utime + usage.ru_stime
    return {"seconds": round(time.monotonic() - began, 1), "cpu_seconds": round(cpu, 1), "mb": round(usage.ru_maxrss / 1024)}, output


def load(panel, paths, seconds, folder):
    return bench.start_wrk(panel.base, paths, seconds, CONNECTIONS, folder, DELAY=str(PAUSE_MS))


def beside(args, panel, database, folder, target):
    """Figures of back-ups, and of the load without them and beside them."""
    paths = bench.paths_of(panel, "links")
    bench.figures_of(load(panel, paths, 2, folder))
    rounds = []
    back_up = lambda: run(args, ["backup", "--to", str(target)], {"SQLALCHEMY_DATABASE_URL": database}, folder)[0]
    seconds = max(int(back_up()["seconds"]), 1)
    for _ in range(ROUNDS):
        target.unlink()
        quiet = bench.figures_of(load(panel, paths, max(seconds, 5), folder))
        process = load(panel, paths, seconds, folder)
        one = back_up()
        figures = bench.figures_of(process)
        rounds.append({
            **one,
            **{f"quiet_{name}": quiet[name] for name in ("p50_ms", "p99_ms")},
            **{name: figures[name] for name in ("p50_ms", "p99_ms", "failed")},
            "per_second": round(figures["requests"] / figures["seconds"]),
        })
    return bench.middle(rounds) | {"file_mb": round(target.stat().st_size / 1e6, 1)}


def restored(args, target, url, folder):
    """Figures of a verification, and of a restore into this empty database."""
    verify, _ = run(args, ["restore", "--from", str(target), "--verify"], {"SQLALCHEMY_DATABASE_URL": url}, folder)
    restore, _ = run(args, ["restore", "--from", str(target)], {"SQLALCHEMY_DATABASE_URL": url}, folder)
    return {"verify_seconds": verify["seconds"], "verify_mb": verify["mb"], "restore_seconds": restore["seconds"], "restore_mb": restore["mb"]}


def main():
    parser = bench.arguments(__doc__, "performance-back-up.json", 1_000_000)
    args = parser.parse_args()
    server = os.environ.get("SARBAN_TEST_POSTGRES_URL") or sys.exit("bench: SARBAN_TEST_POSTGRES_URL is not set: run `make bench`")
    results = []
    with tempfile.TemporaryDirectory() as home:
        for engine in args.engines:
            database, _ = bench.seeded(args, Path(args.databases or home), engine, args.users, server)
            with tempfile.TemporaryDirectory() as folder:
                panel = bench.Panel(args, database, "", folder)
                # Its copy is filled.
                time.sleep(max(args.users / 20_000, 2) if engine == "postgres" else 2)
                target = Path(home) / f"{engine}.backup"
                try:
                    figures = beside(args, panel, database, folder, target)
                finally:
                    panel.stop()
            with tempfile.TemporaryDirectory() as folder:
                if engine == "sqlite":
                    subprocess.run(["psql", "-q", server, "-c", "DROP DATABASE IF EXISTS bench_restored", "-c", "CREATE DATABASE bench_restored"], check=True)
                    other = server.rsplit("/", 1)[0] + "/bench_restored"
                else:
                    other = f"sqlite:///{folder}/restored.sqlite3"
                figures |= restored(args, target, other, folder)
            target.unlink()
            results.append({"users": args.users, "engine": engine, "rows": {"back-up": figures}})
            print(json.dumps(results[-1]), flush=True)
    bench.store(args.output, results)
    bench.replace(Path(args.output).with_name("performance-tables.md"), "back-up", table(results))


def table(results):
    lines = [
        f"\n**Back-ups of {results[0]['users']:,} users**, and {results[0]['rows']['back-up']['per_second']} links/s beside them\n",
        "| database | s | CPU s | MB of memory | MB of file | p50, p99 ms without | p50, p99 ms beside | failed | verified in s | restored into the other engine in s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        row = result["rows"]["back-up"]
        lines.append(
            f"| {result['engine']} | {row['seconds']} | {row['cpu_seconds']} | {row['mb']} | {row['file_mb']} | {row['quiet_p50_ms']}, "
            f"{row['quiet_p99_ms']} | {row['p50_ms']}, {row['p99_ms']} | {row['failed']} | {row['verify_seconds']} | {row['restore_seconds']} |"
        )
    return "\n".join(lines) + "\n\n"


if __name__ == "__main__":
    main()
