#!/usr/bin/env python3
"""Walks docs/migrating.md: runs every command of it, in order, on a generated database of the old panel, and checks what the
page promises. It reads the commands out of the page, and only puts other paths, ports and names into them.

    tests/support/services.sh run python3 tests/deploy/migrating.py --users 100000 --hours 100

A panel of this program that only reads stands in for the old one.
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/migrating.md"
SCHEMA = ROOT / "src/store/import/legacy/schema.sql"
OLD_PANEL = ROOT / "tests/cli/export_proof/old_panel.py"
POSTGRES = os.environ["SARBAN_TEST_POSTGRES_URL"]
BIN = os.environ.get("SARBAN_TEST_POSTGRES_BIN", "")
SECRET = "c0ffee" * 10
INBOUNDS = [("VMess", "vmess"), ("VLESS", "vless"), ("Trojan", "trojan")]
NAME, KEY = "user7", f"{7:032x}"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sarban", default=ROOT / "target/debug/sarban", type=pathlib.Path)
    parser.add_argument("--users", default=2_000, type=int)
    parser.add_argument("--hours", default=10, type=int, help="rows of traffic of each user")
    parser.add_argument("--node", help="host:port of a running node with the test's inbounds; without it there is no node")
    return parser.parse_args()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def generate(path, users, hours, node):
    """A database of the old panel, as big as asked for."""
    old = sqlite3.connect(path)
    old.execute("PRAGMA journal_mode = OFF")
    old.execute("PRAGMA synchronous = OFF")
    old.executescript(SCHEMA.read_text())
    old.execute("INSERT INTO alembic_version VALUES ('57eba0a293f2')")
    password = "$2b$12$" + "x" * 53
    admin = "INSERT INTO admins (id, username, hashed_password, is_sudo, created_at) VALUES (?, ?, ?, ?, ?)"
    old.executemany(admin, [(1, "root", password, 1, "2024-01-01 00:00:00.000000"), (2, "mina", password, 0, None)])
    old.executemany("INSERT INTO services (id, name) VALUES (?, ?)", [(1, "gold"), (2, "silver")])
    rules = [{"pattern": "^v2ray(N|NG)", "result": "base64-links"}, {"pattern": r"(?i)clash\Z", "result": "clash"}]
    subscription = {"template_on_acceptance": True, "profile_title": "Fin", "support_link": "https://help.example.org",
                    "update_interval": 6, "rules": rules + [{"pattern": ".*", "result": "links"}]}
    old.execute("INSERT INTO settings VALUES (1, ?, 'null')", [json.dumps(subscription)])
    old.execute("INSERT INTO jwt VALUES (1, ?)", [SECRET])
    host, port = node.rsplit(":", 1) if node else ("192.0.2.1", "62050")
    # Without a node to talk to it is switched off.
    status = "unhealthy" if node else "disabled"
    values = [1, "fin", host, int(port), "grpcio", status]
    old.execute("INSERT INTO nodes (id, name, address, port, connection_backend, status) VALUES (?, ?, ?, ?, ?, ?)", values)
    for number, (protocol, tag) in enumerate(INBOUNDS, 1):
        config = json.dumps({"tag": tag, "protocol": tag, "port": 8000 + number, "network": "tcp"})
        old.execute("INSERT INTO inbounds VALUES (?, ?, ?, ?, 1)", [number, protocol, tag, config])
        old.executemany("INSERT INTO inbounds_services VALUES (?, ?)", [(number, 1), (number, 2)])
        host = "INSERT INTO hosts (id, remark, address, port, security, is_disabled, inbound_id) VALUES (?, ?, ?, 443, 'none', 0, ?)"
        old.execute(host, [number, f"{tag} {{USERNAME}}", f"{tag}.example.org", number])
    host = """INSERT INTO hosts (id, remark, address, port, security, is_disabled, host_protocol, host_network, password,
        universal) VALUES (9, 'free {USERNAME}', 'free.example.org', 443, 'none', 0, 'trojan', 'tcp', 'pw', 1)"""
    old.execute(host)
    user = """INSERT INTO users (id, username, key, used_traffic, lifetime_used_traffic, data_limit_reset_strategy, admin_id,
        created_at, expire_strategy, expire_date) VALUES (?, ?, ?, ?, ?, 'no_reset', ?, ?, ?, ?)"""
    day = "2031-01-01 00:00:00.000000"
    rows = ((id, f"user{id}", f"{id:032x}", id * 1000, id * 2000, 1 + id % 2, "2025-01-01 00:00:00.000000",
             "FIXED_DATE" if id % 2 else "NEVER", day if id % 2 else None) for id in range(1, users + 1))
    old.executemany(user, rows)
    old.executemany("INSERT INTO users_services VALUES (?, ?)", ((id, 1 + id % 2) for id in range(1, users + 1)))
    moments = [f"2025-05-{1 + hour // 24:02} {hour % 24:02}:00:00.000000" for hour in range(hours)]
    hour = "INSERT INTO node_user_usages (created_at, user_id, node_id, used_traffic) VALUES (?, ?, 1, ?)"
    for moment in moments:
        old.executemany(hour, ((moment, id, id) for id in range(1, users + 1)))
        old.execute("INSERT INTO node_usages (created_at, node_id, uplink, downlink) VALUES (?, 1, 0, ?)",
                    [moment, users * (users + 1) // 2])
    old.commit()
    old.close()


def token():
    """A token that the old panel has signed."""
    part = lambda value: base64.urlsafe_b64encode(value).rstrip(b"=")
    now = int(time.time())
    claims = {"sub": "root", "access": "sudo", "iat": now - 60, "exp": now + 3600}
    signed = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(claims).encode())
    return (signed + b"." + part(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest())).decode()


def blocks():
    """The commands of the page, by the number of their section."""
    found, section = [], None
    for part in re.finditer(r"^## (?:(\d)\.)?|^```(\w*)\n(.*?)^```$", PAGE.read_text(), re.M | re.S):
        if part[0].startswith("## "):
            section = part[1]
        elif part[2] == "sh" and section:
            found.append((section, part[3]))
    return found


class Walk:
    def __init__(self, options, folder):
        self.folder, self.sarban, self.times = folder, options.sarban.resolve(), {}
        self.old, self.back = folder / "old.sqlite3", folder / "back.sqlite3"
        self.ports = {"8000": str(free_port()), "8001": str(free_port())}
        self.databases = [f"sarban_walk_{kind}_{os.getpid()}" for kind in ("new", "shadow")]
        self.token, self.processes = token(), []
        (folder / "bin").mkdir()
        (folder / "bin/sarban").symlink_to(self.sarban)
        (folder / "new").mkdir(mode=0o700)
        new, self.shadow = (POSTGRES.rsplit("/", 1)[0] + f"/{name}" for name in self.databases)
        text = f"SQLALCHEMY_DATABASE_URL={new}\nUVICORN_HOST = 127.0.0.1\nUVICORN_PORT={self.ports['8000']}\n"
        text += f"DATA_DIR={folder / 'data'}\nTASKS_RECORD_USER_USAGES_INTERVAL=1\nXRAY_EXECUTABLE_PATH=/usr/local/bin/xray\n"
        (folder / "new/.env").write_text(text)
        (folder / "new/.env").chmod(0o600)

    def sql(self, statement):
        program = shutil.which("psql") or os.path.join(BIN, "psql")
        subprocess.run([program, "-q", "-d", POSTGRES, "-c", statement], check=True, stdout=subprocess.DEVNULL)

    def put(self, commands):
        """The commands with the paths, ports and names of this test."""
        for ours, theirs in [
            ("/var/lib/marzneshin/db.sqlite3", str(self.old)),
            ("/var/lib/marzneshin/back.sqlite3", str(self.back)),
            ("postgresql://sarban@localhost/shadow", self.shadow),
            ("/var/lib/sarban-shadow", str(self.folder / "shadow")),
            ("NAME", NAME),
            ("KEY", KEY),
            *((port, ours) for port, ours in self.ports.items()),
        ]:
            commands = commands.replace(ours, theirs)
        assert "/var/lib" not in commands, f"a path that this test does not know: {commands}"
        return commands

    def environment(self):
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return {"PATH": path, "HOME": str(self.folder), "TOKEN": self.token, "UVICORN_HOST": "127.0.0.1"}

    def run(self, commands, code=0):
        """Runs commands to their end, and returns what they print."""
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", self.put(commands)], cwd=self.folder / "new",
                              env=self.environment(), capture_output=True, text=True)
        assert done.returncode == code, f"{commands}\nended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self, commands, port):
        """Runs commands whose last one is a panel, and waits until that answers."""
        assert commands.rstrip().endswith("sarban serve"), commands
        log = open(self.folder / f"serve-{port}.log", "w")
        process = subprocess.Popen(["bash", "-euo", "pipefail", "-c", self.put(commands)], cwd=self.folder / "new",
                                   env=self.environment(), stdout=log, stderr=log, start_new_session=True)
        self.processes.append(process)
        while self.ask(port, "/health/live") is None:
            assert process.poll() is None, f"{commands}\nended:\n{pathlib.Path(log.name).read_text()}"
            time.sleep(0.02)
        return process

    def stop(self, process):
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
        self.processes.remove(process)

    def ask(self, port, path):
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports[port]}{path}")
        request.add_header("Authorization", f"Bearer {self.token}")
        try:
            return urllib.request.urlopen(request, timeout=10).read().decode()
        except (urllib.error.URLError, ConnectionError):
            return None

    def timed(self, what, work):
        begin = time.monotonic()
        result = work()
        self.times[what] = time.monotonic() - begin
        return result

    def preflight(self, commands):
        before = self.old.read_bytes() if self.old.stat().st_size < 1 << 30 else None
        said = self.timed("dry run and plan", lambda: self.run(commands))
        assert "nothing was written" in said and "another program may have it" in said, said
        assert "means something else" not in said and r"(?i)clash\Z" in said, said
        assert before is None or self.old.read_bytes() == before, "the old database is not touched"

    def shadow_run(self, commands):
        return self.timed("import into the shadow's database, and its start", lambda: self.start(commands, "8001"))

    def compare(self, commands):
        assert self.run(commands) == "same\nsame\n"
        for path in ("/api/users?size=3", "/api/nodes", "/api/system/stats/users"):
            one, other = (self.ask(port, path) for port in ("8000", "8001"))
            assert one and one == other, f"{path}: {one} {other}"

    def switch(self, commands, old):
        # The links of inbounds may change as soon as the node reports these.
        def link():
            lines = (self.ask("8000", f"/sub/{NAME}/{KEY}/links") or "").splitlines()
            return [line for line in lines if "free.example.org" in line]

        before = link()
        assert len(before) == 1, before
        begin = time.monotonic()
        self.stop(old)
        panel = self.start(commands, "8000")
        while link() != before:
            assert time.monotonic() - begin < 600, "the link is another one"
            time.sleep(0.02)
        self.times["switch: from the end of the old panel to the first subscription"] = time.monotonic() - begin
        report = json.loads((self.folder / "new/import.json").read_text())
        assert not report["left_out"] and all(check["ok"] for check in report["checks"]), report
        assert report["way_back"]["command"] == f"sarban export --to sqlite:///{self.back}", report["way_back"]
        return panel

    def check(self, commands, with_node):
        def traffic():
            ready, nodes, user = (json.loads(line) for line in self.run(commands.replace("\ncurl", "\necho; curl")).splitlines())
            return ready, nodes["items"], user["used_traffic"]

        end, first = time.monotonic() + 30, traffic()[2]
        while True:
            ready, nodes, used = traffic()
            assert used >= 7_000, used
            is_leader = ready["status"] == "ok" and ready["scheduler"] == "leader"
            if is_leader and (not with_node or (nodes[0]["status"] == "healthy" and used > first)):
                return
            assert time.monotonic() < end, (ready, nodes, used)
            time.sleep(0.2)

    def way_back(self, commands, panel, users):
        self.stop(panel)
        said = self.timed("way back: the export", lambda: self.run(commands))
        assert "left out" not in said and r"(?i)clash\z" in said, said
        # A program that knows only the old schema opens the file.
        judged = subprocess.run(["python3", OLD_PANEL, self.back], check=True, capture_output=True, text=True).stdout
        assert json.loads(judged) == [], judged
        sums = {}
        for name, path in (("old", self.old), ("back", self.back)):
            database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
            count = database.execute("SELECT COUNT(*), SUM(used_traffic) FROM users").fetchone()
            sums[name] = (*count, *database.execute("SELECT SUM(used_traffic) FROM node_user_usages").fetchone())
        assert sums["back"][0] == sums["old"][0] == users, sums
        grown = [new - old for old, new in zip(sums["old"][1:], sums["back"][1:])]
        assert grown[0] == grown[1] >= 0, f"what was counted meanwhile is in both: {sums}"

    def end(self):
        for process in list(self.processes):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for name in self.databases:
            self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def main():
    options = arguments()
    commands = blocks()
    assert [section for section, _ in commands] == ["1", "2", "2", "3", "3", "4"], commands
    preflight, shadow, compare, switch, check, back = (text for _, text in commands)
    with tempfile.TemporaryDirectory(prefix="sarban-walk-") as name:
        walk = Walk(options, pathlib.Path(name))
        try:
            for database in walk.databases:
                walk.sql(f"CREATE DATABASE {database}")
            generate(walk.old, options.users, options.hours, options.node)
            # The stand-in for the old panel.
            stand_in = "export SQLALCHEMY_DATABASE_URL=sqlite:///../stand-in.sqlite3\n"
            walk.run(f"{stand_in}sarban import --from sqlite:///{walk.old}")
            old = walk.start(f"{stand_in}export SARBAN_READ_ONLY=true\nsarban serve", "8000")
            walk.preflight(preflight)
            trial = walk.shadow_run(shadow)
            walk.compare(compare)
            walk.stop(trial)
            panel = walk.switch(switch, old)
            walk.check(check, options.node is not None)
            walk.way_back(back, panel, options.users)
        finally:
            walk.end()
    for what, seconds in walk.times.items():
        print(f"{what}: {seconds:.1f} s")


if __name__ == "__main__":
    main()
