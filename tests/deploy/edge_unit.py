#!/usr/bin/env python3
"""Runs the commands of deploy/edge/README.md under systemd in a container, with a panel beside the edge: what the unit promises
about files, restarts, wrong settings, restrictions and the end of the process. It needs root.

    python3 tests/deploy/edge_unit.py target/debug/sarban
"""

import re
import shutil
import sqlite3
import sys
import time

from machine import ROOT, URL, in_machine, wait_for

README = ROOT / "deploy/edge/README.md"
UNIT = (ROOT / "deploy/edge/sarban-edge.service").read_text()
LINK = "http://127.0.0.1:8000/sub/ann/00000000000000000000000000000001"
PANEL = "http://127.0.0.1:8100"
PREFIX = "https://sub.example.com"
# A panel on the same machine, as a user of its own. It keeps its settings when it is stopped.
PANEL_UNIT = f"""
[Service]
ExecStart=/usr/local/lib/panel/sarban serve
User=panel
StateDirectory=panel
WorkingDirectory=/var/lib/panel
Environment=DATA_DIR=/var/lib/panel UVICORN_HOST=127.0.0.1 UVICORN_PORT=8100 SUBSCRIPTION_URL_PREFIX={PREFIX}
"""


class Edge:
    """The service sarban-edge of a machine."""

    def __init__(self, machine):
        self.machine, self.sh = machine, machine.sh

    def show(self, name):
        return self.sh(f"systemctl show --property={name} --value sarban-edge")

    def health(self):
        """The status in the answer to /health/ready; "" without an answer."""
        found = re.search(r'"status":"(\w+)"', self.machine.try_(f"curl --silent --max-time 5 {URL}")[1])
        return found.group(1) if found else ""

    def is_(self, *health):
        wait_for(f"the edge is {' or '.join(health)}; it said {self.health()!r}", lambda: self.health() in health)

    def serves(self):
        answer = self.sh(f"curl --silent --show-error --fail --include --max-time 10 {LINK}")
        assert re.search(r"(?im)^x-subscription-copy-age: \d+", answer), answer

    def journal(self, *options):
        return self.sh(f"journalctl --unit=sarban-edge --no-pager --output=cat {' '.join(options)}")


def commands(machine):
    """The commands of the section about systemd without `sudo`: the build, those up to the settings, and those after them."""
    section = README.read_text().split("## Under systemd, without a package")[1]
    block = re.search(r"```sh\n(.*?)```", section, re.S).group(1).replace("sudo ", "")
    build, _, rest = block.partition("\n")
    assert build.startswith("cargo build"), build
    settings, edited, start = rest.partition("# and edit it\n")
    assert edited and "systemctl" not in settings and "systemctl" in start, rest
    return settings, start


def panel(machine, program):
    """A panel with one user, and a token that the first command of the README makes."""
    source = machine.root / "source"
    (source / "target/release").mkdir(parents=True)
    shutil.copy(program, source / "target/release/sarban")
    shutil.copytree(ROOT / "deploy/edge", source / "deploy/edge")
    (machine.root / "etc/systemd/system/panel.service").write_text(PANEL_UNIT)
    machine.sh("install -D /source/target/release/sarban /usr/local/lib/panel/sarban && useradd --system panel && systemctl daemon-reload")
    command = re.search(r"^(sarban token create .*)$", README.read_text(), re.M).group(1)
    machine.sh("install -d -o panel -g panel -m 0700 /var/lib/panel")
    inside = "cd /var/lib/panel && export PATH=/usr/local/lib/panel:$PATH SARBAN_ADMIN_PASSWORD=a-long-password && runuser -u panel --"
    machine.sh(f"{inside} sarban admin create -u root --sudo")
    token = re.search(r"sarban_\w+", machine.sh(f"{inside} {command}")).group()
    with sqlite3.connect(machine.root / "var/lib/panel/db.sqlite3") as database:
        database.execute("INSERT INTO users (id, username, key, expire_strategy, created_at) VALUES (1, 'ann', ?, 'never', 0)", [LINK[-32:]])
        database.execute("INSERT INTO user_traffic (user_id, created_at) VALUES (1, 0)")
    database.close()
    machine.sh("chown -R panel:panel /var/lib/panel && systemctl start panel")
    return token


def with_wrong_settings(edge, start):
    """The settings of .env.example lack a token: the edge says so, and systemd does not start it again."""
    edge.machine.try_(f"cd /source && {start.partition('curl')[0]}")
    wait_for("the unit has failed", lambda: edge.show("ActiveState") == "failed")
    assert (edge.show("ExecMainStatus"), edge.show("NRestarts")) == ("2", "0"), edge.journal()
    assert "EDGE_TOKEN is not set" in edge.journal(), edge.journal()
    edge.sh("systemctl disable sarban-edge")


def installed(edge, program):
    machine = edge.machine
    token = panel(machine, program)
    settings, start = commands(machine)
    machine.sh(f"cd /source && set -e\n{settings}")
    machine.has("/etc/sarban/edge.env", "root:root 600")
    with_wrong_settings(edge, start)
    for name, value in {"EDGE_PANELS": PANEL, "EDGE_TOKEN": token, "SUBSCRIPTION_URL_PREFIX": PREFIX}.items():
        machine.sh(f"grep -q ^{name}= /etc/sarban/edge.env && sed -i 's|^{name}=.*|{name}={value}|' /etc/sarban/edge.env")
    # The last command waits until the copy is complete.
    answer = machine.sh(f"cd /source && set -e\n{start}")
    assert '"status":"ok"' in answer, answer
    assert machine.state("sarban-edge.service") == ("enabled", "active")


