#!/usr/bin/env python3
"""Tests the Debian package with dpkg and systemd in a container: installs, upgrades under requests, removes and purges it,
checks files, owners and modes, and runs the commands of deploy/single/README.md. It needs root.

    python3 tests/deploy/package.py target/debug/sarban
"""

import os
import pathlib
import re
import shutil
import sys
import threading

from machine import LIMIT, ROOT, URL, in_machine, run, wait_for

README = ROOT / "deploy/single/README.md"
EDGE_README = ROOT / "deploy/edge/README.md"


class Requests(threading.Thread):
    """Asks for a path again and again, each time over a new connection."""

    def __init__(self, machine):
        super().__init__()
        self.machine, self.over, self.answers, self.failures = machine, threading.Event(), 0, []

    def run(self):
        while not self.over.is_set():
            address = URL.replace("ready", "live")
            code, output = self.machine.try_(f"curl --silent --show-error --fail --max-time {LIMIT} {address}")
            self.answers += 1
            if code != 0:
                self.failures.append(output)

    def __exit__(self, *_):
        self.over.set()
        self.join()

    def __enter__(self):
        self.start()
        wait_for("the first answer", lambda: self.answers > 0)


def builds(program, folder):
    """Two revisions of the package. Compressing little saves time."""
    for revision in ("1", "2"):
        words = [ROOT / "deploy/debian/build.sh", program, folder, "-Zgzip", "-z1"]
        yield run(*words, env={**os.environ, "DEB_REVISION": revision}).strip()


def installed(machine, first):
    machine.install(first, "apt-get install -y")
    machine.has("/usr/bin/sarban", "root:root 755")
    for unit in ("sarban.service", "sarban.socket", "sarban-edge.service"):
        machine.has(f"/usr/lib/systemd/system/{unit}", "root:root 644")
    machine.has("/etc/sarban", "root:sarban 750")
    machine.has("/etc/sarban/sarban.env", "root:sarban 640")
    machine.has("/etc/sarban/edge.env", "root:root 600")
    machine.has("/var/lib/sarban", "sarban:sarban 700")
    machine.has("/var/lib/sarban-edge")
    assert machine.sh("getent passwd sarban").endswith(":/var/lib/sarban:/usr/sbin/nologin")
    assert machine.state() == ("disabled", "inactive"), f"the installation must start nothing: {machine.state()}"
    assert machine.state("sarban.socket") == machine.state("sarban-edge.service") == ("disabled", "inactive")


def started(machine):
    machine.sh("echo '# by the operator' >>/etc/sarban/sarban.env")
    machine.documented("systemctl enable --now sarban.socket sarban.service")
    wait_for("the panel is ready", machine.ready)
    assert machine.sh("stat --format=%U /proc/$(systemctl show --property=MainPID --value sarban)") == "sarban"
    machine.has("/var/lib/sarban/db.sqlite3", "sarban:sarban 600")
    machine.sh("echo SARBAN_ADMIN_PASSWORD=a-long-password >>/etc/sarban/sarban.env")
    machine.documented("sarban-run admin create -u root --sudo")
    assert "root" in machine.documented("sarban-run admin list")
    machine.sh("runuser -u nobody -- sh -c '! cat /etc/sarban/sarban.env && ! ls /var/lib/sarban' 2>/dev/null")
    assert not machine.sh("find /var/lib/sarban ! -user sarban")


