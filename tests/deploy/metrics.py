#!/usr/bin/env python3
"""Checks that the program has every metric that the dashboard and the alert rules use."""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
MONITORING = ROOT / "deploy/monitoring"
# Metrics of Prometheus itself.
BUILT_IN = {"up"}


def expressions():
    """The place and the PromQL expression of every panel and rule."""
    for panel in json.loads((MONITORING / "dashboard.json").read_text())["panels"]:
        for target in panel["targets"]:
            yield f"dashboard, {panel['title']}", target["expr"]
    for path in sorted(MONITORING.glob("*.rules.yml")):
        for match in re.finditer(r"^\s*expr: *(\|[-+]?\n(?:\s+.*\n)+?(?=\s*(?:for|labels|annotations|- alert):)|.*)", path.read_text(), re.M):
            yield path.name, match.group(1)


def counted():
    """The metrics in the source: names in `counter!("…"`, `gauge!("…"` and `histogram!("…"`."""
    source = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.rs"))
    return set(re.findall(r'(?:counter|gauge|histogram)!\(\s*"(\w+)"', source))


def asked(expression):
    """The metrics of a PromQL expression: names before a selector or a range."""
    without_labels = re.sub(r"(?:by|without|on|ignoring|group_left|group_right) *\([^)]*\)", " ", expression)
    without_strings = re.sub(r'"[^"]*"', '""', without_labels)
    names = re.findall(r"([a-zA-Z_:][\w:]*)\s*[{\[]", without_strings)
    names += re.findall(r"(?<![\w.{,=])([a-z]\w*_\w+)(?=\s*(?:[<>=!]=?|\)|$))", without_strings)
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}


known = counted()
unknown = [(place, name) for place, text in expressions() for name in sorted(asked(text) - known - BUILT_IN)]
for place, name in unknown:
    print(f"{place}: the program has no metric {name}")
sys.exit(bool(unknown))
