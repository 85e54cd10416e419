#!/usr/bin/env python3
"""Tests the back-up commands of docs/operations.md on SQLite and PostgreSQL: backs up a running panel, makes changes,
restores, and checks that the panel is as it was at the back-up, with tokens and links that still work.

    tests/support/services.sh run python3 tests/deploy/backup.py
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import urllib.parse

from proxies import PASSWORD, POSTGRES, Panel, ask, form, wait_for

BIN = os.environ.get("SARBAN_TEST_POSTGRES_BIN", "")


def run(*words):
    program = shutil.which(words[0]) or os.path.join(BIN, words[0])
    subprocess.run([program, *words[1:]], check=True, stdout=subprocess.DEVNULL)


class Sqlite:
    def __init__(self, folder):
        self.file, self.copy = folder / "db.sqlite3", folder / "copy.sqlite3"
        self.url = f"sqlite:///{self.file}"

    def back_up(self):
        run("sqlite3", str(self.file), f".backup '{self.copy}'")

    def restore(self):
        for suffix in ("", "-wal", "-shm"):
            pathlib.Path(f"{self.file}{suffix}").unlink(missing_ok=True)
        self.copy.rename(self.file)
        return self.url

    def close(self):
        pass


class Postgres:
    def __init__(self, folder):
        self.dump = folder / "sarban.dump"
        self.name = f"sarban_backup_{os.getpid()}"
        self.url = self.address(self.name)
        self.sql(f"CREATE DATABASE {self.name}")

    def address(self, name):
        return POSTGRES.rsplit("/", 1)[0] + f"/{name}"

    def sql(self, statement):
        run("psql", "-q", "-d", POSTGRES, "-c", statement)

    def back_up(self):
        run("pg_dump", "--format=custom", f"--file={self.dump}", self.url)

    def restore(self):
        restored = f"{self.name}_restored"
        self.sql(f"CREATE DATABASE {restored}")
        run("pg_restore", "--no-owner", "--exit-on-error", f"--dbname={self.address(restored)}", str(self.dump))
        return self.address(restored)

    def close(self):
        for name in (self.name, f"{self.name}_restored"):
            self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def make(panel, token, name):
    answer = ask(panel.port, "POST", "/api/users", f'{{"username": "{name}", "expire_strategy": "never"}}', token)
    assert answer.status == 200, answer.body
    return urllib.parse.urlparse(answer.json()["subscription_url"]).path


def story(engine, folder):
    panel = Panel("backup", folder, engine.url)
    panel.start()
    try:
        wait_for("the panel is ready", panel.ready)
        panel.command("admin", "create", "-u", "root", "--sudo")
        answer = ask(panel.port, "POST", "/api/admins/token", *form(username="root", password=PASSWORD))
        token = {"authorization": f"Bearer {answer.json()['access_token']}", "content-type": "application/json"}
        link = make(panel, token, "before")
        engine.back_up()
        later = make(panel, token, "after")
        panel.stop()
        panel.environment["SQLALCHEMY_DATABASE_URL"] = engine.restore()
        panel.start()
        wait_for("the restored panel is ready", panel.ready)
        assert ask(panel.port, "GET", "/api/users/before", headers=token).status == 200, "the old token must work"
        assert ask(panel.port, "GET", f"{link}/links").status == 200, "the old link must work"
        assert ask(panel.port, "GET", f"{later}/links").status == 404, "a user created after the back-up must be gone"
        leads = lambda: ask(panel.port, "GET", "/health/ready").json()["scheduler"] == "leader"
        wait_for("the restored panel leads", leads)
        panel.stop()
    finally:
        panel.process.kill()
        panel.process.wait()


def main():
    for kind in (Sqlite, Postgres):
        with tempfile.TemporaryDirectory(prefix="sarban.backup.") as name:
            engine = kind(pathlib.Path(name))
            try:
                story(engine, pathlib.Path(name))
            finally:
                engine.close()
        print(f"✓ back-up and restore on {kind.__name__}")


if __name__ == "__main__":
    sys.exit(main())