def serves(edge):
    edge.serves()
    edge.machine.has("/var/lib/sarban-edge", "sarban:sarban 700")
    edge.machine.has("/var/lib/sarban-edge/subscriptions.copy", "sarban:sarban 600")
    assert not edge.sh("find /var/lib/sarban-edge ! -user sarban -o -perm /077")
    edge.sh("runuser -u nobody -- sh -c '! cat /etc/sarban/edge.env && ! ls /var/lib/sarban-edge' 2>/dev/null")


def goes_on_without_panel(edge):
    edge.sh("systemctl stop panel")
    edge.is_("degraded")
    edge.serves()
    # The upgrade, which the sentence after the commands describes.
    edge.sh("cd /source && install target/release/sarban /usr/local/bin/ && systemctl restart sarban-edge")
    edge.is_("degraded")
    edge.serves()
    assert edge.show("NRestarts") == "0"
    edge.sh("systemctl start panel")
    edge.is_("ok")


def killed(edge):
    edge.machine.kill_often("sarban-edge.service")
    edge.is_("ok", "degraded")
    edge.serves()


def restricted(edge):
    assert "OK" in edge.sh("systemd-analyze security sarban-edge | tail -n 1")
    main = edge.show("MainPID")
    status = dict(re.findall(r"^(\w+):\s*(.*)$", edge.sh(f"cat /proc/{main}/status"), re.M))
    assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1", status
    assert all(int(status[kind], 16) == 0 for kind in ("CapEff", "CapPrm", "CapBnd", "CapAmb")), status
    assert edge.sh(f"stat --format=%U /proc/{main}") == "sarban"
    # Only its own folder and a /tmp of its own can be written, and the homes are empty.
    edge.sh("test -n \"$(ls -A /root)\"")
    inside = f"nsenter --target {main} --mount"
    edge.sh(f"{inside} sh -c '! touch /usr/x && ! touch /etc/x && ! touch /var/x && test -z \"$(ls -A /root)\"' 2>/dev/null")
    edge.sh(f"{inside} touch /var/lib/sarban-edge/x /tmp/x && rm /var/lib/sarban-edge/x && test ! -e /tmp/x")
    # What has run so far has called nothing that the filter refuses, which would have ended the process with SIGSYS.
    assert "SYS" not in re.findall(r"status=\d+/(\w+)", edge.journal()), edge.journal()


def low_port(edge):
    """The comment of the unit says how to listen on a port below 1024."""
    assert re.search(r"both capability lines to CAP_NET_BIND_SERVICE and remove PrivateUsers", UNIT.replace("\n# ", " ")), UNIT
    lines = "CapabilityBoundingSet=CAP_NET_BIND_SERVICE\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n"
    changed = re.sub(r"(?m)^(CapabilityBoundingSet|AmbientCapabilities)=\n|^PrivateUsers=.*\n", "", UNIT)
    assert len(UNIT) - len(changed) > 60
    unit = edge.machine.root / "etc/systemd/system/sarban-edge.service"
    unit.write_text(changed.replace("[Service]\n", f"[Service]\n{lines}"))
    edge.sh("sed -i 's|^#UVICORN_PORT=8000|UVICORN_PORT=443|' /etc/sarban/edge.env && systemctl daemon-reload && systemctl restart sarban-edge")
    wait_for("the edge listens on port 443", lambda: edge.machine.try_(f"curl -sf {URL.replace('8000', '443')}")[0] == 0)
    unit.write_text(UNIT)
    edge.sh("sed -i 's|^UVICORN_PORT=443|UVICORN_PORT=8000|' /etc/sarban/edge.env && systemctl daemon-reload && systemctl restart sarban-edge")
    edge.is_("ok", "degraded")


def stops(edge):
    """In the time that the unit gives it, with a panel that has fallen silent and a client that has not sent all of its request."""
    edge.sh("systemctl kill --signal=STOP panel")
    limit = int(re.search(r"^TimeoutStopSec=(\d+)$", UNIT, re.M).group(1))
    client = "exec 3<>/dev/tcp/127.0.0.1/8000; printf 'GET /sub/ann/ HTTP/1.1\\r\\nHost: x\\r\\n' >&3; echo sent; cat <&3"
    edge.sh(f"systemd-run --quiet --unit=client bash -c \"{client}\"")
    wait_for("the client has sent a part", lambda: "sent" in edge.sh("journalctl --unit=client --output=cat"))
    begin = time.monotonic()
    edge.sh("systemctl stop sarban-edge")
    took = f"after {time.monotonic() - begin:.1f} of {limit} s"
    assert edge.show("Result") == "success", f"{took}:\n{edge.journal('-n 30')}"
    print(f"  stopped {took}")
    edge.sh("systemctl kill --signal=CONT panel")


def checks(machine, _):
    edge = Edge(machine)
    return (
        ("installed", lambda: installed(edge, sys.argv[1])),
        ("serves", lambda: serves(edge)),
        ("goes on without the panel, and after an upgrade", lambda: goes_on_without_panel(edge)),
        ("started again after kill -9", lambda: killed(edge)),
        ("restricted", lambda: restricted(edge)),
        ("a port below 1024", lambda: low_port(edge)),
        ("stops in time", lambda: stops(edge)),
    )


if __name__ == "__main__":
    in_machine(README, checks)
