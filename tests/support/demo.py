#!/usr/bin/env python3
"""Runs a panel with a small living fleet, to look at: `make demo`.

Three test nodes, which forward nothing and make up their traffic and logs; users in every state; a month of history. All of
it is in a temporary folder and on free ports. Ctrl-C ends and deletes everything.

    demo.py SARBAN TEST_NODE [--port PORT]
"""

import argparse
import ctypes
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path

NAME, PASSWORD = "root", "rootpass"
GB = 1024**3
HOUR = 3600
MICROS = 1_000_000

# Names, towns for remarks, shares of the traffic, and engines of the nodes.
NODES = [
    ("fra-1", "Frankfurt", 0.5, ["xray", "hysteria"]),
    ("ams-2", "Amsterdam", 0.35, ["xray", "sing-box"]),
    ("hel-3", "Helsinki", 0.15, ["xray"]),
]
VERSIONS = {"xray": "26.3.27", "sing-box": "1.14.4", "hysteria": "2.6.1"}
PEOPLE = """ada alan amira anna arash bahar ben boris carla chen daria david dina elena emil farid fatima felix galina george
hana hassan ilya ines ivan jamal jana javad kamal karim katya lara leila liam lina marco maria mei mina mona nadia nima oksana omar
pavel peter rana reza rosa sara sergei shirin sofia tara vera wang yasmin yuki zahra zoe""".split()

stopping = threading.Event()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def die_with_parent():
    """Has the kernel end a process when this one ends, whatever ends it."""
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    except (AttributeError, OSError):
        pass  # Not on Linux: the processes are ended when the script ends in order.


