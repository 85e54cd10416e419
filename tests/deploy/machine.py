"""A Debian with systemd, booted in a container: what package.py and edge_unit.py install into. It needs root."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
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
    """A booted Debian with a network of its own, in which commands of a README are run."""

    def __init__(self, folder, readme):
        self.readme = readme
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
        journal = lambda: self.try_("journalctl --unit='*sarban*' --no-pager -n 40 2>/dev/null")[1]
        assert code == 0, f"{command} failed with {code}:\n{output}{journal()}"
        return output.strip()

    def documented(self, command, readme=None):
        """Runs a command that the README shows, or another one, which writes `sudo` before it."""
        readme = readme or self.readme
        assert f"sudo {command}" in readme.read_text(), f"{readme} does not show: sudo {command}"
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

    def kill_often(self, unit):
        """Kills a service with SIGKILL. systemd gives one up after five starts in ten seconds, unless its unit says otherwise."""
        main = lambda: self.sh(f"systemctl show --property=MainPID --value {unit}")
        for count in range(1, 7):
            before = main()
            self.sh(f"systemctl kill --signal=KILL {unit}")
            is_back = lambda: main() not in ("0", before) and self.state(unit)[1] == "active"
            wait_for(f"systemd starts {unit}, which was killed for the {count}th time", is_back)

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


def in_machine(readme, checks):
    """Runs each of the named checks in one machine, and says which have passed. `checks` is called with the machine and a folder."""
    if lacking := [package for tool, package in TOOLS.items() if not shutil.which(tool)]:
        sys.exit(f"install what is missing (on Debian: apt-get install {' '.join(lacking)})")
    if os.getuid() != 0:
        sys.exit("containers need root: run this with sudo")
    with tempfile.TemporaryDirectory(prefix="sarban.machine.") as name:
        folder = pathlib.Path(name)
        machine = Machine(folder, readme)
        try:
            for what, check in checks(machine, folder):
                check()
                print(f"✓ {what}", flush=True)
        finally:
            machine.stop()
