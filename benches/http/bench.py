#!/usr/bin/env python3
"""Measures the panel under load, beside a bare route that returns as many bytes: `make bench`.

For each number of users and each engine: a seeded database, a panel, and wrk on each route. Prints a table and writes
docs/performance.json, docs/performance.svg and the tables in docs/performance-tables.md. Needs wrk. `make bench` starts a
PostgreSQL and a Redis with tests/support/services.sh.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

import compare

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
PASSWORD = "benchmark"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"

# Routes by the name in the table. The last value is the CPU time in ms that a panel in Python took per request on such a
# machine, with SQLite, 20 hosts and 100,000 users.
ROUTES = {
    # name: (paths, user agent, CPU ms of the Python panel)
    "admins": (["/api/admins"], None, 59),
    "admins/current": (["/api/admins/current"], None, 11.8),
    "users": (["/api/users?size=50"], None, 96),
    "users, ordered": (["/api/users?size=50&order_by=used_traffic&descending=true"], None, 111),
    "users, searched": (["/api/users?size=50&username=user"], None, 137),
    "users, of one owner": (["/api/users?size=50&owner_username=reseller_7&order_by=created_at"], None, None),
    "users, last page": (["/api/users?size=50&page={last}"], None, None),
    # Each request searches for another text, so that no total is cached. Common: 1 user in 26 has it; middling: 1 in some
    # hundreds; rare: a few in a million.
    "search, common": ("common", None, None),
    "search, common, ordered": ("common ordered", None, None),
    "search, common, of one owner": ("common of one owner", None, None),
    "search, middling": ("middling", None, None),
    "search, middling, ordered": ("middling ordered", None, None),
    "search, rare": ("rare", None, None),
    "search, two letters": ("short", None, None),
    "one user": ("users", None, 45),
    "one user, the same": ("user", None, 45),
    "statistics": (["/api/system/stats/users"], None, 116),
    "services": (["/api/services"], None, 7185),
    "links": ("links", None, 61),
    "links, the same user": ("link", None, 61),
    "clash-meta": ("clash-meta", None, 67),
    "sing-box": ("sing-box", None, 63),
    "xray": ("xray", None, 64),
    "links, noted": ("sub", "v2rayNG/1.8.5", 65),
    "token": ("token", None, 243),
}


def arguments(doc, output, users, engines=True):
    """A parser with the arguments of all these scripts: numbers of users, engines, databases, output and programs."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--users", type=int, default=users, **({"nargs": "+"} if isinstance(users, list) else {}))
    if engines:
        parser.add_argument("--engines", nargs="+", default=["sqlite", "postgres"], choices=["sqlite", "postgres"])
    parser.add_argument("--databases", help="keep the seeded databases in this folder")
    parser.add_argument("--output", default=str(ROOT / "docs" / output), help="file for the figures")
    for program, path in {"binary": "sarban", "seed": "examples/seed", "bare": "examples/bare", "test-node": "examples/test_node"}.items():
        parser.add_argument(f"--{program}", default=str(TARGET / path))
    return parser


def cpu_seconds(pid, children=False):
    """User and system time of a process so far, with its descendants if `children`."""
    pids, total = [pid], 0.0
    while pids:
        one = pids.pop()
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) / TICKS
            if children:
                # Children that have ended, and those that are running.
                total += (int(fields[13]) + int(fields[14])) / TICKS
                pids += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            pass
    return total


def resident_mb(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 1e6


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for(url, process):
    for _ in range(600):
        if process.poll() is not None:
            sys.exit(f"bench: {process.args[0]} exited unexpectedly")
        try:
            return urllib.request.urlopen(url, timeout=2).read()
        except OSError:
            time.sleep(0.1)
    sys.exit(f"bench: no answer at {url}")


def start_wrk(base, paths, seconds, connections, folder, script="requests.lua", **env):
    """Starts wrk on these paths, each in turn. DELAY is the pause after each answer in ms."""
    with tempfile.NamedTemporaryFile("w", dir=folder, prefix="requests.", delete=False) as requests:
        requests.write("\n".join(paths) + "\n")
    env = {**os.environ, "REQUESTS": requests.name, **{name: value for name, value in env.items() if value}}
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(HERE / script), base]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)


