#!/usr/bin/env python3
"""Checks that deploy/components.py writes the same bytes twice, that the schema of CycloneDX accepts them, and that they name what
is in the program: what tests alone need is not.

    PYTHONPATH=FOLDER_WITH_CYCLONEDX python3 tests/deploy/components.py
"""

import json
import pathlib
import subprocess
import sys
import tomllib

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = pathlib.Path(__file__).resolve().parents[2]


def written():
    words = [sys.executable, ROOT / "deploy/components.py", "x86_64-unknown-linux-gnu"]
    return subprocess.run(words, check=True, text=True, stdout=subprocess.PIPE).stdout


text = written()
document = json.loads(text)
names = {it["purl"].rpartition("@")[0].removeprefix("pkg:") for it in document["components"]}
manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())
direct = {f"cargo/{name}" for kind in ("dependencies", "build-dependencies") for name in manifest[kind]}
scripts = json.loads((ROOT / "dashboard/package.json").read_text())
shown = {f"npm/{name.replace('@', '%40')}" for name in scripts["dependencies"]}
tools = {f"npm/{name.replace('@', '%40')}" for name in scripts["devDependencies"]}

wrong = []
if text != written():
    wrong.append("two runs differ")
if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
    wrong.append(f"the schema refuses it: {error}")
wrong += [f"{name} is missing" for name in sorted((direct | shown) - names)]
# Other crates of tests can be in the program too, because a dependency needs them.
tests = {"cargo/criterion", "cargo/proptest", "cargo/insta"}
wrong += [f"{name} is not in the program" for name in sorted((tools | tests) & names)]
wrong += [f"{it['purl']} has no checksum" for it in document["components"] if not it.get("hashes")]
wrong += [f"{it['purl']} has no licence" for it in document["components"] if not it.get("licenses")]
references = [it["bom-ref"] for it in document["components"]] + [document["metadata"]["component"]["bom-ref"]]
if sorted(references) != sorted(it["ref"] for it in document["dependencies"]):
    wrong.append("components and dependencies differ")
print("\n".join(wrong), end="\n" if wrong else "")
sys.exit(bool(wrong))
