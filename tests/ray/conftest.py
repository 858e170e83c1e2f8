from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ray.clusters import Nodes


@pytest.fixture(scope="session")
def nodes() -> Iterator[Nodes]:
    """A cluster of two nodes with a core each, which no test may break."""
    with Nodes.started() as cluster:
        cluster.add()
        yield cluster
