#!/usr/bin/env python3
"""Checks that docs/settings.md lists exactly the settings of src/config/names.rs, with defaults and marks of secrets, and that
the files of deploy/ and the image use no other names."""

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
known = declared.keys() | {"DATABASE_URL"} | {f"{name}_FILE" for name, (_, secret) in declared.items() if secret}
# Variables of the Compose files themselves, and of deploy/proxies/haproxy.cfg.
compose = {"SARBAN_IMAGE", "HOST_NAME", "PRIVATE_ADDRESS", "PUBLIC_ADDRESS", "PANEL_ADDRESS", "DATA_ADDRESS", "EDGE_ADDRESS"}
proxy = {"HTTP_BIND", "HTTPS_BIND", "CERTIFICATE", "PANEL_1", "PANEL_2"}
postgres = {f"POSTGRES_{end}" for end in ("USER", "DB", "PASSWORD_FILE", "INITDB_ARGS")}
USES = {
    "Dockerfile": (r"^ENV (\w+)=", set()),
    "deploy/**/*.service": (r"^Environment=(\w+)=", set()),
    "deploy/**/*.env": (r"^#?([A-Z][A-Z_]+)=", set()),
    "deploy/**/.env.example": (r"^#?([A-Z][A-Z_]+)=", compose),
    "deploy/debian/sarban-run": (r"-p Environment=(\w+)=", set()),
    "deploy/*/*.yaml": (r"^ *(?:- name: )?([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?::|$)", proxy | postgres),
}
used = 0
for pattern, (expression, others) in USES.items():
    assert (paths := list(ROOT.glob(pattern))), f"no file {pattern}"
    for path in paths:
        for name in re.findall(expression, path.read_text(), re.M):
            used += 1
            if name not in known | others:
                wrong.append(f"{path.relative_to(ROOT)} sets {name}, which is no setting")

print("\n".join(sorted(wrong)), end="\n" if wrong else "")
sys.exit(bool(wrong) or not declared or not used)
