#!/usr/bin/env python3
"""Checks deploy/kubernetes against the schemas of Kubernetes, and that its files fit together and its README to them.

    PYTHONPATH=FOLDER_WITH_KUBERNETES_VALIDATE python3 tests/deploy/kubernetes.py
"""

import pathlib
import re
import sys

import kubernetes_validate
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy/kubernetes"
OLDEST, NEWEST = 30, int(kubernetes_validate.latest_version().split(".")[1])
# Fields of pods that the Pod Security Standard "restricted" asks for.
RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}

documents = {path.name: list(yaml.safe_load_all(path.read_text())) for path in sorted(FOLDER.glob("*.yaml"))}
objects = {(it["kind"], it["metadata"]["name"]): it for several in documents.values() for it in several}
wrong = []


def expect(condition, what):
    if not condition:
        wrong.append(what)


for name, several in documents.items():
    for document in several:
        for minor in range(OLDEST, NEWEST + 1):
            try:
                kubernetes_validate.validate(document, f"1.{minor}", strict=True)
            except Exception as error:
                wrong.append(f"{name}, {document['kind']}: Kubernetes 1.{minor} refuses it: {getattr(error, 'message', error)}")
        expect(document["metadata"]["labels"].get("app.kubernetes.io/name") == "sarban", f"{name}: no label with the name")

deployment, job = objects["Deployment", "sarban"]["spec"], objects["Job", "sarban-migrate"]["spec"]
panel, settings = deployment["template"]["spec"]["containers"][0], objects["ConfigMap", "sarban"]["data"]
labels = deployment["template"]["metadata"]["labels"]

for pod in (deployment["template"]["spec"], job["template"]["spec"]):
    container, volumes = pod["containers"][0], {volume["name"]: volume for volume in pod["volumes"]}
    name = container["name"]
    security = container["securityContext"]
    expect(all(security.get(key) == value for key, value in RESTRICTED.items()), f"{name}: not restricted")
    context = pod["securityContext"]
    expect(context["runAsNonRoot"] and context["seccompProfile"]["type"] == "RuntimeDefault", f"{name}: not restricted")
    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.M).groups()
    expect((str(context["runAsUser"]), str(context["fsGroup"])) == user, f"{name}: another user than the image's")
    expect(pod["automountServiceAccountToken"] is False, f"{name}: has a token of the cluster's API")
    expect(container["image"] == panel["image"], f"{name}: another image than the panel's")
    expect({it["name"] for it in container["volumeMounts"]} == volumes.keys(), f"{name}: volumes and mounts differ")
    for volume in volumes.values():
        if secret := volume.get("secret"):
            expect(("Secret", secret["secretName"]) in objects, f"{name}: no secret {secret['secretName']}")
        if claim := volume.get("persistentVolumeClaim"):
            expect(("PersistentVolumeClaim", claim["claimName"]) in objects, f"{name}: no claim {claim['claimName']}")
    for source in container["envFrom"]:
        expect(("ConfigMap", source["configMapRef"]["name"]) in objects, f"{name}: no such ConfigMap")
    mounts = {it["name"]: it["mountPath"] for it in container["volumeMounts"]}
    files = {value.removeprefix(mounts["secrets"] + "/") for key, value in settings.items() if key.endswith("_FILE")}
    expect(files == objects["Secret", "sarban"]["stringData"].keys(), f"{name}: settings and secrets name other files: {files}")
    expect(settings["DATA_DIR"].startswith(mounts["data"] + "/"), f"{name}: DATA_DIR is not in the volume")

for kind in ("Service", "PodDisruptionBudget"):
    selector = objects[kind, "sarban"]["spec"]["selector"]
    expect(selector.get("matchLabels", selector) == labels, f"{kind}: does not select the panels")
expect(deployment["selector"]["matchLabels"] == labels, "Deployment: does not select the panels")
expect(job["template"]["metadata"]["labels"] != labels, "the Service would send requests to the Job")
expect(deployment["replicas"] > objects["PodDisruptionBudget", "sarban"]["spec"]["maxUnavailable"], "nobody would serve")

port = panel["ports"][0]
probes = {kind: panel[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
expect(all(probe["port"] == port["name"] for probe in probes.values()), "a probe asks another port")
expect([it["path"] for it in probes.values()] == ["/health/live", "/health/live", "/health/ready"], "probes ask other paths")
expect(f"EXPOSE {port['containerPort']}\n" in (ROOT / "Dockerfile").read_text(), "the image listens elsewhere")
grace = deployment["template"]["spec"]["terminationGracePeriodSeconds"]
stopping = panel["lifecycle"]["preStop"]["sleep"]["seconds"] + int(settings["SHUTDOWN_GRACE_SECONDS"])
expect(grace >= stopping + 2, f"terminationGracePeriodSeconds is {grace}, stopping takes {stopping}")

readme = (FOLDER / "README.md").read_text()
named = set(re.findall(r"-f deploy/kubernetes/(\S+)", readme))
expect(named == documents.keys() - {"secret.example.yaml"}, f"README.md applies other files: {sorted(named)}")
for kind, name in re.findall(r"\b(job|deployment|secret generic)[/ ]([a-z-]+)", "\n".join(re.findall(r"```sh\n(.*?)```", readme, re.S))):
    expect((kind.split()[0].capitalize(), name) in objects, f"README.md names {kind} {name}, which is not in the files")
keys = set(re.findall(r"--from-literal=(\w+)=", readme))
expect(keys == objects["Secret", "sarban"]["stringData"].keys(), f"README.md makes another secret: {sorted(keys)}")
expect(f"Kubernetes 1.{OLDEST} " in readme, f"README.md names another version than 1.{OLDEST}")

print("\n".join(wrong), end="\n" if wrong else "")
sys.exit(bool(wrong))
