# Reads a database file as a program with the old panel's schema does, and prints as JSON what it can't take.
import datetime
import json
import math
import re
import sqlite3
import sys
import warnings

warnings.simplefilter("ignore")
ENUMS = {
    ("users", "data_limit_reset_strategy"): "no_reset day week month year",
    ("users", "expire_strategy"): "NEVER FIXED_DATE START_ON_FIRST_USE",
    ("nodes", "status"): "healthy unhealthy disabled",
    ("nodes", "connection_backend"): "grpcio grpclib",
    ("inbounds", "protocol"): "VMess VLESS Trojan Shadowsocks Shadowsocks2022 Hysteria2 WireGuard TUIC ShadowTLS",
    ("hosts", "security"): "inbound_default none tls",
    ("hosts", "alpn"): "none h2 http/1.1 h2,http/1.1 h3 h3,h2 h3,h2,http/1.1",
    ("hosts", "fingerprint"): "none chrome firefox safari ios android edge 360 qq random randomized",
}
RESULTS = "links base64-links xray sing-box clash clash-meta template block".split()
file = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
file.text_factory = bytes
found = []


def check(kind, value):
    """Why a column of this type can't take the value, if it can't."""
    length = re.match(r"VARCHAR\((\d+)\)", kind)
    if length or kind in ("TEXT", "DATETIME", "JSON"):
        if not isinstance(value, bytes):
            return f"{value!r} is no text"
        value = value.decode()
        if "\0" in value:
            return "a NUL character"
        # On SQLite the column is as old as its first values; the other engines have room for all of the enum.
        if length and len(value) > int(length[1]) and column != "alpn":
            return "too long"
        if kind == "DATETIME":
            datetime.datetime.strptime(value, "%Y-%m-%d %H:%M:%S.%f")
        if kind == "JSON":
            json.loads(value)
    elif kind in ("INTEGER", "BIGINT", "BOOLEAN"):
        if not isinstance(value, int):
            return f"{value!r} is no integer"
        if kind == "BOOLEAN" and value not in (0, 1):
            return f"{value} is no boolean"
        # The duration has 64 bits on the other engines.
        if kind == "INTEGER" and column != "usage_duration" and not -(2**31) <= value < 2**31:
            return "beyond 32 bits"
    elif kind == "FLOAT":
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            return f"{value!r} is no number"
    return None


tables = [row[0].decode() for row in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
for table in tables:
    columns = [(row[1].decode(), row[2].decode()) for row in file.execute(f'PRAGMA table_info("{table}")')]
    for row in file.execute(f'SELECT * FROM "{table}"'):
        for (column, kind), value in zip(columns, row):
            if value is None:
                continue
            try:
                problem = check(kind, value)
                words = ENUMS.get((table, column))
                if words and value.decode() not in words.split():
                    problem = f"{value!r} is none of the enum"
            except Exception as error:
                problem = str(error)
            if problem:
                found.append([table, str(row[0]), column, problem])
# Rules are no rows: what is left of them must work.
settings = json.loads(file.execute("SELECT subscription FROM settings").fetchone()[0])
for rule in settings["rules"]:
    re.compile(rule["pattern"])
    assert rule["result"] in RESULTS, rule
for name in ("template_on_acceptance", "profile_title", "support_link", "update_interval"):
    assert name in settings, name
assert file.execute("PRAGMA foreign_key_check").fetchall() == []
assert file.execute("PRAGMA integrity_check").fetchall() == [(b"ok",)]
for table in ("settings", "jwt", "system"):
    assert file.execute(f"SELECT COUNT(*) FROM {table}").fetchone() == (1,), table
print(json.dumps(found))
