"""Which jobs of a manifest claim the same, and which of them sends a request that several share."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch_editor import ManifestError, Plan, Selection, Settings, make_plan

HEADER = "id,output,prompt,image_urls"
LINK = "https://example.com/mug.jpg"


def plan(folder: Path, *rows: str, selection: Selection | None = None) -> Plan:
    manifest = folder / "jobs.csv"
    manifest.write_text("\n".join([HEADER, *(f"{row},{LINK}" for row in rows)]), encoding="utf-8")
    return make_plan([manifest], Settings(), selection=selection, output=folder / "out")


def faults(folder: Path, *rows: str) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        plan(folder, *rows)
    return str(caught.value).replace(f"{folder}/", "").splitlines()


@pytest.mark.fault(91)
def test_an_id_that_stands_twice_is_a_fault_at_its_second_place(tmp_path: Path) -> None:
    assert faults(tmp_path, "mug,,a", "cup,,b", "mug,,c", "mug,,d") == [
        "jobs.csv:4: duplicate id 'mug', first used at jobs.csv:2",
        "jobs.csv:5: duplicate id 'mug', first used at jobs.csv:2",
    ]


def test_an_id_that_stands_twice_is_found_though_outputs_differ(tmp_path: Path) -> None:
    assert faults(tmp_path, "mug,one,a", "mug,two,b") == ["jobs.csv:3: duplicate id 'mug', first used at jobs.csv:2"]


def test_an_output_that_stands_twice_is_a_fault_but_not_one_that_is_an_id(tmp_path: Path) -> None:
    assert faults(tmp_path, "mug,same,a", "cup,same,b", "same,,c") == [
        "jobs.csv:3: duplicate output 'same', first used at jobs.csv:2"
    ]


def test_jobs_that_share_a_request_send_it_once(tmp_path: Path) -> None:
    shared = plan(tmp_path, "a,,same", "b,,other", "c,,same", "d,,same")
    assert (shared.jobs, shared.requests, shared.reused) == (4, 2, 2)


@pytest.mark.parametrize("selection", [Selection(only=["c", "d"]), Selection(only=["[bcd]"])])
def test_the_first_selected_job_sends_what_an_unselected_one_owns(tmp_path: Path, selection: Selection) -> None:
    made = plan(tmp_path, "a,,same", "b,,same", "c,,same", "d,,same", selection=selection)
    assert (made.requests, made.reused) == (1, made.jobs - 1)


def test_a_group_of_a_plan_is_counted_whole(tmp_path: Path) -> None:
    made = plan(tmp_path, *(f"job-{n},,{'x' * (n % 7 + 1)} {n}" for n in range(50)))
    (group,) = made.groups
    assert (group.requests, group.inputs) == (50, 1)
    assert group.cost_usd == pytest.approx(made.cost.expected_usd)
