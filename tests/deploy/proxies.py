#!/usr/bin/env python3
"""Tests the files of deploy/proxies: HAProxy, Caddy and nginx in front of two panels on one PostgreSQL and one Redis. Covers
API, subscriptions, WebSockets, forwarded headers, and panels that stop or hang under load.

    tests/support/services.sh run python3 tests/deploy/proxies.py [haproxy|caddy|nginx …]
"""

import base64
import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
SARBAN = os.environ.get("SARBAN", TARGET / "debug/sarban")
TEST_NODE = TARGET / "debug/examples/test_node"
POSTGRES = os.environ["SARBAN_TEST_POSTGRES_URL"]
REDIS = os.environ["SARBAN_TEST_REDIS_URL"]
PASSWORD = "proxies"
KINDS = ["haproxy", "caddy", "nginx"]
TLS = ssl._create_unverified_context()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, done, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if done():
                return
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} s")


class Panel:
    """A panel process that can be stopped, suspended, and started again on its port."""

    def ask(self, *request, **more):
        return ask(self.port, *request, **more)

    def __init__(self, name, folder, database):
        self.port = free_port()
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "SQLALCHEMY_DATABASE_URL": database,
            "REDIS_URL": REDIS,
            "CLUSTER_NAME": f"proxies-{os.getpid()}",
            "INSTANCE_NAME": name,
            "DATA_DIR": str(folder),
            "UVICORN_HOST": "127.0.0.1",
            "UVICORN_PORT": str(self.port),
            "UVICORN_WORKERS": "2",
            "LOGIN_ATTEMPTS_PER_MINUTE": "5",
            "LEASE_TTL_SECONDS": "2",
            # The proxies connect from 127.0.0.1. All other addresses are clients', who can't claim another one.
            "TRUSTED_PROXIES": "127.0.0.1",
            "SARBAN_ADMIN_PASSWORD": PASSWORD,
        }
        self.process = None

    def start(self):
        log = open(self.folder / f"{self.environment['INSTANCE_NAME']}.log", "a")
        self.process = subprocess.Popen([SARBAN, "serve"], cwd=self.folder, env=self.environment, stderr=log)

    def ready(self):
        return ask(self.port, "GET", "/health/ready").status == 200

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        self.signal(signal.SIGTERM)
        assert self.process.wait(15) == 0, "a panel stops with 0"

    def command(self, *words):
        subprocess.run([SARBAN, *words], cwd=self.folder, env=self.environment, check=True, stdout=subprocess.DEVNULL)


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    def json(self):
        return json.loads(self.body)


def connection(port, tls=False, source="127.0.0.1", timeout=20):
    if tls:
        return http.client.HTTPSConnection("127.0.0.1", port, timeout=timeout, source_address=(source, 0), context=TLS)
    return http.client.HTTPConnection("127.0.0.1", port, timeout=timeout, source_address=(source, 0))


def ask(port, method, path, body=None, headers=None, tls=False, source="127.0.0.1", timeout=20):
    """`headers`: a dictionary, or a list of pairs for several lines of one header."""
    link = connection(port, tls, source, timeout)
    try:
        pairs = list(headers.items()) if isinstance(headers, dict) else headers or []
        link.putrequest(method, path, skip_host=any(name == "host" for name, _ in pairs))
        for name, value in pairs + ([("content-length", str(len(body)))] if body else []):
            link.putheader(name, value)
        link.endheaders(body.encode() if body else None)
        return Answer(link.getresponse())
    finally:
        link.close()


# The usual way to append to the header, in place of the line that sets it. Caddy always sets it.
APPENDING = {
    "haproxy": ("http-request set-header X-Forwarded-For %[src]", "option forwardfor"),
    "nginx": ("X-Forwarded-For $remote_addr", "X-Forwarded-For $proxy_add_x_forwarded_for"),
}


