#!/usr/bin/env python3
"""Checks that .dockerignore does not exclude a file that Cargo.toml or the sources name, and excludes secrets."""

import fnmatch
import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]


def left_out(path, rules):
    """Decides as Docker does: the last rule that matches the path or a folder above it applies."""
    decided = False
    parents = [path, *(str(parent) for parent in pathlib.PurePosixPath(path).parents if str(parent) != ".")]
    for rule in rules:
        back, pattern = rule.startswith("!"), rule.lstrip("!").rstrip("/")
        # `**/x` matches x at any depth; `*` does not match a slash.
        anywhere = pattern.startswith("**/")
        pattern = pattern.removeprefix("**/")
        for name in parents:
            candidates = [name, pathlib.PurePosixPath(name).name] if anywhere else [name]
            if any(c.count("/") == pattern.count("/") and fnmatch.fnmatchcase(c, pattern) for c in candidates):
                decided = not back
    return decided


def needed():
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())
    yield from ("Cargo.toml", "Cargo.lock", "build.rs", "src/main.rs", "src/lib.rs")
    for kind in ("bin", "example", "test", "bench"):
        for target in manifest.get(kind, []):
            yield target.get("path", f"{'benches' if kind == 'bench' else kind + 's'}/{target['name']}.rs")
    for source in [ROOT / "build.rs", *(ROOT / "src").rglob("*.rs")]:
        for name in re.findall(r'include_(?:str|bytes|dir)!\(\s*"([^"]+)"', source.read_text()):
            yield (source.parent / name).resolve().relative_to(ROOT).as_posix()
    for folder in ("migrations", "proto"):
        for path in (ROOT / folder).rglob("*.*"):
            yield path.relative_to(ROOT).as_posix()


rules = [line.strip() for line in (ROOT / ".dockerignore").read_text().splitlines() if line.strip() and line[0] != "#"]
wrong = [path for path in dict.fromkeys(needed()) if not (ROOT / path).exists() or left_out(path, rules)]
for path in wrong:
    print(f".dockerignore excludes {path}, which the build needs")
secrets = [path for path in (".env", "db.sqlite3", "target/debug/sarban", ".git/config") if not left_out(path, rules)]
for path in secrets:
    print(f".dockerignore does not exclude {path} from the image's context")
sys.exit(bool(wrong or secrets))
