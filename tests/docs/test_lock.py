"""The locks are whole and what pyproject.toml asks for, and their audit tells a finding from a missing network."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

import orjson
import pytest
from packaging.requirements import Requirement

from tests.docs.locks import (
    DEV_LOCK,
    PYTHONS,
    ROOT,
    RUN_LOCK,
    SYSTEMS,
    asked_for,
    complaints,
    environment,
    not_as_locked,
    pins,
)

pytestmark = pytest.mark.slow

LOCKS = {"run": (RUN_LOCK.read_text(encoding="utf-8"), "build"), "dev": (DEV_LOCK.read_text(encoding="utf-8"), "dev")}
RUN, DEV = (lock for lock, _ in LOCKS.values())


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_what_it_requires_and_nothing_else(lock: str, python: str, system: str) -> None:
    text, group = LOCKS[lock]
    assert complaints(text, asked_for(group), environment(python, system)) == []


def lock_of(*entries: str) -> str:
    """A lock with these entries, each a requirement, and the package that asked for it behind a `#`."""
    lines = [entry.partition(" # ") for entry in entries]
    return "".join(f"{pin} \\\n    --hash=sha256:{'0' * 64}\n    # via {via or 'x'}\n" for pin, _, via in lines)


JINJA2 = f"jinja2=={version('jinja2')}"
MARKUPSAFE = f"markupsafe=={version('markupsafe')}"
PYTEST_COV = f"pytest-cov=={version('pytest-cov')}"
COVERAGE = f"coverage=={version('coverage')}"
CACHECONTROL = f"cachecontrol[filecache]=={version('cachecontrol')}"


def test_a_small_lock_that_is_closed_has_no_complaint() -> None:
    lock = lock_of(JINJA2, MARKUPSAFE)
    assert complaints(lock, [Requirement("jinja2>=3")], environment("3.11", "Linux")) == []


@pytest.mark.parametrize(
    ("asked", "entries", "complaint"),
    [
        ("jinja2", [], "pyproject.toml requires jinja2, and the lock has 0 of it"),
        ("jinja2", [JINJA2], "jinja2 requires MarkupSafe>=2.0, and the lock has 0 of it"),
        ("jinja2", [JINJA2, "markupsafe==1.1.1"], "jinja2 requires MarkupSafe>=2.0, and the lock has 1.1.1"),
        (
            "jinja2>=99",
            [JINJA2, MARKUPSAFE],
            f"pyproject.toml requires jinja2>=99, and the lock has {version('jinja2')}",
        ),
        ("jinja2", [JINJA2, MARKUPSAFE, COVERAGE], "nothing requires coverage"),
        ("jinja2", [JINJA2, MARKUPSAFE, "markupsafe==2.1.0"], "requires MarkupSafe>=2.0, and the lock has 2 of it"),
        (
            "jinja2",
            [JINJA2, f"{MARKUPSAFE} ; python_version < '3.13'"],
            "jinja2 requires MarkupSafe>=2.0, and the lock has 0",
        ),
        (
            "jinja2",
            [JINJA2, f"{MARKUPSAFE} ; sys_platform == 'darwin'"],
            "jinja2 requires MarkupSafe>=2.0, and the lock has 0",
        ),
        ("pytest-cov", [PYTEST_COV, COVERAGE], "and the lock has it without toml"),
        ("cachecontrol[filecache]", [CACHECONTROL], "cachecontrol requires filelock"),
        (
            "absent",
            ["absent==1", f"{MARKUPSAFE} ; python_version < '3.13' # absent"],
            "absent requires markupsafe, and the lock has 0",
        ),
        (
            "absent",
            ["absent==1", "gone==1 # absent", f"{MARKUPSAFE} ; python_version < '3.13' # gone"],
            "gone requires markupsafe, and the lock has 0",
        ),
    ],
)
def test_a_lock_that_is_not_closed_is_found_out(asked: str, entries: list[str], complaint: str) -> None:
    found = complaints(lock_of(*entries), [Requirement(asked)], environment("3.13", "Linux"))
    assert any(complaint in each for each in found), found


def test_a_release_that_is_not_for_this_python_is_found_out() -> None:
    found = complaints(lock_of(JINJA2, MARKUPSAFE), [Requirement("jinja2")], environment("3.5", "Linux"))
    assert any(each.startswith(f"jinja2 {version('jinja2')} requires Python >=") for each in found), found


def test_what_the_packages_require_is_read_from_the_versions_that_are_locked() -> None:
    assert not_as_locked(DEV) == [], "run `make check` once: it installs what the lock has"


def test_a_version_that_is_not_installed_is_noticed() -> None:
    assert not_as_locked(lock_of(JINJA2, "markupsafe==1.1.1")) == ["markupsafe==1.1.1"]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_one_version_and_hashes(lock: str) -> None:
    text = LOCKS[lock][0]
    assert len(pins(text)) == sum(not line.startswith((" ", "#")) for line in text.splitlines())
    assert all([each.operator for each in pin.requirement.specifier] == ["=="] for pin in pins(text))


def test_who_develops_runs_the_very_versions_that_the_others_run() -> None:
    developing = {
        (pin.name, pin.version) for pin in pins(DEV)
    }  # one that runs on Windows alone may be needed elsewhere
    assert {(pin.name, pin.version) for pin in pins(RUN)} - developing == set()


def test_the_run_lock_has_no_tool_of_the_developers() -> None:
    tools = {Requirement(str(each)).name for each in asked_for("dev")} - {each.name for each in asked_for("build")}
    assert {"mypy", "uv", "pip-audit", "pyarrow", "pytest"} <= tools
    assert {pin.name for pin in pins(RUN)} & tools == set()


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
