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
    machine.has("/usr/lib/systemd/system/sarban.service", "root:root 644")
    machine.has("/etc/sarban", "root:sarban 750")
    machine.has("/etc/sarban/sarban.env", "root:sarban 640")
    machine.has("/var/lib/sarban", "sarban:sarban 700")
    assert machine.sh("getent passwd sarban").endswith(":/var/lib/sarban:/usr/sbin/nologin")
    assert machine.state() == ("disabled", "inactive"), f"the installation must start nothing: {machine.state()}"
    assert machine.state("sarban.socket") == ("disabled", "inactive")


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
    main = "systemctl show --property=MainPID --value sarban"
    before = machine.sh(main)
    with (requests := Requests(machine)):
        machine.install(second)
        wait_for("another process serves", lambda: machine.sh(main) not in ("0", before) and machine.ready())
    assert not requests.failures, f"{len(requests.failures)} of {requests.answers} failed: {requests.failures[:3]}"
    machine.has("/etc/sarban", "root:sarban 750")
    machine.has("/etc/sarban/sarban.env", "root:sarban 640")
    machine.sh("grep -q 'by the operator' /etc/sarban/sarban.env")
    assert machine.state() == ("enabled", "active")
    # What the operator has stopped stays so, and modes are theirs.
    machine.sh("systemctl stop sarban.socket sarban.service && chmod 0600 /etc/sarban/sarban.env")
    machine.install(second)
    assert machine.state() == ("enabled", "inactive")
    machine.has("/etc/sarban/sarban.env", "root:sarban 600")
    machine.sh("systemctl start sarban.socket sarban.service")
    wait_for("the panel is ready again", machine.ready)


def removed(machine, second):
    machine.documented("apt-get remove -y sarban")
    assert machine.state() == ("not-found", "inactive"), machine.state()
    assert not machine.ready() and not machine.sh("cat /proc/[0-9]*/comm | grep -x sarban || true")
    assert not machine.sh("find /etc/systemd/system -name 'sarban*'")
    machine.has("/usr/bin/sarban")
    machine.has("/etc/sarban/sarban.env", "root:sarban 600")
    machine.has("/var/lib/sarban/db.sqlite3", "sarban:sarban 600")
    machine.install(second)
    assert machine.state() == ("disabled", "inactive")
    assert "root" in machine.sh("sarban-run admin list"), "the data must be used again"


def purged(machine, second):
    output = machine.documented("apt-get purge -y sarban")
    assert "the data in /var/lib/sarban stays" in output, output
    machine.has("/etc/sarban")
    machine.has("/var/lib/sarban/db.sqlite3", "sarban:sarban 600")
    machine.install(second)
    machine.has("/etc/sarban/sarban.env", "root:sarban 640")
    assert "root" in machine.sh("sarban-run admin list"), "the data must be used again"
    machine.documented("SARBAN_PURGE_DATA=1 apt-get purge -y sarban")
    machine.has("/var/lib/sarban")
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
        ("started again after kill -9", lambda: killed(machine)),
        ("answers after failed starts", lambda: failed(machine)),
        ("upgraded", lambda: upgraded(machine, second)),
        ("removed", lambda: removed(machine, second)),
        ("purged", lambda: purged(machine, second)),
        ("installed by hand", lambda: by_hand(machine, sys.argv[1])),
    )


if __name__ == "__main__":
    in_machine(README, checks)
