#!/usr/bin/env python3
"""Writes the list of the program's components (SBOM) as CycloneDX 1.6: crates of Cargo.lock that are built for the target, and
packages of dashboard/package-lock.json that the dashboard contains. Equal inputs give equal bytes.

    python3 deploy/components.py x86_64-unknown-linux-gnu >sarban.cdx.json
"""

import base64
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib
import urllib.parse
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[1]


def output(*words):
    return subprocess.run(words, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE).stdout


def component(kind, name, version, licence, **more):
    group, _, short = name.rpartition("/")
    parts = [urllib.parse.quote(part, safe="") for part in (kind, group, short) if part]
    reference = f"pkg:{'/'.join(parts)}@{urllib.parse.quote(version, safe='')}"
    described = {"type": "library", "bom-ref": reference, "name": short, "version": version, "purl": reference}
    if group:
        described["group"] = group
    if licence:
        # Old crates separate the names of licences by slashes.
        described["licenses"] = [{"expression": re.sub(" */ *", " OR ", licence)}]
    return described | more


def crates(target):
    """The crates, the program first, and which of them need which."""
    metadata = json.loads(output("cargo", "metadata", "--locked", "--format-version=1", f"--filter-platform={target}"))
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    locked = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    checksums = {(it["name"], it["version"]): it["checksum"] for it in locked if "checksum" in it}

    def needs(node):
        # Kinds are null, "build" and "dev"; those of tests are not part of the program.
        return sorted({dep["pkg"] for dep in node["deps"] if any(it["kind"] != "dev" for it in dep["dep_kinds"])})

    root = metadata["resolve"]["root"]
    reached, waiting = {}, [root]
    while waiting:
        crate = waiting.pop()
        if crate not in reached:
            package = packages[crate]
            more = {"scope": "required"} if crate != root else {"type": "application"}
            if checksum := checksums.get((package["name"], package["version"])):
                more["hashes"] = [{"alg": "SHA-256", "content": checksum}]
            reached[crate] = component("cargo", package["name"], package["version"], package["license"], **more)
            waiting += needs(nodes[crate])
    edges = {it["bom-ref"]: sorted(reached[other]["bom-ref"] for other in needs(nodes[crate])) for crate, it in reached.items()}
    return reached.pop(root), list(reached.values()), edges


def scripts():
    """The dashboard's packages, without those that only build or test it, and without their relations."""
    for path, package in json.loads((ROOT / "dashboard/package-lock.json").read_text())["packages"].items():
        if path and not package.get("dev") and not package.get("devOptional") and not package.get("optional"):
            algorithm, _, digest = package["integrity"].partition("-")
            hashes = [{"alg": algorithm.upper().replace("SHA", "SHA-"), "content": base64.b64decode(digest).hex()}]
            name = path.rpartition("node_modules/")[2]
            yield component("npm", name, package["version"], package.get("license"), hashes=hashes, scope="required")


def main():
    program, libraries, edges = crates(sys.argv[1])
    libraries += {it["bom-ref"]: it for it in scripts()}.values()
    libraries.sort(key=lambda it: it["bom-ref"])
    edges |= {it["bom-ref"]: [] for it in libraries if it["bom-ref"] not in edges}
    edges[program["bom-ref"]] += [it["bom-ref"] for it in libraries if it["purl"].startswith("pkg:npm/")]
    made = int(os.environ.get("SOURCE_DATE_EPOCH") or output("git", "log", "-1", "--format=%ct"))
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": "",
        "version": 1,
        "metadata": {
            "timestamp": datetime.datetime.fromtimestamp(made, datetime.UTC).isoformat().replace("+00:00", "Z"),
            "component": program,
        },
        "components": libraries,
        "dependencies": [{"ref": ref, "dependsOn": others} for ref, others in sorted(edges.items())],
    }
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(document))}"
    json.dump(document, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
