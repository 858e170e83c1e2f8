"""The lock file is what pyproject.toml asks for, and its audit tells a finding from a missing network."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DIRECT = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]]
# One a package: its line, then those of its hashes.
LOCKED = re.findall(
    r"^([^\s#].*?) \\\n((?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)",
    (ROOT / "requirements.lock").read_text(encoding="utf-8"),
    re.MULTILINE,
)


def locked_versions(name: str) -> list[str]:
    requirements = [Requirement(line) for line, _ in LOCKED]
    return [
        next(iter(each.specifier)).version
        for each in requirements
        if canonicalize_name(each.name) == canonicalize_name(name)
    ]


@pytest.mark.parametrize("direct", DIRECT)
def test_what_is_asked_for_is_locked_at_a_version_that_is_allowed(direct: str) -> None:
    wanted = Requirement(direct)
    versions = locked_versions(wanted.name)
    assert versions
    assert all(wanted.specifier.contains(version) for version in versions)


def test_every_locked_package_has_one_version_and_hashes() -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    assert len(LOCKED) == sum(not line.startswith((" ", "#")) for line in lines)
    assert all([each.operator for each in Requirement(line).specifier] == ["=="] for line, _ in LOCKED)


class _Vulnerabilities(BaseHTTPRequestHandler):
    """OSV's API, in so far as pip-audit uses it: one package has a vulnerability, one is answered with a 503."""

    def do_POST(self) -> None:
        query = orjson.loads(self.rfile.read(int(self.headers["content-length"])))
        name = query["package"]["name"]
        affected = [
            {
                "package": {"name": name, "ecosystem": "PyPI"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.1.3"}]}],
            }
        ]
        body = orjson.dumps({"vulns": [{"id": "PYSEC-2024-1", "affected": affected}]} if name == "jinja2" else {})
        self.send_response(503 if name == "click" else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Vulnerabilities) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def audit(folder: Path, lock: str, service: str) -> tuple[int, str]:
    (folder / "a.lock").write_text(lock, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "audit.py", "a.lock", "--vulnerability-service", "osv", "--osv-url", service],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.strip()


def pinned(*packages: str) -> str:
    return "".join(f"{package} --hash=sha256:{'0' * 64}\n" for package in packages)


def test_an_audit_without_a_finding_passes(tmp_path: Path, service: str) -> None:
    said = audit(tmp_path, pinned("tqdm==4.66.3", "pyyaml==6.0.2"), service)
    assert said == (0, "2 packages of a.lock audited, 0 known vulnerabilities")


def test_a_known_vulnerability_fails_the_audit(tmp_path: Path, service: str) -> None:
    said = audit(tmp_path, pinned("jinja2==3.1.2", "pyyaml==6.0.2"), service)
    assert said == (
        1,
        "jinja2 3.1.2: PYSEC-2024-1, fixed in 3.1.3\n2 packages of a.lock audited, 1 known vulnerabilities",
    )


def test_without_a_network_an_audit_says_so_and_passes(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        code, said = audit(tmp_path, pinned("pyyaml==6.0.2"), f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert code == 0
    assert said.startswith("NOT AUDITED: the service of vulnerabilities was not reached (requests.exceptions.")


def test_a_service_that_is_down_is_not_reached_either(tmp_path: Path, service: str) -> None:
    code, said = audit(tmp_path, pinned("click==8.2.0"), service)
    assert code == 0
    assert said.startswith("NOT AUDITED")


@pytest.mark.parametrize("lock", ["jinja2==3.1.2\n", "jinja2 of them\n"])
def test_a_lock_without_hashes_or_sense_fails_the_audit(tmp_path: Path, service: str, lock: str) -> None:
    code, said = audit(tmp_path, lock, service)
    assert code == 1
    assert said.startswith("a.lock can't be audited: ")
