#!/usr/bin/env python3
"""Starts edges as deploy/edge says, with the command and environment of its systemd unit and of its Compose file and the settings of
.env.example, behind a panel on SQLite; the token is made with the command of its README.

    python3 tests/deploy/edge.py target/debug/sarban
"""

import json
import pathlib
import re
import shlex
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy/edge"
README = (DEPLOY / "README.md").read_text()
LIMIT = 60
KEY = "00000000000000000000000000000001"
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


def status(url):
    try:
        return OPENER.open(url, timeout=5).status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def wait_for(what, condition, process, log):
    end = time.monotonic() + LIMIT
    while not condition():
        assert process.poll() is None and time.monotonic() < end, f"{what} not within {LIMIT} s:\n{log.read_text()}"
        time.sleep(0.1)


def settings(values):
    """.env.example with these values in place of its own."""
    lines = [line for line in (DEPLOY / ".env.example").read_text().splitlines() if line and line[0] != "#"]
    example = dict(line.split("=", 1) for line in lines)
    assert values.keys() <= example.keys(), f"not in .env.example: {values.keys() - example.keys()}"
    return {name: value for name, value in (example | values).items() if value}


def of_unit(state):
    unit = (DEPLOY / "sarban-edge.service").read_text()
    environment = dict(line.split("=", 1) for line in re.findall(r"^Environment=(.*)$", unit, re.M))
    assert re.search(r"^EnvironmentFile=(.*)$", unit, re.M).group(1) in README, "the README installs another file"
    folder = pathlib.Path(environment["DATA_DIR"].replace("%S", str(state)))
    assert re.search(r"^StateDirectory=(.*)$", unit, re.M).group(1) == folder.name, "systemd makes another folder"
    folder.mkdir(mode=0o700)
    return shlex.split(re.search(r"^ExecStart=(.*)$", unit, re.M).group(1))[1:], environment | {"DATA_DIR": str(folder)}


def of_compose(state):
    command = json.loads(re.search(r"^    command: (\[.*\])$", (DEPLOY / "compose.yaml").read_text(), re.M).group(1))
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["sarban"]' in dockerfile and "ENV DATA_DIR=/data" in dockerfile
    assert re.search(r"^      - \w+:/data$", (DEPLOY / "compose.yaml").read_text(), re.M), "the copy is in no volume"
    folder = state / "data"
    folder.mkdir(mode=0o700)
    # A container has its own 127.0.0.1; here the edge must not be open to others.
    return command, {"DATA_DIR": str(folder), "UVICORN_HOST": "127.0.0.1"}


def main():
    program = str(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory(prefix="sarban.edge.") as name:
        folder = pathlib.Path(name)
        port, log = free_port(), folder / "panel.log"
        panel_settings = {"SQLALCHEMY_DATABASE_URL": f"sqlite:///{folder}/db.sqlite3", "DATA_DIR": name, "UVICORN_HOST": "127.0.0.1",
                          "UVICORN_PORT": str(port), "SUBSCRIPTION_URL_PREFIX": "https://sub.example.com"}

        def run(*words, **more):
            done = subprocess.run([program, *words], env=panel_settings | more, cwd=name, text=True, capture_output=True, timeout=LIMIT)
            assert done.returncode == 0, f"{words}: {done.stderr}"
            return done.stdout.strip()

        run("admin", "create", "-u", "root", "--sudo", SARBAN_ADMIN_PASSWORD="rootpass")
        command = re.search(r"^sarban (token create .*)$", README, re.M).group(1)
        token = run(*shlex.split(command))
        with sqlite3.connect(folder / "db.sqlite3") as database:
            # A new panel has a node on this machine.
            database.execute("DELETE FROM nodes")
            database.execute("INSERT INTO users (id, username, key, expire_strategy, created_at) VALUES (1, 'ann', ?, 'never', 0)", [KEY])
            database.execute("INSERT INTO user_traffic (user_id, created_at) VALUES (1, 0)")
        database.close()
        with log.open("w") as output:
            panel = subprocess.Popen([program, "serve"], env=panel_settings, cwd=name, stderr=output)
        processes = [panel]
        try:
            wait_for("a panel is ready", lambda: status(f"http://127.0.0.1:{port}/health/ready") == 200, panel, log)
            for what, of in {"sarban-edge.service": of_unit, "compose.yaml": of_compose}.items():
                words, environment = of(folder)
                own = free_port()
                values = {"EDGE_PANELS": f"http://127.0.0.1:{port}", "EDGE_TOKEN": token, "SUBSCRIPTION_URL_PREFIX": "https://sub.example.com"}
                environment |= settings(values) | {"UVICORN_PORT": str(own)}
                log = folder / f"{what}.log"
                with log.open("w") as output:
                    edge = subprocess.Popen([program, *words], env=environment, cwd=environment["DATA_DIR"], stderr=output)
                processes.append(edge)
                wait_for(f"the edge of {what} is ready", lambda: status(f"http://127.0.0.1:{own}/health/ready") == 200, edge, log)
                alive = subprocess.run([program, "healthcheck"], env=environment, capture_output=True)
                assert alive.returncode == 0, alive.stderr
                assert status(f"http://127.0.0.1:{own}/sub/ann/{KEY}/info") == 200, log.read_text()
                unknown = [line for line in log.read_text().splitlines() if "WARN" in line]
                assert not unknown, f"{what}: warnings at the start:\n" + "\n".join(unknown)
                edge.terminate()
                assert edge.wait(LIMIT) == 0, log.read_text()
                print(f"✓ an edge as in deploy/edge/{what} serves")
        finally:
            for process in processes:
                process.kill()
                process.wait()


main()