class Proxy:
    """A proxy with its file of deploy/proxies on a free port. `appends`: it appends to X-Forwarded-For."""

    def __init__(self, kind, folder, panels, appends=False):
        self.kind, self.port, self.tls, self.appends = kind, free_port(), kind != "caddy", appends
        self.checks_health = kind != "nginx"
        first, second = (f"127.0.0.1:{panel.port}" for panel in panels)
        environment = {**os.environ, "PANEL_1": first, "PANEL_2": second, "HOME": str(folder)}
        pair = certificate(folder)
        if kind == "haproxy":
            environment |= {"HTTP_BIND": f"127.0.0.1:{free_port()}", "HTTPS_BIND": f"127.0.0.1:{self.port}"}
            environment |= {"CERTIFICATE": str(pair)}
            path = folder / "haproxy.cfg"
            path.write_text(self.configuration("haproxy.cfg"))
            command = ["haproxy", "-db", "-f", path]
        elif kind == "caddy":
            environment |= {"SITE": f"http://:{self.port}"}
            command = ["caddy", "run", "--adapter", "caddyfile", "--config", ROOT / "deploy/proxies/Caddyfile"]
        else:
            command = ["nginx", "-e", "stderr", "-p", folder, "-c", self.nginx(folder, first, second)]
        log = open(folder / f"{kind}.log", "a")
        self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            wait_for(f"{kind} answers", lambda: self.ask("GET", "/health/live").status == 200)
        except AssertionError:
            print((folder / f"{kind}.log").read_text())
            raise

    def configuration(self, name):
        text = (ROOT / "deploy/proxies" / name).read_text()
        if not self.appends:
            return text
        old, new = APPENDING[self.kind]
        assert old in text, old
        return text.replace(old, new)

    def nginx(self, folder, first, second):
        site = self.configuration("nginx.conf")
        for old, new in {
            "127.0.0.1:8001": first,
            "127.0.0.1:8002": second,
            "listen 443 ": f"listen 127.0.0.1:{self.port} ",
            "listen 80;": f"listen 127.0.0.1:{free_port()};",
            "/etc/ssl/sarban": str(folder),
            "    listen [::]": "    # listen [::]",
        }.items():
            assert old in site, old
            site = site.replace(old, new)
        path = folder / "nginx.conf"
        temporary = "".join(
            f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        path.write_text(
            f"daemon off; pid {folder}/nginx.pid; user root; events {{}} http {{ access_log off; {temporary}\n{site}}}"
        )
        return path

    def ask(self, method, path, body=None, headers=None, source="127.0.0.1", timeout=20):
        return ask(self.port, method, path, body, headers, self.tls, source, timeout)

    def close(self):
        self.process.terminate()
        self.process.wait(10)


def certificate(folder):
    pair = folder / "pair.pem"
    if not pair.exists():
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
             "-subj", "/CN=panel.example.com", "-keyout", folder / "key.pem", "-out", folder / "chain.pem"],
            check=True, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        pair.write_text((folder / "chain.pem").read_text() + (folder / "key.pem").read_text())
    return pair


def form(**fields):
    return urllib.parse.urlencode(fields), {"content-type": "application/x-www-form-urlencoded"}


def sign_in(proxy):
    answer = proxy.ask("POST", "/api/admins/token", *form(username="root", password=PASSWORD))
    assert answer.status == 200, answer.body
    return {"authorization": f"Bearer {answer.json()['access_token']}", "content-type": "application/json"}


class Load:
    """Clients that send GETs and PUTs without pause on keep-alive connections. Collects failures."""

    def __init__(self, proxy, token, username):
        self.proxy, self.token, self.username = proxy, token, username
        self.going, self.done, self.wrong, self.slowest = True, 0, [], 0.0
        self.clients = [threading.Thread(target=self.run, args=(number,)) for number in range(6)]

    def run(self, number):
        edit = json.dumps({"username": self.username, "note": f"client {number}"})
        link = connection(self.proxy.port, self.proxy.tls)
        while self.going:
            method, path, body = ("PUT", f"/api/users/{self.username}", edit) if number < 2 else ("GET", "/api/users", None)
            begun = time.monotonic()
            try:
                link.request(method, path, body, self.token)
                status = Answer(link.getresponse()).status
                if status != 200:
                    self.wrong.append((method, status))
            except (OSError, http.client.HTTPException) as error:
                self.wrong.append((method, repr(error)))
                link.close()
                link = connection(self.proxy.port, self.proxy.tls)
            self.done += 1
            self.slowest = max(self.slowest, time.monotonic() - begun)
            time.sleep(0.002)
        link.close()

    def __enter__(self):
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *_):
        self.going = False
        for client in self.clients:
            client.join()


def serves_the_api_and_subscriptions(proxy, panels, token):
    name = f"user_{proxy.kind}"
    body = json.dumps({"username": name, "expire_strategy": "never"})
    made = proxy.ask("POST", "/api/users", body, token)
    assert made.status == 200, made.body
    link = urllib.parse.urlparse(made.json()["subscription_url"]).path
    assert proxy.ask("GET", f"{link}/links").status == 200
    assert proxy.ask("GET", f"/sub/{name}/wrong").status == 404
    assert proxy.ask("GET", "/metrics").status == 404, "a proxy must not serve metrics"
    assert ask(panels[0].port, "GET", "/metrics").status == 200, "a panel must serve metrics to this machine"


