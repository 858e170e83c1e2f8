from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.s3_server import S3, before, moto


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    with moto() as port:
        yield port


@pytest.fixture
def s3(s3_port: int, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """A bucket of its own for each test, which the environment leads to."""
    with before(s3_port, f"b-{abs(hash(request.node.nodeid)) % 10**12}") as s3:
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION"):
            monkeypatch.delenv(name, raising=False)
        yield s3
