"""A PostgreSQL server of a test's own: Debian's, as the user that Debian has for it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import psycopg

from tests.support.proxy import CERTIFICATE

PASSWORD = "p%s:w/rd-of-the-shop"
_USER = "postgres"


def _program(name: str) -> str:
    """Debian keeps them apart by version; the newest is taken."""
    return str(max(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4])))


def _as_postgres(*command: str) -> None:
    # Root may not start a server. What it says goes to its log: a pipe would be held open by the server.
    as_user = ["runuser", "-u", _USER, "--"] if os.geteuid() == 0 else []
    subprocess.run([*as_user, *command], check=True, cwd="/", stdout=subprocess.DEVNULL, timeout=60)


@dataclass(frozen=True)
class Postgres:
    """A server at a port of loopback. `folder` is its cluster's."""

    folder: Path
    port: int

    def url(self, database: str, *, user: str = _USER, more: str = "") -> str:
        """As `budget.ledger` has it."""
        return f"postgresql://{user}:env:SHOP_DB_PASSWORD@127.0.0.1:{self.port}/{database}{more}"

    def ask(self, database: str, query: str, *, user: str = _USER) -> list[tuple[Any, ...]]:
        """What the server says, past the package."""
        where: dict[str, Any] = {"host": "127.0.0.1", "port": self.port, "user": user, "password": PASSWORD}
        with psycopg.connect(dbname=database, autocommit=True, **where) as db:
            cursor = db.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Wait until it answers."""
        _as_postgres(_program("pg_ctl"), "start", "-w", "-s", "-D", str(self.folder), "-l", str(self.folder / "log"))

    def stop(self, mode: str = "immediate") -> None:
        """End it; `immediate`: as by a crash."""
        _as_postgres(_program("pg_ctl"), "stop", "-w", "-s", "-m", mode, "-D", str(self.folder))

    def restart(self) -> None:
        """As after a crash."""
        self.stop()
        self.start()

    def start_as_standby(self) -> None:
        """Wait until it answers: as one that follows a primary, and is to take over."""
        (self.folder / "standby.signal").touch()
        self.start()

    def take_over(self) -> None:
        """From now on it is the primary."""
        _as_postgres(_program("pg_ctl"), "promote", "-w", "-s", "-D", str(self.folder))

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """All its processes stand still."""
        pids = [self.pid, *map(int, _children(self.pid))]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    @property
    def pid(self) -> int:
        """Of the process whose children serve the connections."""
        return int((self.folder / "postmaster.pid").read_text().splitlines()[0])


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A fresh server, which asks for passwords and offers TLS, as Debian's does; gone at the end."""
    folder_in_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    # Not below pytest's folders, which its user may not enter; and in memory, for after a crash it syncs all its files.
    home = Path(mkdtemp(prefix="batch-editor-postgres-", dir=folder_in_memory))
    folder = home / "cluster"
    password_file = home / "password"
    password_file.write_text(PASSWORD)
    home.chmod(0o755)
    if os.geteuid() == 0:
        folder.mkdir()
        shutil.chown(folder, _USER)
        shutil.chown(password_file, _USER)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    try:
        _as_postgres(
            *(_program("initdb"), "-D", str(folder), "-U", _USER, "-A", "scram-sha-256", "-E", "UTF8"),
            *("--locale", "C.UTF-8", f"--pwfile={password_file}"),
        )
        with (folder / "postgresql.conf").open("a") as config:
            config.write(f"port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\n")
            config.write("max_connections = 60\nshared_buffers = 16MB\n")
            config.write("ssl = on\nssl_cert_file = 'tls.pem'\nssl_key_file = 'tls.pem'\n")
        shutil.copy(CERTIFICATE, folder / "tls.pem")
        (folder / "tls.pem").chmod(0o600)
        if os.geteuid() == 0:
            shutil.chown(folder / "tls.pem", _USER)
        server = Postgres(folder, port)
        server.start()
        try:
            yield server
        finally:
            if (folder / "postmaster.pid").exists():
                server.stop()
    finally:
        shutil.rmtree(home)


@contextmanager
def pooler(server: Postgres) -> Iterator[int]:
    """The port of a PgBouncer before a server, which gives each transaction whichever connection is free."""
    home = Path(mkdtemp(prefix="batch-editor-pgbouncer-"))
    home.chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (home / "users").write_text(f'"{_USER}" "{PASSWORD}"\n')
    (home / "ini").write_text(
        f"[databases]\n* = host=127.0.0.1 port={server.port} user={_USER} password='{PASSWORD}'\n"
        f"[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port={port}\nunix_socket_dir=\nauth_type=scram-sha-256\n"
        f"auth_file={home / 'users'}\npool_mode=transaction\ndefault_pool_size=3\nlogfile={home / 'log'}\n"
    )
    if os.geteuid() == 0:
        for path in (home, *home.iterdir()):
            shutil.chown(path, _USER)
    as_user = ["runuser", "-u", _USER, "--"] if os.geteuid() == 0 else []
    process = subprocess.Popen([*as_user, "/usr/sbin/pgbouncer", "-q", str(home / "ini")], cwd="/")
    try:
        while not _answers(port):
            assert process.poll() is None, (home / "log").read_text()
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(home)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