def figures_of(process, *marks):
    """Waits for wrk to end and returns the figures of its lines that begin with these marks."""
    output, _ = process.communicate()
    figures = {}
    for mark in marks or ("FIGURES",):
        line = next((line for line in output.splitlines() if line.startswith(mark + " ")), None)
        if process.returncode or not line:
            sys.exit(f"bench: wrk failed:\n{output}")
        figures.update(json.loads(line.removeprefix(mark)))
    return figures


def wrk(*args, **env):
    """Runs wrk and returns its figures."""
    return figures_of(start_wrk(*args, **env))


def middle(rounds):
    """The median of each figure of these rounds, and all that failed."""
    return {name: sorted(one[name] for one in rounds)[len(rounds) // 2] for name in rounds[0]} | {
        "failed": sum(one["failed"] for one in rounds)}


class Panel:
    """A running panel on a seeded database. Without `REDIS_URL` in its settings it has no Redis."""

    def __init__(self, args, database, workers, folder, settings=None):
        self.port, self.folder = free_port(), folder
        env = {
            **os.environ,
            "SQLALCHEMY_DATABASE_URL": database,
            "UVICORN_HOST": "127.0.0.1",
            "UVICORN_PORT": str(self.port),
            "UVICORN_WORKERS": workers,
            "LOGIN_ATTEMPTS_PER_MINUTE": "0",
            "DATA_DIR": folder,
            "LOG_LEVEL": "warn",
        }
        env.pop("REDIS_URL", None)
        env.update(settings or {})
        self.base = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen([args.binary, "serve"], env=env, cwd=folder)
        wait_for(self.base + "/health/live", self.process)
        form = urllib.parse.urlencode({"username": "root", "password": PASSWORD}).encode()
        answer = urllib.request.urlopen(self.base + "/api/admins/token", form, timeout=30).read()
        self.token = json.loads(answer)["access_token"]

    def ask(self, path, method="GET"):
        """The JSON document of the answer."""
        request = urllib.request.Request(self.base + path, headers={"Authorization": f"Bearer {self.token}"}, method=method)
        return json.loads(urllib.request.urlopen(request, timeout=60).read())

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def searches(kind):
    """Paths that search for some hundred texts of three to eight characters, by how many users have them."""
    words = "ali sara reza maryam hossein niloofar amir zahra mehdi fatemeh arash parisa ivan olga dmitry anna sergey".split()
    # The search ignores case, and the panel's cache does not: each variant is a new search.
    cases = lambda text: ["".join(c.upper() if bits >> i & 1 else c for i, c in enumerate(text)) for bits in range(2 ** min(len(text), 5))]
    how_many, _, besides = kind.partition(" ")
    texts = {
        "common": [text for word in words for text in cases(word[:5])],
        "middling": [text + str(digit) for word in words for digit in range(1, 10) for text in cases(word[-3:])],
        "rare": [str(12_345 + 7_919 * nth) for nth in range(20_000)],
        "short": [text for word in words for text in cases(word[1:3])],
    }[how_many]
    more = {"": "", "ordered": "&order_by=used_traffic&descending=true", "of one owner": "&owner_username=reseller_7"}[besides]
    return [f"/api/users?size=50&username={text}{more}" for text in texts]


def paths_of(panel, kind):
    """The paths of a route; where it is for users, of ten thousand from all parts of the list, more than any cache holds."""
    if not hasattr(panel, "users"):
        total = panel.ask("/api/users?size=1")["total"]
        pages = max(total // 100, 1)
        step = max(pages // 100, 1)
        found = [user for page in range(1, pages + 1, step) for user in panel.ask(f"/api/users?size=100&page={page}")["items"]]
        panel.users, panel.last = found, max(-(-total // 50), 1)
    link = lambda user: "/sub/" + user["subscription_url"].split("/sub/", 1)[1]
    everyone = {
        "users": lambda user: f"/api/users/{user['username']}",
        "sub": link,
        **{form: lambda user, form=form: f"{link(user)}/{form}" for form in ("links", "clash-meta", "sing-box", "xray")},
    }
    if isinstance(kind, str) and kind.split()[0] in SEARCHES:
        return searches(kind)
    if isinstance(kind, list):
        return [path.replace("{last}", str(panel.last)) for path in kind]
    if kind in ("user", "link"):
        one = next(user for user in panel.users if user["is_active"])
        return [everyone[kind + "s"](one)]
    if kind == "token":
        return ["/api/admins/token"]
    return [everyone[kind](user) for user in panel.users]


def measure(args, panel, database_pid, folder):
    rows = {}
    for name, (kind, agent, rival) in ROUTES.items():
        if args.only and not any(word in name for word in args.only):
            continue
        form = urllib.parse.urlencode({"username": "root", "password": PASSWORD}) if kind == "token" else None
        paths = paths_of(panel, kind)
        env = {"TOKEN": panel.token, "AGENT": agent, "FORM": form}
        connections = 2 if name in SLOW else args.connections
        wrk(panel.base, paths, 1, connections, folder, **env)
        server, database = cpu_seconds(panel.process.pid), cpu_seconds(database_pid, True) if database_pid else 0
        figures = wrk(panel.base, paths, args.seconds, connections, folder, **env)
        server = cpu_seconds(panel.process.pid) - server
        database = cpu_seconds(database_pid, True) - database if database_pid else 0
        requests = max(figures["requests"], 1)
        row = {
            "per_second": round(figures["requests"] / figures["seconds"], 1),
            "p50_ms": figures["p50_ms"],
            "p99_ms": figures["p99_ms"],
            "cpu_ms": round(1e3 * server / requests, 4),
            "database_cpu_ms": round(1e3 * database / requests, 4),
            "bytes": figures["bytes"] // requests,
            "failed": figures["failed"],
            "resident_mb": round(resident_mb(panel.process.pid), 1),
            "python_cpu_ms": rival,
        }
        row.update(bare(args, row["bytes"], folder))
        rows[name] = row
        print_row(name, row)
    return rows


def bare(args, count, folder):
    """Figures of the bare route with the same number of bytes and workers."""
    known = bare.known.setdefault((args.bare_workers, count // 64), {})
    if not known:
        port = free_port()
        process = subprocess.Popen([args.bare, str(port), "--workers", str(args.bare_workers)])
        base, paths = f"http://127.0.0.1:{port}", [f"/bytes/{max(count - 120, 0)}"]
        wait_for(base + paths[0], process)
        before = cpu_seconds(process.pid)
        figures = wrk(base, paths, max(args.seconds // 2, 1), args.connections, folder)
        used = cpu_seconds(process.pid) - before
        process.kill()
        process.wait()
        known["bare_per_second"] = round(figures["requests"] / figures["seconds"], 1)
        known["bare_cpu_ms"] = round(1e3 * used / max(figures["requests"], 1), 4)
    return known


bare.known = {}

# Kinds of searches, by how many users match.
SEARCHES = {"common", "middling", "rare", "short"}

# The number of users at which all numbers of workers are measured.
THREADS_AT = 100_000

# Slow routes, measured with two connections.
SLOW = {"services", "token", *(name for name in ROUTES if name.startswith("search"))}

HEAD = f"{'':24}{'req/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'CPU ms':>9}{'DB ms':>9}{'bytes':>10}{'of bare':>9}{'× Python':>10}{'RSS MB':>8}"


def ratios(row):
    spent = row["cpu_ms"] + row["database_cpu_ms"]
    of_bare = row["per_second"] / row["bare_per_second"] if row["bare_per_second"] else 0
    return of_bare, row["python_cpu_ms"] / spent if row["python_cpu_ms"] and spent else None


def print_row(name, row):
    of_bare, times = ratios(row)
    times = f"{times:.0f}" if times else ""
    failed = f"  {row['failed']} FAILED" if row["failed"] else ""
    print(
        f"{name:24}{row['per_second']:>10.0f}{row['p50_ms']:>9.2f}{row['p99_ms']:>9.2f}{row['cpu_ms']:>9.3f}"
        f"{row['database_cpu_ms']:>9.3f}{row['bytes']:>10}{of_bare:>9.3f}{times:>10}{row['resident_mb']:>8.0f}{failed}",
        flush=True,
    )


def postgres_pid(url):
    """The process id of the PostgreSQL server, read from its data directory."""
    query = "SELECT setting || '/postmaster.pid' FROM pg_settings WHERE name = 'data_directory'"
    path = subprocess.run(["psql", url, "-Atc", query], capture_output=True, text=True, check=True).stdout.strip()
    return int(Path(path).read_text().split()[0])


def main():
    parser = arguments(__doc__, "performance.json", [10_000, 100_000, 1_000_000])
    parser.add_argument("--workers", nargs="+", default=["1", "2", ""], help="UVICORN_WORKERS; empty: what the panel chooses")
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--only", nargs="*", help="routes whose name contains one of these")
    args = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("bench: wrk is missing: install it (on Debian: apt-get install wrk)")
    server = os.environ.get("SARBAN_TEST_POSTGRES_URL")
    if "postgres" in args.engines and not server:
        sys.exit("bench: SARBAN_TEST_POSTGRES_URL is not set: run `make bench`")
    results = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(args.databases or folder)
        for users in args.users:
            for engine in args.engines:
                database, pid = seeded(args, home, engine, users, server)
                # All numbers of workers at one size; the last one at every size.
                for workers in args.workers if users == THREADS_AT or len(args.users) == 1 else args.workers[-1:]:
                    cores = os.cpu_count() or 1
                    args.bare_workers = int(workers or (1 if cores == 1 else min(2 * cores + 1, 8)))
                    panel = Panel(args, database, workers, folder)
                    idle = resident_mb(panel.process.pid)
                    print(f"\n{users:,} users, {engine}, {workers or 'auto'} workers, {idle:.0f} MB idle\n{HEAD}", flush=True)
                    try:
                        rows = measure(args, panel, pid, folder)
                    finally:
                        panel.stop()
                    results.append({"users": users, "engine": engine, "workers": workers or "auto", "idle_mb": round(idle, 1), "rows": rows})
    write(args, results)


def seeded(args, home, engine, users, server):
    """The URL of a database with that many users, filled if needed, and the PostgreSQL server's process id."""
    if engine == "sqlite":
        path = home / f"bench_{users}.sqlite3"
        url, there, pid = f"sqlite:///{path}", path.exists(), None
    else:
        name = f"bench_{users}"
        url, pid = server.rsplit("/", 1)[0] + "/" + name, postgres_pid(server)
        query = f"SELECT 1 FROM pg_database WHERE datname = '{name}'"
        there = subprocess.run(["psql", server, "-Atc", query], capture_output=True, text=True, check=True).stdout.strip()
        if not there:
            subprocess.run(["psql", "-q", server, "-c", f"CREATE DATABASE {name}"], check=True)
    if not there:
        subprocess.run([args.seed, "--users", str(users), "--database", url], check=True)
    return url, pid


def write(args, results):
    output = Path(args.output)
    output.parent.mkdir(exist_ok=True)
    store(output, results)
    output.with_suffix(".svg").write_text(chart(results))
    replace(output.with_name(f"{output.stem}-tables.md"), "figures", f"\n![CPU time per request]({output.stem}.svg)\n" + tables(results))


def store(path, results):
    """Writes figures to a file, and prints what got slower since those that it had."""
    path = Path(path)
    before = json.loads(path.read_text()) if path.exists() else []
    path.write_text(json.dumps(results, indent=1) + "\n")
    compare.report(before, results, path.name)


def replace(document, name, text):
    """Replaces the text between the marks of that name in a document."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    old = document.read_text() if document.exists() else ""
    if begin not in old:
        old += f"\n{begin}{end}"
    before, rest = old.split(begin, 1)
    document.write_text(before + begin + text + end + rest.split(end, 1)[1])


def tables(results):
    lines = []
    for result in results:
        lines += [
            f"\n**{result['users']:,} users, {result['engine']}, {result['workers']} workers** ({result['idle_mb']:.0f} MB idle)\n",
            "| route | requests/s | p50 ms | p99 ms | CPU ms | database CPU ms | bytes | of the bare route | × Python | MB |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        for name, row in result["rows"].items():
            of_bare, times = ratios(row)
            lines.append(
                f"| {name} | {row['per_second']:.0f} | {row['p50_ms']:.2f} | {row['p99_ms']:.2f} | {row['cpu_ms']:.3f} | "
                f"{row['database_cpu_ms']:.3f} | {row['bytes']} | {of_bare:.2f} | {f'{times:.0f}' if times else ''} | {row['resident_mb']:.0f} |"
            )
    return "\n".join(lines) + "\n\n"


def chart(results):
    """CPU time per request of each route (server and database), on a logarithmic scale: Sarban's at each size, Python's at 100,000."""
    import math

    bars = {}
    for result in results:
        if result["workers"] == "auto" or len({one["workers"] for one in results}) == 1:
            for name, row in result["rows"].items():
                label = f"{result['engine']} {result['users']:,}"
                bars.setdefault(name, {})[label] = row["cpu_ms"] + row["database_cpu_ms"]
                if row["python_cpu_ms"]:
                    bars[name]["Python, SQLite 100,000"] = row["python_cpu_ms"]
    labels = sorted({label for row in bars.values() for label in row}, key=lambda label: (label.startswith("Python"), label))
    colours = ["#9ecae1", "#6baed6", "#2171b5", "#a1d99b", "#74c476", "#238b45", "#fd8d3c"]
    colour = {label: colours[nth % 6] for nth, label in enumerate(labels)} | {"Python, SQLite 100,000": colours[6]}
    low, high, left, width, thick = 0.001, 10_000, 170, 640, 9
    x = lambda value: left + width * (math.log10(max(value, low)) - math.log10(low)) / (math.log10(high) - math.log10(low))
    parts, y = [], 60 + 16 * len(labels)
    for nth, label in enumerate(labels):
        parts.append(f'<rect x="{left}" y="{34 + 16 * nth}" width="10" height="10" fill="{colour[label]}"/>')
        parts.append(f'<text x="{left + 16}" y="{43 + 16 * nth}">{label} users</text>')
    top = y - 10
    for name, row in bars.items():
        parts.append(f'<text x="{left - 8}" y="{y + thick * len(row) / 2 + 4}" text-anchor="end">{name}</text>')
        for label in labels:
            if label in row:
                parts.append(f'<rect x="{left}" y="{y}" width="{x(row[label]) - left:.1f}" height="{thick - 1}" fill="{colour[label]}"/>')
                parts.append(f'<text x="{x(row[label]) + 4:.1f}" y="{y + 8}" font-size="8">{row[label]:.3g}</text>')
                y += thick
        y += 10
    for power in range(-3, 5):
        at = x(10.0**power)
        parts.append(f'<line x1="{at:.1f}" y1="{top}" x2="{at:.1f}" y2="{y}" stroke="#ddd"/><text x="{at:.1f}" y="{y + 14}" text-anchor="middle">{10.0**power:g}</text>')
    title = "CPU milliseconds per request, server and database (logarithmic)"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 60}" height="{y + 30}" font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="white"/><text x="{left}" y="20" font-size="14">{title}</text>{"".join(parts)}</svg>\n'
    )


if __name__ == "__main__":
    main()
