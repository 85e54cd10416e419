#!/usr/bin/env python3
"""Checks that deploy/dist.sh writes the same bytes twice, right checksums, a program that starts, and no file of the working folder
that is not in the repository.

    python3 tests/deploy/dist.py target/debug/sarban
"""

import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(*words, **options):
    return subprocess.run(words, check=True, text=True, stdout=subprocess.PIPE, **options).stdout


def check(archive, name):
    """Unpacks the program of an archive into this folder."""
    with tarfile.open(archive) as tar:
        base = archive.name.removesuffix(".tar.gz")
        packed = {it.name.removeprefix(f"{base}/") for it in tar if it.isfile()}
        assert all(it.uid == it.gid == 0 and it.mode & 0o022 == 0 for it in tar), "an owner or a mode of this machine"
        tar.extract(f"{base}/sarban", name, filter="data")
    tracked = set(run("git", "ls-files", cwd=ROOT).splitlines())
    assert packed - tracked == {"sarban"}, f"not in the repository: {sorted(packed - tracked)}"
    assert {"LICENSE", "deploy/single/sarban.service", "docs/settings.md"} <= packed, sorted(packed)
    assert run(pathlib.Path(name, base, "sarban"), "--version").startswith("sarban "), "the program does not start"


def main():
    with tempfile.TemporaryDirectory(prefix="sarban.dist.") as name:
        first, second = pathlib.Path(name, "first"), pathlib.Path(name, "second")
        for folder in (first, second):
            env = os.environ | {"STATIC_PROGRAM": sys.argv[1]}
            run(ROOT / "deploy/dist.sh", sys.argv[1], folder, "-Zgzip", "-z1", env=env)
        run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=first)
        listed = [line.split()[1] for line in (first / "SHA256SUMS").read_text().splitlines()]
        assert sorted([*listed, "SHA256SUMS"]) == sorted(it.name for it in first.iterdir()), listed
        assert {pathlib.Path(it).suffix for it in listed} == {".deb", ".gz", ".json"}, listed
        for it in first.iterdir():
            assert it.read_bytes() == (second / it.name).read_bytes(), f"{it.name} differs between two runs"
        archives = sorted(first.glob("*.tar.gz"))
        assert [it.name.rpartition("-")[2] for it in archives] == ["gnu.tar.gz", "musl.tar.gz"], archives
        for archive in archives:
            check(archive, name)
    print("✓ a release: package, archive, components, checksums")


if __name__ == "__main__":
    main()
