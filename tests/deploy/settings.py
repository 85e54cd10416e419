#!/usr/bin/env python3
"""Checks that docs/settings.md lists exactly the settings of src/config/names.rs, with defaults and marks of secrets."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

source = (ROOT / "src/config/names.rs").read_text().split("#[cfg(test)]")[0]
declared = {
    name: (default, kind == "secret")
    for kind, name, default in re.findall(r'\b(plain|secret)\(\s*"([A-Z_]+)",\s*"([^"]*)"', source)
}
rows = re.findall(r"^\| `([A-Z_]+)` \| ([^|]*)\| ([^|]*)\|$", (ROOT / "docs/settings.md").read_text(), re.M)
documented = {name: (default.strip(), meaning.startswith("*secret*")) for name, default, meaning in rows}

wrong = [f"{name} is not in docs/settings.md" for name in declared.keys() - documented.keys()]
wrong += [f"{name} is in docs/settings.md and not in src/config/names.rs" for name in documented.keys() - declared.keys()]
wrong += [
    f"{name}: docs/settings.md says {documented[name]}, src/config/names.rs {declared[name]} (default, secret)"
    for name in declared.keys() & documented.keys()
    if declared[name] != documented[name]
]
print("\n".join(sorted(wrong)), end="\n" if wrong else "")
sys.exit(bool(wrong) or not declared)