def passes_on_the_client_address_and_no_forged_headers(proxy, panels, _token):
    invented = {"x-forwarded-proto": "gopher", "x-forwarded-for": "8.8.8.8", "forwarded": "for=8.8.8.8", "host": "panel.example.com"}
    moved = proxy.ask("GET", "/api/users/?size=2", headers=invented)
    assert moved.status == 307, moved.status
    # Without scheme and host: no forged header can lead the client elsewhere.
    assert moved.headers["location"] == "/api/users?size=2", moved.headers["location"]
    limits_a_client_that_forges_its_address(proxy)


def limits_a_client_that_forges_its_address(proxy, *_):
    # The limit is per address. A client that could invent an address for each attempt would never reach it, whether in one
    # line or in several. The panels trust no address outside of 127.0.0.0/8, and in it only the proxies' own.
    number = 10 + KINDS.index(proxy.kind) + (10 if proxy.appends else 0)
    for style, forge in enumerate((
        lambda attempt: [("x-forwarded-for", f"9.9.9.{attempt}")],
        lambda attempt: [("x-forwarded-for", f"9.9.9.{attempt}"), ("X-Forwarded-For", f"7.7.7.{attempt}, 6.6.6.{attempt}")],
        lambda attempt: [("forwarded", f"for=9.9.9.{attempt}"), ("x-real-ip", f"9.9.9.{attempt}"), ("x-forwarded-for", "")],
    )):  # fmt: skip
        source = f"127.0.{10 + style}.{number}"
        statuses = []
        for attempt in range(8):
            body, headers = form(username=f"nobody-{number}-{style}-{attempt}", password="wrong")
            answer = proxy.ask("POST", "/api/admins/token", body, [*headers.items(), *forge(attempt)], source)
            statuses.append(answer.status)
        assert statuses[0] == 401 and statuses[-1] == 429, (style, statuses)
    body, headers = form(username=f"nobody-{number}", password="wrong")
    other = proxy.ask("POST", "/api/admins/token", body, headers, f"127.0.2.{number}")
    assert other.status == 401, "another address must have its own limit"


def carries_websockets(proxy, _panels, token):
    node, backend = next(node_backends(proxy, token))
    path = f"/api/nodes/{node}/{backend}/logs"
    refused, _ = websocket(proxy, f"{path}?token=wrong")
    assert refused == 403, refused
    secret = token["authorization"].split()[1]
    status, link = websocket(proxy, f"{path}?token={secret}")
    assert status == 101, status
    # A text frame from the server: 0x81 and an unmasked length.
    link.settimeout(20)
    head = link.recv(2)
    assert head[:1] == b"\x81" and 0 < head[1] < 128, head
    link.close()


def node_backends(proxy, token):
    for node in proxy.ask("GET", "/api/nodes", headers=token).json()["items"]:
        for backend in node["backends"]:
            yield node["id"], backend["name"]


def add_node(panel, token, ends):
    """Starts a test node whose engines have logs, and adds it to the panels."""
    port = free_port()
    node = subprocess.Popen([TEST_NODE, "--listen", f"127.0.0.1:{port}"], stdout=subprocess.DEVNULL)
    ends.callback(lambda: (node.kill(), node.wait()))
    body = {"name": "node", "address": "127.0.0.1", "port": port, "connection_backend": "grpcio"}
    made = ask(panel.port, "POST", "/api/nodes", json.dumps(body), token)
    assert made.status == 200, made.body
    path = f"/api/nodes/{made.json()['id']}"
    wait_for("the node is synchronized", lambda: ask(panel.port, "GET", path, headers=token).json()["backends"], 30)


