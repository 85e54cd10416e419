#!/usr/bin/env python3
"""Tests the Debian package with dpkg and systemd in a container: installs, upgrades under requests, removes and purges it,
checks files, owners and modes, and runs the commands of deploy/single/README.md. It needs root.

    python3 tests/deploy/package.py target/debug/sarban
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "deploy/single/README.md").read_text()
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "sarban-test-programs"
TOOLS = {"mmdebstrap": "mmdebstrap", "systemd-nspawn": "systemd-container", "nsenter": "util-linux", "lintian": "lintian"}
LIMIT = 60
URL = "http://127.0.0.1:8000/health/ready"


def run(*words, **options):
    done = subprocess.run(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600, **options)
    assert done.returncode == 0, f"{' '.join(map(str, words))} failed:\n{done.stdout}"
    return done.stdout


def wait_for(what, condition):
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, f"not within {LIMIT} s: {what}"
        time.sleep(0.1)


def base():
    """A Debian of this machine's release with systemd, made once. Written beside its name, then renamed."""
    release = dict(line.split("=", 1) for line in pathlib.Path("/etc/os-release").read_text().splitlines() if "=" in line)
    archive = CACHE / f"{release['VERSION_CODENAME']}-systemd.tar"
    if not archive.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        begun = archive.with_suffix(f".{os.getpid()}.tar")
        packages = "systemd,systemd-sysv,dbus,adduser,ca-certificates,curl"
        run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", release["VERSION_CODENAME"], begun)
        begun.rename(archive)
    return archive


class Machine:
    """A booted Debian with a network of its own."""

    def __init__(self, folder):
        self.root = folder / "root"
        self.root.mkdir()
        run("tar", "-C", self.root, "-xf", base())
        self.log = (folder / "console").open("w+")
        self.process = subprocess.Popen(
            ["systemd-nspawn", f"--directory={self.root}", "--register=no", "--keep-unit", "--private-network", "--boot",
             "--console=pipe", "systemd.log_target=console"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        wait_for("systemd-nspawn starts an init", lambda: self.init() is not None)
        self.enter = ["nsenter", "--target", self.init(), "--mount", "--pid", "--uts", "--ipc", "--net"]
        booted = lambda: self.try_("systemctl is-system-running")[1].strip() in ("running", "degraded")
        wait_for("the machine has booted", booted)

    def init(self):
        if self.process.poll() is not None:
            raise AssertionError(f"systemd-nspawn ended:\n{self.console()}")
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return next((child for child in children if "systemd" in self.executable(child)), None)

    @staticmethod
    def executable(process):
        try:
            return os.readlink(f"/proc/{process}/exe")
        except OSError:
            return ""

    def console(self):
        self.log.seek(0)
        return self.log.read()

    def try_(self, command):
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
        done = subprocess.run([*self.enter, "sh", "-c", command], text=True, stdin=subprocess.DEVNULL, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)  # fmt: skip
        return done.returncode, done.stdout

    def sh(self, command):
        code, output = self.try_(command)
        assert code == 0, f"{command} failed with {code}:\n{output}{self.try_('journalctl -u sarban --no-pager -n 40')[1]}"
        return output.strip()

    def documented(self, command):
        """Runs a command that the README shows, which writes `sudo` before it."""
        assert f"sudo {command}" in README, f"deploy/single/README.md does not show: sudo {command}"
        return self.sh(command)

    def has(self, path, owner=None):
        """Checks owner, group and mode of a file; without them, that it does not exist."""
        code, output = self.try_(f"stat --format='%U:%G %a' {path}")
        assert (code != 0) if owner is None else (output.strip() == owner), f"{path}: expected {owner}, found {output}"

    def state(self, unit="sarban.service"):
        words = [self.try_(f"systemctl {verb} {unit}")[1].strip() for verb in ("is-enabled", "is-active")]
        return tuple("not-found" if "No such file" in word else word for word in words)

    def ready(self):
        return self.try_(f"curl --silent --fail --max-time 5 {URL}")[0] == 0

    def install(self, package, command="dpkg --install"):
        shutil.copy(package, self.root / "package.deb")
        return self.sh(f"{command} /package.deb")

    def stop(self):
        # systemd's signal for "halt".
        if self.init():
            os.kill(int(self.init()), 37)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


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
    section = README.split("## Under systemd, without a package")[1]
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


def main():
    if lacking := [package for tool, package in TOOLS.items() if not shutil.which(tool)]:
        sys.exit(f"install what is missing (on Debian: apt-get install {' '.join(lacking)})")
    if os.getuid() != 0:
        sys.exit("containers need root: run this with sudo")
    with tempfile.TemporaryDirectory(prefix="sarban.package.") as name:
        first, second = builds(sys.argv[1], pathlib.Path(name))
        run("lintian", "--allow-root", "--fail-on", "error,warning", first)
        print("✓ lintian", flush=True)
        machine = Machine(pathlib.Path(name))
        try:
            for what, check in (
                ("installed", lambda: installed(machine, first)),
                ("started", lambda: started(machine)),
                ("upgraded", lambda: upgraded(machine, second)),
                ("removed", lambda: removed(machine, second)),
                ("purged", lambda: purged(machine, second)),
                ("installed by hand", lambda: by_hand(machine, sys.argv[1])),
            ):
                check()
                print(f"✓ {what}", flush=True)
        finally:
            machine.stop()


if __name__ == "__main__":
    main()
