from __future__ import annotations

import subprocess
import sys

import pytest

PROVIDE = """
import resource, sys
from batch_editor.errors import UsageError
from batch_editor.runs.descriptors import provide_descriptors
concurrency, hard, rehearsal = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "True"
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
try:
    provide_descriptors(concurrency, rehearsal=rehearsal)
    print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
except UsageError as error:
    print(error)
"""


def provided(concurrency: int, *, hard: int, rehearsal: bool = False) -> str:
    """What a process with a soft limit of 256 comes to: its new one, or what it says."""
    command = [sys.executable, "-c", PROVIDE, str(concurrency), str(hard), str(rehearsal)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    ("concurrency", "rehearsal", "soft"), [(1, False, "258"), (400, False, "1056"), (400, True, "1456")]
)
def test_the_soft_limit_has_room_for_all_that_requests_may_hold_at_once_and_for_the_rest_of_the_process(
    concurrency: int, rehearsal: bool, soft: str
) -> None:
    assert provided(concurrency, hard=2000, rehearsal=rehearsal) == soft


def test_half_the_hard_limit_may_be_in_flight() -> None:
    assert provided(1000, hard=2000) == "2000"


@pytest.mark.parametrize(("concurrency", "hard", "possible"), [(1001, 2000, 1000), (200, 300, 44)])
def test_more_than_the_system_allows_is_refused_with_what_is_possible(
    concurrency: int, hard: int, possible: int
) -> None:
    said = provided(concurrency, hard=hard)
    assert said.startswith(f"concurrency {concurrency} needs ")
    assert f"the system allows {hard}; use --concurrency {possible} or less" in said
    assert provided(possible, hard=hard) == str(hard)


def test_where_not_even_one_request_finds_room_no_smaller_concurrency_is_named() -> None:
    assert provided(1, hard=256) == (
        "concurrency 1 needs 257 open files, and the system allows 256; raise the limit (ulimit -Hn 257)"
    )