def websocket(proxy, path):
    """Requests a WebSocket; returns the status and the open socket (status 101)."""
    link = socket.create_connection(("127.0.0.1", proxy.port), 20)
    if proxy.tls:
        link = TLS.wrap_socket(link, server_hostname="panel.example.com")
    key = base64.b64encode(os.urandom(16)).decode()
    link.sendall(
        f"GET {path} HTTP/1.1\r\nHost: panel.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += link.recv(1) or b"\r\n\r\n"
    return int(head.split()[1]), link


def loses_nothing_while_panels_are_replaced(proxy, panels, token):
    with Load(proxy, token, f"user_{proxy.kind}") as load:
        time.sleep(1)
        for panel in panels:
            panel.stop()
            panel.start()
            wait_for("the panel is ready again", panel.ready)
            # The proxy must notice before the next panel stops.
            time.sleep(3)
    print(f"    {load.done} requests while both panels were replaced, the slowest {load.slowest * 1000:.0f} ms")
    assert not load.wrong, load.wrong[:5]


def finishes_slow_requests_of_a_panel_that_stops(proxy, panels, token):
    # Bodies that arrive over 4 s: half of these requests, or more, are the stopping panel's.
    results = []

    def create(number):
        body = json.dumps({"username": f"slow_{proxy.kind}_{number}", "expire_strategy": "never"})
        link = connection(proxy.port, proxy.tls)
        try:
            link.putrequest("POST", "/api/users")
            for name, value in [*token.items(), ("content-length", str(len(body)))]:
                link.putheader(name, value)
            link.endheaders(body[:10].encode())
            time.sleep(4)
            link.send(body[10:].encode())
            results.append(Answer(link.getresponse()).status)
        except (OSError, http.client.HTTPException) as error:
            results.append(repr(error))
        finally:
            link.close()

    for panel in panels:
        clients = [threading.Thread(target=create, args=(f"{panel.port}_{number}",)) for number in range(6)]
        for client in clients:
            client.start()
        time.sleep(0.5)
        panel.stop()
        panel.start()
        for client in clients:
            client.join()
        wait_for("the panel is ready again", panel.ready)
        time.sleep(3)
    print(f"    {len(results)} requests of 4 s while both panels were replaced")
    assert results == [200] * 12, results


def avoids_a_panel_that_hangs(proxy, panels, token):
    if not proxy.checks_health:
        print("    skipped for nginx: the free version has no active health checks")
        return
    panels[0].signal(signal.SIGSTOP)
    try:
        time.sleep(6)
        begun = time.monotonic()
        for _ in range(20):
            assert proxy.ask("GET", "/api/users", headers=token).status == 200
        print(f"    20 requests in {(time.monotonic() - begun) * 1000:.0f} ms while one panel of two hangs")
    finally:
        panels[0].signal(signal.SIGCONT)
    wait_for("the panel is back", panels[0].ready)


def ends_requests_in_flight_to_a_panel_that_hangs(proxy, panels, token):
    if proxy.kind != "haproxy":
        print("    skipped: only HAProxy ends them when its checks fail")
        return
    answers = []

    def get():
        begun = time.monotonic()
        with contextlib.suppress(OSError, http.client.HTTPException):
            proxy.ask("GET", "/api/users", headers=token, timeout=50)
        answers.append(time.monotonic() - begun)

    # After the last story the proxy takes a while to send the panel its full share again (`slowstart`).
    time.sleep(8)
    panels[0].signal(signal.SIGSTOP)
    try:
        clients = [threading.Thread(target=get) for _ in range(8)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    finally:
        panels[0].signal(signal.SIGCONT)
    print(f"    the slowest of 8 requests ended after {max(answers):.1f} s")
    assert 1 < max(answers) < 12, answers
    wait_for("the panel is back", panels[0].ready)


STORIES = [
    serves_the_api_and_subscriptions,
    passes_on_the_client_address_and_no_forged_headers,
    carries_websockets,
    loses_nothing_while_panels_are_replaced,
    finishes_slow_requests_of_a_panel_that_stops,
    avoids_a_panel_that_hangs,
    ends_requests_in_flight_to_a_panel_that_hangs,
]


def sql(statement):
    import shutil

    psql = shutil.which("psql") or os.path.join(os.environ["SARBAN_TEST_POSTGRES_BIN"], "psql")
    subprocess.run([psql, "-q", "-d", POSTGRES, "-c", statement], check=True)


def passes(story, *parts):
    """Runs a story and prints its result."""
    name = story.__name__.replace("_", " ")
    try:
        story(*parts)
    except AssertionError as error:
        print(f"  ✗ {name}: {error!r}")
        return False
    print(f"  ✓ {name}")
    return True


def main(kinds):
    failed = False
    database = f"sarban_proxies_{os.getpid()}"
    sql(f"CREATE DATABASE {database}")
    with tempfile.TemporaryDirectory(prefix="sarban.proxies.") as name, contextlib.ExitStack() as ends:
        folder = pathlib.Path(name)
        ends.callback(sql, f"DROP DATABASE {database} WITH (FORCE)")
        url = POSTGRES.rsplit("/", 1)[0] + f"/{database}"
        panels = [Panel(f"panel-{number}", folder, url) for number in (1, 2)]
        for panel in panels:
            panel.start()
            ends.callback(lambda panel=panel: (panel.process.kill(), panel.process.wait()))
        wait_for("the panels are ready", lambda: all(panel.ready() for panel in panels))
        panels[0].command("admin", "create", "-u", "root", "--sudo")
        add_node(panels[0], sign_in(panels[0]), ends)
        for kind in kinds:
            print(kind)
            proxy = Proxy(kind, folder, panels)
            try:
                token = sign_in(proxy)
                for story in STORIES:
                    failed |= not passes(story, proxy, panels, token)
            finally:
                proxy.close()
        for kind in kinds:
            if kind in APPENDING:
                print(f"{kind}, appending to X-Forwarded-For")
                proxy = Proxy(kind, folder, panels, appends=True)
                try:
                    failed |= not passes(limits_a_client_that_forges_its_address, proxy, panels, None)
                finally:
                    proxy.close()
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or KINDS))
