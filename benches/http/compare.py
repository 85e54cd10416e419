#!/usr/bin/env python3
"""Prints what got slower or larger by more than 10 % between two files of figures: compare.py BEFORE.json AFTER.json

`make bench` does so with the figures that were stored before. Compared are CPU times, requests per second, medians,
durations of tasks and memory; the 99th percentile is left out, because it differs by more from run to run. Figures that only
one of the files has are not compared.

>>> before = [{"users": 10, "engine": "sqlite", "rows": {"links": {"per_second": 100, "cpu_ms": 0.04, "database_cpu_ms": 0.01}}}]
>>> after = [{"users": 10, "engine": "sqlite", "rows": {"links": {"per_second": 95, "cpu_ms": 0.04, "database_cpu_ms": 0.02}}}]
>>> for line in slower(before, after): print(line)
10 users, sqlite, links: CPU ms 0.05 → 0.06 (+20 %)
>>> slower(after, before)
[]
>>> tasks = lambda seconds: {"rows": [{"task": "resets", "seconds": seconds, "items": seconds}, {"task": "review", "seconds": 1}]}
>>> slower(tasks(2), tasks(3))
['resets: seconds 2 → 3 (+50 %)']
>>> slower(tasks(0.02), tasks(0.03)), slower([], tasks(1))
([], [])
"""

import json
import statistics
import sys

# A difference of at most 10 % is not printed.
FACTOR = 1.1

# Fields that tell rows apart.
NAMES = ("users", "engine", "workers", "processes", "connections", "load", "task", "work", "name")

# Fields where more is worse, with the smallest difference that counts. CPU times of the panel and the database are added up.
MORE_IS_WORSE = {
    "CPU ms": 0.003,
    "p50_ms": 0.05,
    "seconds": 0.05,
    "longest_run": 0.05,
    "cpu_seconds": 0.1,
    "database_cpu_seconds": 0.1,
    "idle_mb": 2,
    "resident_mb": 4,
    "most_mb": 4,
}

# What a route that does nothing took, measured beside each route: how fast the machine was.
BARE = "bare_cpu_ms"

# Fields where less is worse.
LESS_IS_WORSE = ("per_second", "capacity", "answered", "afterwards")


def figures(document, path=()):
    """The figures of a document by their path: the names of the rows around them, and their own.

    >>> figures([{"users": 10, "rows": {"links": {"p50_ms": 1, "per_second": 5}}}])
    {('10 users', 'links', 'p50_ms'): 1, ('10 users', 'links', 'per_second'): 5}
    """
    if isinstance(document, list):
        return {key: value for row in document for key, value in figures(row, path).items()}
    if not isinstance(document, dict):
        return {}
    for name in NAMES:
        if name in document and not isinstance(document[name], (dict, list)):
            value = document[name]
            path += (f"{value} {name}" if name in ("users", "workers", "processes", "connections") else str(value),)
    found = {}
    if "cpu_ms" in document:
        found[*path, "CPU ms"] = round(document["cpu_ms"] + document.get("database_cpu_ms", 0), 4)
    if isinstance(document.get("minutes"), list):
        found[*path, "most_mb"] = max(document["minutes"], default=None)
    for name, value in document.items():
        if name in MORE_IS_WORSE or name in LESS_IS_WORSE or name == BARE:
            found[*path, name] = value
        elif name == "rows":
            found.update(figures(value, path))
        elif isinstance(value, dict):
            found.update(figures(value, (*path, name)))
    return found


def slower(before, after):
    """A line for each figure that is worse by more than 10 %, the worst first."""
    before, lines = figures(before), []
    for path, now in figures(after).items():
        then = before.get(path)
        if not then or now is None or path[-1] == BARE:
            continue
        least = MORE_IS_WORSE.get(path[-1])
        worse = now / then if least is not None else then / max(now, 1e-9)
        if worse > FACTOR and abs(now - then) >= (least or 0):
            where = ", ".join(path[:-1])
            sign = f"+{100 * (now / then - 1):.0f} %" if now > then else f"−{100 * (1 - now / then):.0f} %"
            lines.append((worse, f"{where}: {path[-1].replace('_', ' ')} {then:g} → {now:g} ({sign})"))
    return [line for _, line in sorted(lines, key=lambda it: -it[0])]


def bare_routes(before, after):
    """The CPU times of the bare route, before and after, where both are known."""
    before = figures(before)
    return [(before[path], now) for path, now in figures(after).items() if path[-1] == BARE and now and before.get(path)]


def report(before, after, of):
    """Prints the comparison with the figures that were stored before, if there were any."""
    common = {path for path in figures(before).keys() & figures(after).keys() if path[-1] != BARE}
    if not common:
        print(f"\n{of}: nothing to compare with")
        return
    lines = slower(before, after)
    bare = [after_bare / before_bare for before_bare, after_bare in bare_routes(before, after)]
    if bare:
        print(f"\n{of}: the bare route took {100 * (statistics.median(bare) - 1):+.0f} % CPU time: so much slower was the machine")
    print(f"\n{of}: {len(lines)} of {len(common)} figures are worse by more than 10 % than those stored before")
    for line in lines:
        print("  " + line)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    old, new = (json.load(open(path, encoding="utf-8")) for path in sys.argv[1:])
    report(old, new, sys.argv[2])
    sys.exit(bool(slower(old, new)))