def edge_started(machine):
    """An edge beside the panel, as its README says. The settings of the package lack those that must be set: it says so."""
    machine.try_("systemctl start sarban-edge")
    show = lambda name: machine.sh(f"systemctl show --property={name} --value sarban-edge")
    wait_for("the unit has failed", lambda: show("ActiveState") == "failed")
    assert (show("ExecMainStatus"), show("NRestarts")) == ("2", "0"), show("Result")
    token = machine.sh("sarban-run token create --admin root --name edge-1 --scope 'edge:*'").split()[-1]
    values = {"EDGE_PANELS": "http://127.0.0.1:8000", "EDGE_TOKEN": token, "UVICORN_PORT": "8100"}
    for name, value in values.items():
        machine.sh(f"sed -i 's|^#\\?{name}=.*|{name}={value}|' /etc/sarban/edge.env && grep -q ^{name}={value} /etc/sarban/edge.env")
    machine.documented("systemctl enable --now sarban-edge", EDGE_README)
    wait_for("the edge is ready", lambda: edge_ready(machine))
    assert machine.sh(f"stat --format=%U /proc/{show('MainPID')}") == "sarban"
    machine.has("/var/lib/sarban-edge", "sarban:sarban 700")
    machine.has("/var/lib/sarban-edge/subscriptions.copy", "sarban:sarban 600")
    machine.sh("runuser -u sarban -- sh -c '! cat /etc/sarban/edge.env' 2>/dev/null")


def edge_ready(machine):
    return machine.try_(f"curl --silent --fail --max-time 5 {URL.replace('8000', '8100')}")[0] == 0


def killed(machine):
    machine.kill_often("sarban.service")
    wait_for("the panel is ready again", machine.ready)
    assert machine.state("sarban.socket") == ("enabled", "active")


def failed(machine):
    """The panel can't start for a while: the socket keeps a client waiting meanwhile, which is answered once it can."""
    machine.sh("systemctl stop sarban.service && chown root:root /var/lib/sarban/db.sqlite3 && systemctl start sarban.socket")
    machine.sh(f"systemd-run --quiet --unit=client curl --silent --show-error --fail --max-time {5 * LIMIT} {URL.replace('ready', 'live')}")
    restarts = lambda: int(machine.sh("systemctl show --property=NRestarts --value sarban.service"))
    wait_for("more starts fail than systemd allows in ten seconds by default", lambda: restarts() > 6)
    machine.sh("chown sarban:sarban /var/lib/sarban/db.sqlite3")
    wait_for("the client has its answer", lambda: machine.state("client.service")[1] == "inactive")
    wait_for("the panel is ready again", machine.ready)
    assert machine.state("sarban.socket") == ("enabled", "active")


def upgraded(machine, second):
    main, of_edge = (f"systemctl show --property=MainPID --value {unit}" for unit in ("sarban", "sarban-edge"))
    before, edge_before = machine.sh(main), machine.sh(of_edge)
    with (requests := Requests(machine)):
        machine.install(second)
        wait_for("another process serves", lambda: machine.sh(main) not in ("0", before) and machine.ready())
    wait_for("another edge serves", lambda: machine.sh(of_edge) not in ("0", edge_before) and edge_ready(machine))
    assert not requests.failures, f"{len(requests.failures)} of {requests.answers} failed: {requests.failures[:3]}"
    machine.has("/etc/sarban", "root:sarban 750")
    machine.has("/etc/sarban/sarban.env", "root:sarban 640")
    machine.sh("grep -q 'by the operator' /etc/sarban/sarban.env")
    machine.has("/etc/sarban/edge.env", "root:root 600")
    machine.sh("grep -q ^UVICORN_PORT=8100 /etc/sarban/edge.env")
    assert machine.state() == machine.state("sarban-edge.service") == ("enabled", "active")
    # What the operator has stopped stays so, and modes are theirs.
    machine.sh("systemctl stop sarban.socket sarban.service sarban-edge && chmod 0600 /etc/sarban/sarban.env")
    machine.install(second)
    assert machine.state() == machine.state("sarban-edge.service") == ("enabled", "inactive")
    machine.has("/etc/sarban/sarban.env", "root:sarban 600")
    machine.sh("systemctl start sarban.socket sarban.service sarban-edge")
    wait_for("the panel is ready again", machine.ready)
    wait_for("the edge is ready again", lambda: edge_ready(machine))