class Demo:
    def __init__(self, sarban, test_node, port):
        self.sarban, self.test_node = sarban, test_node
        self.home = Path(tempfile.mkdtemp(prefix="sarban-demo."))
        self.port = port or free_port()
        self.root = f"http://127.0.0.1:{self.port}"
        self.processes = []
        self.controls = {}
        self.token = None
        self.env = {
            "PATH": os.environ.get("PATH", ""), "HOME": str(self.home), "DATA_DIR": str(self.home),
            "UVICORN_HOST": "127.0.0.1", "UVICORN_PORT": str(self.port),
            "SQLALCHEMY_DATABASE_URL": f"sqlite:///{self.home}/db.sqlite3", "SARBAN_ADMIN_PASSWORD": PASSWORD,
            "TASKS_RECORD_USER_USAGES_INTERVAL": "5",
        }

    def start(self, name, command):
        # Not in the terminal's group, so that Ctrl-C reaches this script first.
        log = open(self.home / f"{name}.log", "w")
        process = subprocess.Popen(command, cwd=self.home, env=self.env, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                   start_new_session=True, preexec_fn=die_with_parent)
        self.processes.append(process)
        return process

    def run(self, *command):
        done = subprocess.run([self.sarban, *command], cwd=self.home, env=self.env, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"sarban {' '.join(command)} failed:\n{done.stderr}")

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(f"{self.root}/api/{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or "null")
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()}") from error

    def control(self, node, command):
        """Has a test node do something."""
        with socket.create_connection(("127.0.0.1", self.controls[node]), timeout=5) as control:
            control.sendall(json.dumps(command).encode() + b"\n")
            control.makefile().readline()

    def until(self, what, condition, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if stopping.is_set():
                raise KeyboardInterrupt
            try:
                if found := condition():
                    return found
            except (OSError, urllib.error.URLError):
                pass
            time.sleep(0.1)
        raise SystemExit(f"{what}: not within {seconds} s; the logs are in {self.home}")

    # The fleet.

    def inbound(self, engine, index):
        reality = {"tls": "reality", "sni": ["cdn.example.org"], "flow": "xtls-rprx-vision", "fp": "firefox", "pbk": "8hVw3mJrQyN0b6nYxk1oTzUe5cLwAi9fRsGdPqKtM2E", "sid": "0f1e2d3c"}
        rest = {"host": [], "path": None, "header_type": None, "is_fallback": False, "network": "tcp", "tls": "tls", "sni": ["example.org"], "flow": None}
        kinds = {
            "xray": [("vless", 443, reality), ("vmess", 8080, {"network": "ws", "path": "/stream", "tls": "none", "sni": []}), ("trojan", 8444, {})],
            "sing-box": [("vless", 9443, {"network": "grpc", "path": "files"}), ("shadowsocks", 8388, {"network": None, "tls": "none", "sni": []})],
            "hysteria": [("hysteria2", 4443, {"network": None})],
        }
        for protocol, port, more in kinds[engine]:
            tag = f"{protocol}-{engine}" if engine != "xray" else protocol
            yield {"tag": tag, "config": json.dumps({**rest, "tag": tag, "protocol": protocol, "port": port + index, **more})}

    def start_nodes(self):
        nodes = []
        for index, (name, _, _, engines) in enumerate(NODES):
            backends = [{"name": engine, "type": engine, "version": VERSIONS[engine], "inbounds": list(self.inbound(engine, index))} for engine in engines]
            nodes.append({"name": name, "listen": f"127.0.0.1:{free_port()}", "tls": False, "fetch_backends": backends})
        (self.home / "nodes.json").write_text(json.dumps({"nodes": nodes}))
        for node in nodes:
            self.controls[node["name"]] = free_port()
            self.start(node["name"], [self.test_node, "--nodes", str(self.home / "nodes.json"), "--name", node["name"],
                                      "--control", f"127.0.0.1:{self.controls[node['name']]}"])
        return nodes

    def start_panel(self):
        # The new database's own node is replaced before the panel may look for it: a real one may run at its address.
        self.run("migrate")
        with sqlite3.connect(self.home / "db.sqlite3") as database:
            database.execute("DELETE FROM nodes")
        database.close()
        self.run("admin", "create", "-u", NAME, "--sudo")
        panel = self.start("panel", [self.sarban, "serve"])

        def is_ready():
            if panel.poll() is not None:
                raise SystemExit(f"the panel ended:\n{(self.home / 'panel.log').read_text()}")
            return urllib.request.urlopen(f"{self.root}/health/ready", timeout=5).status == 200

        self.until("the panel", is_ready)
        form = f"username={NAME}&password={PASSWORD}".encode()
        with urllib.request.urlopen(f"{self.root}/api/admins/token", form, timeout=30) as answer:
            self.token = json.loads(answer.read())["access_token"]

    def furnish(self, nodes):
        for node in nodes:
            port = int(node["listen"].rsplit(":", 1)[1])
            self.call("POST", "nodes", {"name": node["name"], "address": "127.0.0.1", "port": port, "connection_backend": "grpcio"})
        expected = sum(len(backend["inbounds"]) for node in nodes for backend in node["fetch_backends"])
        self.until("inbounds", lambda: self.call("GET", "inbounds?size=100")["total"] == expected)
        inbounds = self.call("GET", "inbounds?size=100")["items"]
        towns = {name: town for name, town, _, _ in NODES}
        for inbound in inbounds:
            for host in self.call("GET", f"inbounds/{inbound['id']}/hosts")["items"]:
                remark = f"{towns[inbound['node']['name']]} {inbound['protocol']}"
                self.call("PUT", f"inbounds/hosts/{host['id']}", {**host, "remark": remark, "address": f"{inbound['node']['name']}.example.org"})
        ids = [inbound["id"] for inbound in inbounds]
        basic = self.call("POST", "services", {"name": "Basic", "inbound_ids": [inbound["id"] for inbound in inbounds if inbound["protocol"] in ("vless", "trojan")]})
        everything = self.call("POST", "services", {"name": "Everything", "inbound_ids": ids})
        for reseller in ("mina", "oleg"):
            self.call("POST", "admins", {"username": reseller, "password": PASSWORD, "is_sudo": False, "enabled": True, "all_services_access": True, "modify_users_access": True})
        return [basic["id"], everything["id"]]

    def add_users(self, services):
        chance = random.Random(19)
        now = datetime.now(timezone.utc)
        users = []
        for index, name in enumerate(PEOPLE):
            limit = chance.choice([None, 10, 20, 50, 100])
            body = {"username": name, "service_ids": [services[index % 2]], "data_limit": limit and limit * GB, "data_limit_reset_strategy": chance.choice(["no_reset", "month"])}
            if index % 7 == 3:
                body |= {"expire_strategy": "start_on_first_use", "usage_duration": 30 * 86_400}
            elif index % 4 == 0:
                body |= {"expire_strategy": "never"}
            else:
                body |= {"expire_strategy": "fixed_date", "expire_date": (now + timedelta(days=chance.choice([2, 5, 12, 25, 40, 80]), hours=index)).isoformat()}
            if index % 9 == 0:
                body["note"] = chance.choice(["paid until spring", "brother of arash", "asks for a second device"])
            user = self.call("POST", "users", body)
            users.append(user)
            if index % 3 == 1:
                self.call("PUT", f"users/{name}/set-owner?admin_username={chance.choice(['mina', 'oleg'])}")
        for name in ("emil", "pavel", "zoe"):
            self.call("POST", f"users/{name}/disable")
        return users

    def write_history(self, users):
        """A month of traffic as the panel would have recorded it, and what follows from it."""
        chance = random.Random(7)
        now = int(time.time())
        used = [user for index, user in enumerate(users) if index % 7 != 3]
        weights = {user["id"]: chance.paretovariate(1.3) for user in used}
        total = sum(weights.values())
        hours, node_hours, sums = [], {}, {}
        with sqlite3.connect(self.home / "db.sqlite3", timeout=30) as database:
            ids = dict(database.execute("SELECT name, id FROM nodes").fetchall())
            for age in range(1, 30 * 24):
                hour = (now - age * HOUR) // HOUR * HOUR
                day = 0.35 + 0.65 * max(0.0, 1 - abs(datetime.fromtimestamp(hour, timezone.utc).hour - 17) / 11)
                growth = 1 - age / 1_800
                for user in used:
                    if chance.random() > 0.28:
                        continue
                    name, _, _, _ = chance.choices(NODES, [share for _, _, share, _ in NODES])[0]
                    counted = int(2.2 * GB * day * growth * weights[user["id"]] / total * chance.uniform(0.4, 6))
                    hours.append((user["id"], hour * MICROS, ids[name], counted))
                    node_hours[ids[name], hour] = node_hours.get((ids[name], hour), 0) + counted
                    sums[user["id"]] = sums.get(user["id"], 0) + counted
            database.executemany("INSERT INTO user_usage_hours (user_id, hour, node_id, counted) VALUES (?, ?, ?, ?)", hours)
            database.executemany("INSERT INTO node_usage_hours (node_id, hour, downlink, counted) VALUES (?, ?, ?, ?)",
                                 [(node, hour * MICROS, counted, counted) for (node, hour), counted in node_hours.items()])
            for index, user in enumerate(used):
                recent = sums.get(user["id"], 0)
                limit = user["data_limit"]
                # Some have reached their limit, most are somewhere on the way.
                spent = limit + GB if limit and index % 11 == 5 else int(limit * chance.uniform(0.05, 0.93)) if limit else recent
                database.execute("UPDATE user_traffic SET used_traffic = ?, lifetime_used_traffic = ? WHERE user_id = ?", (spent, max(spent, recent), user["id"]))
                database.execute("INSERT OR REPLACE INTO subscription_fetches (user_id, fetched_at, user_agent) VALUES (?, ?, ?)",
                                 (user["id"], (now - chance.randrange(3 * 86_400)) * MICROS, chance.choice(["v2rayNG/2.1.4", "Hiddify/4.0.2", "Streisand/1.6", "sing-box 1.14.4", "clash.meta/v1.19.20"])))
                if index % 13 == 6:
                    database.execute("UPDATE users SET expire_strategy = 'fixed_date', expire_date = ? WHERE id = ?", ((now - (index + 1) * 86_400) * MICROS, user["id"]))
            database.execute("UPDATE users SET created_at = ? ", ((now - 45 * 86_400) * MICROS,))
            database.execute("UPDATE user_traffic SET created_at = ?", ((now - 45 * 86_400) * MICROS,))
        database.close()

    def break_something(self):
        """A fleet in which all is well shows nothing of what the dashboard is for."""
        ended = self.processes.pop(2)
        ended.kill()
        ended.wait()
        self.until("an unhealthy node", lambda: any(node["status"] == "unhealthy" for node in self.call("GET", "nodes")["items"]))

    def live(self, users):
        """Users are online and engines write to their logs as long as the demo runs."""
        chance = random.Random()
        online = [user["id"] for index, user in enumerate(users) if index % 7 != 3 and index % 5 in (0, 2)]
        lines = [
            ("", "from 198.51.100.{n}:{p} accepted tcp:example.org:443 [vless -> direct] email: {id}.{user}"),
            ("", "from 198.51.100.{n}:{p} accepted udp:dns.example.net:53 [trojan -> direct] email: {id}.{user}"),
            ("[Info] ", "proxy/vless/inbound: firstLen = {p}"),
            ("[Info] ", "app/dispatcher: sniffed domain: cdn.example.com"),
            ("[Debug] ", "transport/internet/tcp: dialing TCP to tcp:example.org:443"),
            ("[Warning] ", "app/proxyman/inbound: connection ends > proxy/vless/inbound: invalid request version"),
            ("[Error] ", "app/proxyman/outbound: failed to process outbound traffic > dial tcp 203.0.113.{n}:443: i/o timeout"),
        ]
        while not stopping.wait(chance.uniform(0.2, 0.9)):
            level, text = chance.choices(lines, [8, 4, 4, 3, 3, 1.5, 0.7])[0]
            stamp = datetime.now(timezone.utc).strftime("%Y/%m/%d %H:%M:%S.%f")
            filled = text.format(n=chance.randrange(1, 255), p=chance.randrange(1_025, 65_000), id=chance.randrange(1, 60), user=chance.choice(PEOPLE))
            node = chance.choice(["fra-1", "ams-2"])
            try:
                self.control(node, {"do": "log", "line": f"{stamp} {level}{filled}\n"})
                for user in chance.sample(online, 8):
                    self.control(node, {"do": "add_usage", "user": user, "bytes": int(chance.paretovariate(1.2) * 60_000)})
            except OSError:
                pass  # The node ends with the demo.

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.home, ignore_errors=True)


def main():
    arguments = argparse.ArgumentParser(description="Runs a panel with a small living fleet, to look at")
    arguments.add_argument("sarban")
    arguments.add_argument("test_node")
    arguments.add_argument("--port", type=int, default=0, help="port of the panel; by default a free one")
    given = arguments.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stopping.set())
    demo = Demo(os.path.abspath(given.sarban), os.path.abspath(given.test_node), given.port)
    try:
        print("Starting a panel, three nodes, and a month of traffic…", flush=True)
        nodes = demo.start_nodes()
        demo.start_panel()
        users = demo.add_users(demo.furnish(nodes))
        demo.write_history(users)
        demo.break_something()
        threading.Thread(target=demo.live, args=(users,), daemon=True).start()
        print(f"\n  {demo.root}/dashboard/\n  username {NAME}, password {PASSWORD}\n\nCtrl-C ends it and deletes its folder, {demo.home}.", flush=True)
        while not stopping.wait(0.5):
            for process in demo.processes:
                if process.poll() is not None:
                    raise SystemExit(f"{process.args[0]} ended by itself: status {process.returncode}")
    except KeyboardInterrupt:
        pass
    finally:
        stopping.set()
        demo.stop()
    print("\nEnded, and deleted.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
