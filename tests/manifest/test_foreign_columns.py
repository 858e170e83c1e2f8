from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.manifest_reading import LINK, read, write


def table(tmp_path: Path, column: str, cells: list[str]) -> Path:
    rows = "".join(f"{number},x,{LINK}?{number},{cell}\n" for number, cell in enumerate(cells))
    return write(tmp_path / "feed.csv", f"id,prompt,image_urls,{column}\n{rows}")


FOREIGN = [
    (
        "size",
        ["M", "100ml", "", "XL"],
        "'M' at line 2 (expected 1024x1024, 1536x1024, 1024x1536 or auto)",
        "auto",
        "auto",
    ),
    ("quality", ["A", "B", "A", "low"], "'A' at line 2 (expected low, medium, high or auto)", "high", "high"),
    ("background", ["wood", "steel", "oak"], "'wood' at line 2 (expected transparent or opaque)", "opaque", "opaque"),
    (
        "mask",
        ["yes", "no", "yes"],
        "'yes' at line 2 (there is no such file (paths are relative to the manifest))",
        "null",
        None,
    ),
]


@pytest.mark.parametrize(("column", "cells", "reason", "default", "sent"), FOREIGN)
def test_a_column_of_the_products_own_is_one_fault_with_its_way_out(
    tmp_path: Path, column: str, cells: list[str], reason: str, default: str, sent: str | None
) -> None:
    path = table(tmp_path, column, cells * 100)
    rows = 100 * sum(map(bool, cells))
    for skip_faulty in (False, True):
        assert read(path, skip_faulty=skip_faulty).fault == (
            f"feed.csv:1: column {column} is no {column} for gpt-image-1.5-edit in 300 of {rows} rows, such as"
            f" {reason}; if it is the products' own, pass --set {column}={default}: that is sent, and"
            " the column is carried along"
        )
    overrides: dict[str, Any] = {column: default}
    reading = read(path, **overrides)
    assert reading.values(column) == [sent] * len(reading.jobs)
    assert [job.extras for job in reading.jobs[: len(cells)]] == [{column: cell} for cell in cells]


@pytest.mark.parametrize(
    "cells",
    [["hgih"], ["low", "low", "A", "B"], ["A"], ["hgih"] * 5, ["A", "B", "C", "low", "low", "low"]],
)
def test_slips_stay_faults_of_their_rows(tmp_path: Path, cells: list[str]) -> None:
    faults = read(table(tmp_path, "quality", cells)).faults
    assert len(faults) == sum(cell != "low" for cell in cells)
    assert all(": job " in fault for fault in faults)


def test_two_rows_that_are_both_wrong_tell_whose_the_column_is(tmp_path: Path) -> None:
    assert read(table(tmp_path, "quality", ["A", "B"])).fault == (
        "feed.csv:1: column quality is no quality for gpt-image-1.5-edit in 2 of 2 rows, such as 'A' at line 2"
        " (expected low, medium, high or auto); if it is the products' own, pass --set quality=high:"
        " that is sent, and the column is carried along"
    )


def test_all_such_columns_and_other_faults_are_told_at_once(tmp_path: Path) -> None:
    rows = f"x,{LINK},M,wood,\n" * 3 + f",{LINK},M,wood,\n"
    faults = read(write(tmp_path / "feed.csv", f"prompt,image_urls,size,background,q\n{rows}")).faults
    assert [fault.partition(" is no ")[0] for fault in faults] == [
        "feed.csv:1: column size",
        "feed.csv:1: column background",
        "feed.csv:5: job feed-4: prompt is empty",
    ]


def test_a_column_of_rows_in_yaml_is_no_parameter_by_its_name(tmp_path: Path) -> None:
    write(tmp_path / "feed.csv", "sku,size\na,M\nb,L\n")
    path = write(
        tmp_path / "m.yaml", f"jobs:\n  - {{id: '{{{{ sku }}}}', rows: feed.csv, prompt: x, image_urls: [{LINK}]}}\n"
    )
    assert read(path).values("size") == ["auto", "auto"]
    assert [job.extras["size"] for job in read(path).jobs] == ["M", "L"]
