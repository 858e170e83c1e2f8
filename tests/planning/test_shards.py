"""Which jobs a shard has, and its part of the limits."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from batch_editor import ConfigError, ManifestError, Plan, Selection, UsageError, load_settings, make_plan
from batch_editor.planning import Planned, output_of
from batch_editor.planning.sharding import inputs_key
from batch_editor.records import EditRequest, Rate
from batch_editor.shard import Shard
from tests.support.bench import INPUT, Bench, job

LINK = "https://example.com/{}.jpg"
SHARDS = [Shard(number, 4) for number in range(4)]

links = st.lists(st.sampled_from("abcdef").map(LINK.format), max_size=3)
requests = st.builds(
    lambda images, prompt, mask, identity, endpoint, variant: EditRequest(
        endpoint,
        {"prompt": prompt, "image_urls": images, "mask": mask},
        variant,
        identity,
        ("image_urls", "mask") if identity is not None else (),
    ),
    links,
    st.sampled_from(["a", "b"]),
    st.sampled_from([None, "https://example.com/mask.png"]),
    st.sampled_from([None, "p-1", "p-2"]),
    st.sampled_from(["one", "other"]),
    st.sampled_from([1, 2]),
)


def key_of(request: EditRequest) -> str:
    return inputs_key(request, images="image_urls", prompt="prompt")


def owners(request: EditRequest, count: int) -> list[int]:
    return [number for number in range(count) if Shard(number, count).has(key_of(request))]


@given(requests, st.integers(1, 50))
def test_every_job_is_in_exactly_one_shard(request: EditRequest, count: int) -> None:
    assert len(owners(request, count)) == 1


@given(st.lists(requests, min_size=2, max_size=40), st.integers(1, 50))
def test_jobs_that_would_send_the_same_request_are_in_one_shard(made: list[EditRequest], count: int) -> None:
    shards: dict[str, set[int]] = {}
    for request in made:
        shards.setdefault(request.fingerprint, set()).update(owners(request, count))
    assert all(len(numbers) == 1 for numbers in shards.values())


@given(requests, requests, st.integers(1, 50))
def test_neither_prompt_nor_endpoint_nor_mask_nor_variant_moves_a_job(a: EditRequest, b: EditRequest, n: int) -> None:
    if a.identity is None and not a.params["image_urls"]:
        b = b._replace(params={**b.params, "prompt": a.params["prompt"]})  # it is all that there is
    moved = b._replace(params={**b.params, "image_urls": a.params["image_urls"]}, identity=a.identity)
    assert owners(moved, n) == owners(a, n)


@pytest.mark.parametrize(
    ("key", "number"),
    [
        (EditRequest("e", {"image_urls": [LINK.format("mug")]}), 950),
        (EditRequest("e", {"image_urls": LINK.format("mug")}), 950),
        (EditRequest("e", {"image_urls": [LINK.format("mug") + "?X-Amz-Signature=a&X-Amz-Date=b"]}), 950),
        (EditRequest("e", {"image_urls": [LINK.format("a"), LINK.format("b")]}), 397),
        (EditRequest("e", {"image_urls": [LINK.format("b"), LINK.format("a")]}), 149),
        (EditRequest("e", {"image_urls": ["sha256:" + "0" * 64]}), 412),
        (EditRequest("e", {"image_urls": [LINK.format("mug")]}, 1, "p-1"), 256),
        (EditRequest("e", {"image_urls": [], "prompt": "a cup"}), 488),
    ],
    ids=["link", "one link", "signed", "two", "in another order", "file", "identity", "prompt"],
)
def test_a_jobs_shard_never_changes_with_a_version(key: EditRequest, number: int) -> None:
    """What is elsewhere by another version has no picture there, and would be paid for again."""
    assert owners(key, 1000) == [number]


def write(folder: Path, rows: Sequence[Mapping[str, str]], name: str = "jobs.csv") -> Path:
    path = folder / name
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)
    return path


def rows(count: int, prompt: str = "On white") -> list[dict[str, str]]:
    return [{"id": f"j-{n}", "prompt": prompt, "image_urls": LINK.format(n)} for n in range(count)]


def planned(manifest: Path, shard: Shard | None, **selected: Any) -> tuple[Plan, list[str]]:
    """The plan of a shard, and its jobs."""
    ids: list[str] = []

    def look(made: Planned) -> None:
        found = made.staging.query("SELECT job_id FROM staged WHERE selected ORDER BY position")
        ids.extend(job_id for (job_id,) in found)

    settings = load_settings(flags=selected.pop("flags", {}))
    output = manifest.parent / "out"
    plan = make_plan([manifest], settings, selection=Selection(shard=shard, **selected), output=output, look=look)
    return plan, ids


def test_the_shards_have_all_jobs_once_and_say_how_many(tmp_path: Path) -> None:
    manifest = write(tmp_path, rows(40))
    plans = [planned(manifest, shard) for shard in SHARDS]
    assert sorted(job_id for _, ids in plans for job_id in ids) == sorted(f"j-{n}" for n in range(40))
    for shard, (plan, ids) in zip(SHARDS, plans, strict=True):
        line = f"Shard {shard.number} of 4: {len(ids)} of 40 jobs; its part of the limits: 15/min"
        assert next(plan.lines()) == line
        assert plan.as_json()["shard"] == {"number": shard.number, "count": 4, "jobs": len(ids), "of_jobs": 40}
        assert plan.changes.gone == 0


def test_a_new_prompt_or_endpoint_leaves_every_job_in_its_shard(tmp_path: Path) -> None:
    manifest = write(tmp_path, rows(20))
    before = [planned(manifest, shard)[1] for shard in SHARDS]
    assert [planned(write(tmp_path, rows(20, "In a forest")), shard)[1] for shard in SHARDS] == before
    moved = {"endpoint": "seedream-4.5"}
    assert [planned(manifest, shard, **moved, flags=moved)[1] for shard in SHARDS] == before


def test_local_files_of_one_content_are_in_one_shard(tmp_path: Path) -> None:
    names = []
    for n in range(12):
        names.append(f"{n}.png")
        Image.new("RGB", (8, 8), (n % 3, 0, 0)).save(tmp_path / names[-1])
    made = [{"id": name, "prompt": "p", "image_urls": name} for name in names]
    manifest = write(tmp_path, made)
    shards = [planned(manifest, shard)[1] for shard in SHARDS]
    for content in range(3):
        same = {f"{n}.png" for n in range(12) if n % 3 == content}
        assert sum(same <= set(ids) for ids in shards) == 1


def test_limit_and_only_choose_from_a_shards_jobs(tmp_path: Path) -> None:
    manifest = write(tmp_path, rows(40))
    _, own = planned(manifest, SHARDS[2])
    assert planned(manifest, SHARDS[2], limit=2)[1] == own[:2]
    assert planned(manifest, SHARDS[2], only=["j-1*"])[1] == [each for each in own if each.startswith("j-1")]
    elsewhere = next(f"j-{n}" for n in range(40) if f"j-{n}" not in own)
    plan, ids = planned(manifest, SHARDS[2], only=[elsewhere])
    assert (plan.jobs, ids) == (0, [])
    with pytest.raises(UsageError) as caught:
        planned(manifest, SHARDS[2], only=["nothing"])
    assert str(caught.value) == "--only 'nothing' matches no job's id"


def test_an_id_that_stands_twice_is_found_over_all_shards(tmp_path: Path) -> None:
    manifest = write(tmp_path, [*rows(8), {"id": "j-0", "prompt": "p", "image_urls": LINK.format("other")}])
    for shard in SHARDS:
        with pytest.raises(ManifestError) as caught:
            planned(manifest, shard)
        assert str(caught.value) == f"{manifest}:10: duplicate id 'j-0', first used at {manifest}:2"


FAULTY = {"id": "bad", "prompt": "p", "image_urls": LINK.format(3), "quality": "hgih"}
UNREADABLE = {"id": "bad", "prompt": "p", "image_urls": "nothing.png", "quality": "low"}


@pytest.mark.parametrize("row", [FAULTY, UNREADABLE], ids=["quality", "link"])
def test_a_faulty_row_refuses_every_shard_and_when_skipped_fails_in_one(tmp_path: Path, row: dict[str, str]) -> None:
    manifest = write(tmp_path, [*({**each, "quality": "low"} for each in rows(8)), row])
    for shard in SHARDS:
        with pytest.raises(ManifestError):
            planned(manifest, shard)
    skipping = {"rows": {"faulty": "skip"}}
    made = [planned(manifest, shard, flags=skipping) for shard in SHARDS]
    assert sum(plan.exit_code for plan, _ in made) == 1
    assert [ids.count("bad") for _, ids in made] == [plan.faulty for plan, _ in made]


def test_a_row_that_turns_faulty_stays_where_its_inputs_are(tmp_path: Path) -> None:
    sound = [{**each, "quality": "low"} for each in rows(8)]
    before = [planned(write(tmp_path, sound), shard)[1] for shard in SHARDS]
    sound[5]["quality"] = "hgih"
    flags = {"rows": {"faulty": "skip"}}
    assert [planned(write(tmp_path, sound), shard, flags=flags)[1] for shard in SHARDS] == before


def test_a_shard_without_jobs_says_so(tmp_path: Path) -> None:
    manifest = write(tmp_path, rows(1))
    said = {next(planned(manifest, shard)[0].lines()) for shard in SHARDS}
    assert "Shard 0 of 4: 0 of 1 jobs, so that there is nothing to do; its part of the limits: 15/min" in said
    assert [planned(manifest, shard)[0].exit_code for shard in SHARDS] == [0] * 4


FLAGS: dict[str, Any] = {
    "rate_limit": "10/min",
    "max_failures": "6",
    "budget": {"max_cost_usd": 10, "per_day_usd": 20, "per_month_usd": 100, "ledger": "spending.sqlite3"},
    "providers": {"openai": {"rate_limit": "9/s"}},
}


def test_the_parts_of_all_shards_are_what_is_set() -> None:
    parts = [load_settings(flags=FLAGS).for_shard(shard) for shard in SHARDS]
    assert [str(each.rate) for each in parts] == ["3/min", "3/min", "2/min", "2/min"]
    assert [each.provider("openai").rate for each in parts] == [Rate(3, 1.0), *[Rate(2, 1.0)] * 3]
    assert {each.provider("segmind").shared_rate for each in parts} == {Rate(10, 60.0)}
    assert [each.max_failures for each in parts] == ["2", "2", "1", "1"]
    budgets = [each.budget for each in parts]
    assert {(each.max_cost_usd, each.per_day_usd, each.per_month_usd) for each in budgets} == {(2.5, 5.0, 25.0)}
    assert {each.concurrency for each in parts} == {64}


def test_shards_that_share_a_database_have_rate_day_and_month_together() -> None:
    budget = {**FLAGS["budget"], "ledger": "postgresql://editor@db.example.com/editor"}
    part = load_settings(flags={**FLAGS, "rate_limit": "2/min", "budget": budget}).for_shard(SHARDS[3])
    assert (part.rate, part.provider("openai").rate) == (Rate(2, 60.0), Rate(9, 1.0))
    assert (part.budget.per_day_usd, part.budget.per_month_usd) == (20, 100)
    assert (part.budget.max_cost_usd, part.max_failures) == (2.5, "1")


def test_a_share_of_failures_and_no_limit_are_not_divided() -> None:
    part = load_settings(flags={"max_failures": "20%"}).for_shard(SHARDS[1])
    assert (part.max_failures, part.budget.max_cost_usd, part.budget.per_day_usd) == ("20%", None, None)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            {"max_failures": "3"},
            "max_failures 3 can't be divided among 4 shards; expected at least 4, or a share such as 20%",
        ),
        (
            {"rate_limit": "3/min"},
            (
                "endpoint gpt-image-1.5-edit: rate_limit 3/min can't be divided among 4 shards; expected at least 4/min"
                ", or budget.ledger: postgresql://…, by which they take turns"
            ),
        ),
    ],
)
def test_a_limit_without_a_part_for_each_shard_is_refused(tmp_path: Path, flags: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, UsageError)) as caught:
        planned(write(tmp_path, rows(4)), SHARDS[0], flags=flags)
    assert str(caught.value) == message


@pytest.mark.parametrize("text", ["4/4", "0/0", "1", "/4", "0/", "-1/4", "a/b", "1/4/2", "²/4"])
def test_a_shard_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected I/N, the shard's number from 0 and how many there are"):
        Shard.parse(text)


@pytest.mark.parametrize("text", ["0/10001", f"0/{'9' * 23}"])
def test_more_shards_than_make_sense_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected 10,000 shards at most$"):
        Shard.parse(text)
    assert Shard.parse("9999/10000") == Shard(9_999, 10_000)


def test_the_output_directory_is_named_after_the_shard(bench: Bench) -> None:
    manifest = bench.write([job("a", image_urls=[INPUT])])
    assert output_of(manifest, load_settings(), Selection(shard=SHARDS[1])) == Path("outputs/jobs-1-of-4")
