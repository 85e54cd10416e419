#!/usr/bin/env python3
"""Runs the commands of the Dockerfile that follow the build, and starts the program with nothing but the files that they collect
and those of the base image that it reads. It needs root.

    python3 tests/deploy/image.py target/debug/sarban
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT = 30
USER = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.M).groups()
# Of the base image: names of hosts and users.
BASE = {
    "etc/nsswitch.conf": "hosts: files dns\n",
    "etc/hosts": "127.0.0.1 localhost database.example\n",
    "etc/passwd": f"nonroot:x:{USER[0]}:{USER[1]}:nonroot:/home/nonroot:/sbin/nologin\n",
}


def collect(program, image):
    recipe = re.search(r"cargo build [^\n]*\\\n\s+&& ((?:.*\\\n)*.*)", (ROOT / "Dockerfile").read_text()).group(1)
    assert recipe.count("/image/usr/local/bin/sarban") > 1 and recipe.count("target/release/sarban") == 1, recipe
    recipe = recipe.replace("\\\n", " ").replace("target/release/sarban", program).replace("/image", str(image))
    subprocess.run(["sh", "-ec", recipe], check=True)
    for name, text in BASE.items():
        (image / name).parent.mkdir(parents=True, exist_ok=True)
        (image / name).write_text(text)
    (image / "tmp").mkdir()
    (image / "tmp").chmod(0o1777)
    data = (image / "owned/data").rename(image / "data")
    assert data.stat().st_mode & 0o777 == 0o700, "other users could read the panel's data"
    shutil.chown(data, *map(int, USER))


def inside(image, *words, net=None, **settings):
    """A command in the image, as its user. Without the network of a process, one of its own. Settings are environment variables."""
    network = ["nsenter", f"--net=/proc/{net}/ns/net"] if net else ["unshare", "--net"]
    settings |= {"DATA_DIR": "/data", "UVICORN_HOST": "127.0.0.1", "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    up = "" if net else "ip link set lo up && "
    start = f"{up}exec chroot --userspec={':'.join(USER)} {image} sarban {' '.join(words)}"
    words = [*network, "env", "-i", *(f"{name}={value}" for name, value in settings.items()), "sh", "-c", start]
    return subprocess.Popen(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def starts(image):
    panel = inside(image, "serve", DATABASE_URL="sqlite:////data/db.sqlite3")
    try:
        end = time.monotonic() + LIMIT
        while (probe := inside(image, "healthcheck", net=panel.pid)).wait(LIMIT) != 0:
            assert panel.poll() is None, panel.stdout.read()
            assert time.monotonic() < end, probe.stdout.read()
            time.sleep(0.2)
    finally:
        panel.terminate()
        panel.wait(LIMIT)


def resolves(image):
    output = inside(image, "migrate", DATABASE_URL="postgresql://sarban@database.example:1/sarban").communicate(timeout=LIMIT)[0]
    assert "refused" in output, f"expected a refused connection to the address of a name:\n{output}"


def main():
    with tempfile.TemporaryDirectory(prefix="sarban.image.") as name:
        image = pathlib.Path(name)
        image.chmod(0o755)
        collect(str(pathlib.Path(sys.argv[1]).resolve()), image)
        starts(image)
        resolves(image)
        sizes = {it.relative_to(image): it.stat().st_size for it in image.rglob("*") if it.is_file() and it.parts[-2] != "data"}
        program = sizes.pop(pathlib.Path("usr/local/bin/sarban"))
        assert sum(sizes.values()) < 5e6, f"more than the shared libraries: {sizes}"
        print(f"✓ the image: a program of {program / 1e6:.1f} MB and {sum(sizes.values()) / 1e6:.1f} MB of shared libraries")


if __name__ == "__main__":
    main()