def removed(machine, second):
    machine.documented("apt-get remove -y sarban")
    assert machine.state() == ("not-found", "inactive"), machine.state()
    assert machine.state("sarban-edge.service") == ("not-found", "inactive"), machine.state("sarban-edge.service")
    assert not machine.ready() and not machine.sh("cat /proc/[0-9]*/comm | grep -x sarban || true")
    assert not machine.sh("find /etc/systemd/system -name 'sarban*'")
    machine.has("/usr/bin/sarban")
    machine.has("/etc/sarban/sarban.env", "root:sarban 600")
    machine.has("/etc/sarban/edge.env", "root:root 600")
    machine.has("/var/lib/sarban/db.sqlite3", "sarban:sarban 600")
    machine.has("/var/lib/sarban-edge/subscriptions.copy", "sarban:sarban 600")
    machine.install(second)
    assert machine.state() == machine.state("sarban-edge.service") == ("disabled", "inactive")
    machine.sh("grep -q ^UVICORN_PORT=8100 /etc/sarban/edge.env")
    assert "root" in machine.sh("sarban-run admin list"), "the data must be used again"


def purged(machine, second):
    output = machine.documented("apt-get purge -y sarban")
    for folder in ("/var/lib/sarban", "/var/lib/sarban-edge"):
        assert f"the data in {folder} stays" in output, output
    machine.has("/var/lib/sarban-edge/subscriptions.copy", "sarban:sarban 600")
    machine.has("/etc/sarban")
    machine.has("/var/lib/sarban/db.sqlite3", "sarban:sarban 600")
    machine.install(second)
    machine.has("/etc/sarban/sarban.env", "root:sarban 640")
    machine.has("/etc/sarban/edge.env", "root:root 600")
    assert "root" in machine.sh("sarban-run admin list"), "the data must be used again"
    machine.documented("SARBAN_PURGE_DATA=1 apt-get purge -y sarban")
    machine.has("/var/lib/sarban")
    machine.has("/var/lib/sarban-edge")
    assert not machine.sh(r"find / -xdev \( -user sarban -o -group sarban \)")
    assert not machine.sh("systemctl --failed --no-legend --plain")


def by_hand(machine, program):
    """Runs the README's commands for an installation without a package, except for the build."""
    section = README.read_text().split("## Under systemd, without a package")[1]
    install, command = (block.replace("sudo ", "") for block in re.findall(r"```sh\n(.*?)```", section, re.S))
    build, _, install = install.partition("\n")
    assert build.startswith("cargo build"), build
    source = machine.root / "source"
    (source / "target/release").mkdir(parents=True)
    shutil.copy(program, source / "target/release/sarban")
    shutil.copytree(ROOT / "deploy/single", source / "deploy/single")
    # A purge of the package leaves the user.
    machine.sh(f"userdel sarban && cd /source && set -e\n{install}")
    wait_for("the panel is ready", machine.ready)
    machine.has("/etc/sarban/sarban.env", "root:root 600")
    machine.has("/var/lib/sarban", "sarban:sarban 700")
    machine.sh("echo SARBAN_ADMIN_PASSWORD=a-long-password >>/etc/sarban/sarban.env")
    machine.sh(command)
    assert "root" in machine.sh(command.replace("create -u root --sudo", "list"))
    # The upgrade, which the sentence after the commands describes.
    machine.sh("cd /source && install target/release/sarban /usr/local/bin/ && systemctl restart sarban")
    wait_for("the panel is ready again", machine.ready)
    assert "OK" in machine.sh("systemd-analyze security sarban | tail -n 1")


def checks(machine, folder):
    first, second = builds(sys.argv[1], folder)
    return (
        ("lintian", lambda: run("lintian", "--allow-root", "--fail-on", "error,warning", first)),
        ("installed", lambda: installed(machine, first)),
        ("started", lambda: started(machine)),
        ("an edge beside it", lambda: edge_started(machine)),
        ("started again after kill -9", lambda: killed(machine)),
        ("answers after failed starts", lambda: failed(machine)),
        ("upgraded", lambda: upgraded(machine, second)),
        ("removed", lambda: removed(machine, second)),
        ("purged", lambda: purged(machine, second)),
        ("installed by hand", lambda: by_hand(machine, sys.argv[1])),
    )


if __name__ == "__main__":
    in_machine(README, checks)
