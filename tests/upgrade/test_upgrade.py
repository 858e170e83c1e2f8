"""An upgrade buys nothing again: what version 0.1 did, under `version-0.1`, is done for this version."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import orjson
import pytest
from pydantic import SecretStr

import batch_editor
from batch_editor import BatchOptions, Plan, Settings, make_plan, run_batch
from batch_editor.endpoints import load_endpoint
from batch_editor.links.signed import digest as links_digest
from batch_editor.records import EditRequest, fingerprint_of_0_1, former_fingerprints_of
from batch_editor.recovery.rebuild import rebuild
from batch_editor.sandbox import Sandbox, SandboxOptions
from tests.support.bench import KEY, Bench

MADE = Path(__file__).parent / "version-0.1"
MANIFESTS = ["catalog", "banana"]
# Its own request was refused, the picture of the other is shared.
REFUSED, SHARED = 1, 1
# What the services renew in the links of `version-0.1`, whatever else an export changes.
RENEWED = {
    "token=11": "token=22",
    "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.aaaa": "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjJ9.bbbb",
    "ex=6740&is=673f&hm=aa11": "ex=6750&is=674f&hm=bb22",
    "rlkey=k1&st=s1": "rlkey=k2&st=s2",
    "_nc_ohc=abc&oh=00_A1&oe=6741": "_nc_ohc=def&oh=00_B2&oe=6751",
    "scontent-fra3-1": "scontent-lhr8-2",
    "35/35/1796000000000/sigsigsig1": "36/36/1796086400000/sigsigsig2",
    "tempauth=v1.aaa": "tempauth=v1.bbb",
    "OSSAccessKeyId=AK&Expires=1796000000&Signature=aa%3D": "OSSAccessKeyId=BK&Expires=1796086400&Signature=bb%3D",
    "x-oss-credential=AK&x-oss-signature=bb": "x-oss-credential=BK&x-oss-signature=cc",
    "q-sign-time=1%3B2&q-key-time=1%3B2": "q-sign-time=3%3B4&q-key-time=3%3B4",
    "Authorization=3_2026": "Authorization=3_2027",
    "X-Amz-Signature=ab12": "X-Amz-Signature=cd34",
    "X-Goog-Signature=cd34": "X-Goog-Signature=ef56",
    "Signature=xy~z": "Signature=ab~c",
    "sig=a%2Bb": "sig=c%2Bd",
}


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """A copy of what version 0.1 was given and made."""
    return Path(shutil.copytree(MADE, tmp_path / "catalog"))


def plan(catalog: Path, name: str) -> Plan:
    return make_plan([catalog / f"{name}.yaml"], Settings(), output=catalog / "outputs" / name)


def lose_the_ledger(catalog: Path, name: str) -> None:
    (catalog / "outputs" / name / "ledger.sqlite3").unlink()
    rebuild(catalog / "outputs" / name)


def assert_done(planned: Plan) -> None:
    assert planned.requests == 0
    assert planned.known["changed"] == planned.known["new"] == 0
    assert planned.known["unchanged"] + planned.known["failed"] == planned.jobs


async def run(catalog: Path, name: str) -> int:
    """How many requests a run sends."""
    async with Sandbox(SandboxOptions(latency="0", rate_limit="1000/s")) as sandbox:
        settings = Bench(catalog).settings(sandbox)
        await run_batch(
            [catalog / f"{name}.yaml"],
            settings,
            SecretStr(KEY),
            BatchOptions(output=catalog / "outputs" / name),
        )
        return sandbox.books.requests


@pytest.mark.parametrize("name", MANIFESTS)
@pytest.mark.parametrize("rebuilt", [False, True])
def test_nothing_of_version_0_1_is_planned_again(catalog: Path, name: str, rebuilt: bool) -> None:
    if rebuilt:
        lose_the_ledger(catalog, name)
    assert_done(plan(catalog, name))


@pytest.mark.parametrize("rebuilt", [False, True])
@pytest.mark.slow
def test_links_that_were_renewed_since_are_the_same_pictures(catalog: Path, rebuilt: bool) -> None:
    for name in MANIFESTS:
        path = catalog / f"{name}.yaml"
        text = path.read_text(encoding="utf-8")
        for old, new in RENEWED.items():
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")
        if rebuilt:
            lose_the_ledger(catalog, name)
        assert_done(plan(catalog, name))


def test_every_renewed_part_is_in_a_manifest_of_version_0_1() -> None:
    text = "".join((MADE / f"{name}.yaml").read_text(encoding="utf-8") for name in MANIFESTS)
    assert [part for part in RENEWED if part not in text] == []


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_plan_leaves_the_ledger_of_version_0_1_as_it_is(catalog: Path, name: str) -> None:
    plan(catalog, name)
    for path in (MADE / "outputs" / name).rglob("*"):
        if path.is_file():
            assert (catalog / path.relative_to(MADE)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", MANIFESTS)
@pytest.mark.slow
async def test_a_run_sends_nothing_and_keeps_every_image_and_row(catalog: Path, name: str) -> None:
    before = (catalog / "outputs" / name / "manifest.csv").read_text(encoding="utf-8")
    assert await run(catalog, name) == 0
    after = (catalog / "outputs" / name / "manifest.csv").read_text(encoding="utf-8")
    columns = 20  # up to the fingerprint, which may be another one
    assert [line.split(",")[:columns] for line in after.splitlines()] == [
        line.split(",")[:columns] for line in before.splitlines()
    ]
    for path in (MADE / "outputs" / name / "images").rglob("*.*"):
        assert (catalog / path.relative_to(MADE)).read_bytes() == path.read_bytes()
    assert_done(plan(catalog, name))
    assert await run(catalog, name) == 0
    lose_the_ledger(catalog, name)
    assert_done(plan(catalog, name))


NANO_BANANA = Path(batch_editor.__file__).parent / "endpoints" / "nano-banana.yaml"


RATIO = re.compile(r'^    default: "1:1".*$', re.MULTILINE)


def use_own_endpoint(catalog: Path, line: str) -> None:
    """Let the manifest name a file of one's own, of the same name as before, with this line for aspect_ratio."""
    shipped = NANO_BANANA.read_text(encoding="utf-8")
    assert RATIO.search(shipped)
    text = RATIO.sub(f"    {line}", shipped)
    (catalog / "own.yaml").write_text(text, encoding="utf-8")
    manifest = catalog / "banana.yaml"
    text = re.sub(r"^endpoint: .*", "endpoint: own.yaml", manifest.read_text(encoding="utf-8"))
    manifest.write_text(text, encoding="utf-8")


STATES = ["as it was", "rebuilt", "migrated", "migrated and rebuilt"]


async def bring_to(state: str, catalog: Path) -> None:
    if "migrated" in state:
        assert await run(catalog, "banana") == 0
    if "rebuilt" in state:
        lose_the_ledger(catalog, "banana")


@pytest.mark.parametrize("state", STATES)
async def test_a_default_that_an_endpoint_gains_buys_nothing_again(catalog: Path, state: str) -> None:
    await bring_to(state, catalog)
    use_own_endpoint(catalog, 'default: "1:1"')  # version 0.1 had none
    assert_done(plan(catalog, "banana"))
    assert await run(catalog, "banana") == 0
    assert_done(plan(catalog, "banana"))


@pytest.mark.parametrize("state", STATES)
async def test_a_parameter_that_an_endpoint_gains_buys_nothing_again(catalog: Path, state: str) -> None:
    await bring_to(state, catalog)
    text = NANO_BANANA.read_text(encoding="utf-8")
    added = "parameters:\n  seed: {type: integer, default: 7}\n  note: {type: string, nullable: true}\n"
    (catalog / "own.yaml").write_text(text.replace("parameters:\n", added), encoding="utf-8")
    manifest = catalog / "banana.yaml"
    words = manifest.read_text(encoding="utf-8")
    manifest.write_text(words.replace("endpoint: nano-banana", "endpoint: own.yaml"), encoding="utf-8")
    assert_done(plan(catalog, "banana"))
    # What is asked for in so many words is another picture.
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("Peel it,", "Peel it, seed: 8,"), encoding="utf-8")
    assert plan(catalog, "banana").known["changed"] == 4


@pytest.mark.slow
async def test_another_default_in_place_of_one_that_was_sent_is_a_change(catalog: Path) -> None:
    shutil.rmtree(catalog / "outputs")
    use_own_endpoint(catalog, 'default: "1:1"')
    assert await run(catalog, "banana") == 4
    use_own_endpoint(catalog, 'default: "4:5"')
    changed = plan(catalog, "banana")
    assert (changed.requests, changed.known["unchanged"]) == (3, 1)  # one has a ratio of its own
    assert changed.changes.differs == {"aspect_ratio": 3}


async def test_of_a_picture_that_was_bought_under_two_links_the_newest_counts(catalog: Path) -> None:
    out = catalog / "outputs" / "catalog"
    with closing(sqlite3.connect(out / "ledger.sqlite3")) as db:
        (params,) = db.execute("SELECT params FROM requests WHERE job_id = 'firebase'").fetchone()
        renewed = EditRequest("gpt-image-1.5-edit", json.loads(params.replace("token=11", "token=22")))
        again = fingerprint_of_0_1(renewed)
        columns = "endpoint, files, job_id, state, expected_usd, high_usd, attempts, sha256, format, image_path"
        db.execute(
            f"INSERT INTO requests (fingerprint, params, ended_at, {columns})"
            f" SELECT ?, ?, ended_at + 86400, {columns} FROM requests WHERE job_id = 'firebase'",
            (again, json.dumps(dict(renewed.params))),
        )
        db.execute("UPDATE jobs SET fingerprint = ?, placed_fingerprint = ? WHERE job_id = 'firebase'", (again, again))
        db.commit()
    assert_done(plan(catalog, "catalog"))
    assert await run(catalog, "catalog") == 0
    assert_done(plan(catalog, "catalog"))
    assert not list((out / "images" / ".history").glob("firebase*"))


# Links as they were sent before they were encoded, and how they are sent now.
AS_WRITTEN = {
    "https://shop.example.com/größe–1.jpg": "https://shop.example.com/gr%C3%B6%C3%9Fe%E2%80%931.jpg",
    "https://müller.example/cup.jpg?a=ü": "https://xn--mller-kva.example/cup.jpg?a=%C3%BC",
    "HTTPS://shop.example.com/cup.jpg": "https://shop.example.com/cup.jpg",
    "https://shop.example.com/cup?a=1&amp;b=2": "https://shop.example.com/cup?a=1&b=2",
    'https://shop.example.com/{a}[1]^"b.jpg': "https://shop.example.com/%7Ba%7D%5B1%5D%5E%22b.jpg",
    "https://shop.example.com/a\\b.jpg": "https://shop.example.com/a/b.jpg",
    "https://shop.example.com/100%.jpg": "https://shop.example.com/100%25.jpg",
    "https://shop.example.com/cup.jpg'": "https://shop.example.com/cup.jpg",
    "https://cdn.discordapp.com/attachments/1/2/täss.jpg?ex=6740&is=673f&hm=aa11&": (
        "https://cdn.discordapp.com/attachments/1/2/t%C3%A4ss.jpg?ex=6740&is=673f&hm=aa11&"
    ),
    "https://b.s3.amazonaws.com/tässe.jpg?v=ü&X-Amz-Signature=ab12": (
        "https://b.s3.amazonaws.com/t%C3%A4sse.jpg?v=%C3%BC&X-Amz-Signature=ab12"
    ),
}


def hashed_by_before() -> str:
    """By what the version that sent links as they were written has hashed requests."""
    shape = load_endpoint("gpt-image-1.5-edit").shape
    hashed = orjson.dumps([links_digest(), shape.defaults, shape.inputs])
    return hashlib.sha256(hashed).hexdigest()[:16]


# A rebuilt ledger has them from the cells of manifest.csv: plain, of other letters, and with quotes of both kinds.
IN_CELLS = [link for link in AS_WRITTEN if re.search("HTTPS|täss|[\"']", link)]


@pytest.mark.parametrize(
    ("written", "rebuilt"), [*((link, False) for link in AS_WRITTEN), *((link, True) for link in IN_CELLS)]
)
@pytest.mark.slow
async def test_a_link_that_is_encoded_since_is_the_same_picture(catalog: Path, written: str, rebuilt: bool) -> None:
    name, out = "catalog", catalog / "outputs" / "catalog"
    manifest = catalog / "catalog.yaml"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace("'https://shop.example.com/mug.jpg'", json.dumps(written)), encoding="utf-8")
    with closing(sqlite3.connect(out / "ledger.sqlite3")) as db:
        was, params = db.execute("SELECT fingerprint, params FROM requests WHERE job_id = 'plain'").fetchone()
        request = EditRequest("gpt-image-1.5-edit", {**json.loads(params), "image_urls": [written]})
        known = former_fingerprints_of(request)[0]
        db.execute(
            "UPDATE requests SET fingerprint = ?, params = ? WHERE fingerprint = ?",
            (known, json.dumps(dict(request.params), ensure_ascii=False), was),
        )
        for table, column in (("jobs", "fingerprint"), ("jobs", "placed_fingerprint"), ("attempts", "fingerprint")):
            db.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (known, was))
        db.execute("INSERT INTO columns VALUES ('hashed_by', ?)", (json.dumps({request.endpoint: hashed_by_before()}),))
        db.commit()
    if rebuilt:
        rows = (out / "manifest.csv").read_text(encoding="utf-8")
        cell = '"' + written.replace('"', '""') + '"'
        rows = rows.replace(was, known).replace(",https://shop.example.com/mug.jpg,", f",{cell},")
        (out / "manifest.csv").write_text(rows, encoding="utf-8")
        lose_the_ledger(catalog, name)
    assert_done(plan(catalog, name))
    assert await run(catalog, name) == 0
    assert_done(plan(catalog, name))
    with (out / "manifest.csv").open(encoding="utf-8", newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["job_id"] == "plain")
    assert row["status"] == "succeeded"
    sent = json.dumps(AS_WRITTEN[written])
    manifest.write_text(text.replace("'https://shop.example.com/mug.jpg'", sent), encoding="utf-8")
    assert_done(plan(catalog, name))


async def test_a_request_of_unknown_fate_is_not_sent_again_because_its_link_is_encoded_since(catalog: Path) -> None:
    out, manifest = catalog / "outputs" / "catalog", catalog / "catalog.yaml"
    written = "https://shop.example.com/größe.jpg"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace("'https://shop.example.com/mug.jpg'", json.dumps(written)), encoding="utf-8")
    with closing(sqlite3.connect(out / "ledger.sqlite3")) as db:
        was, params = db.execute("SELECT fingerprint, params FROM requests WHERE job_id = 'plain'").fetchone()
        request = EditRequest("gpt-image-1.5-edit", {**json.loads(params), "image_urls": [written]})
        known = former_fingerprints_of(request)[0]
        db.execute(
            "UPDATE requests SET fingerprint = ?, params = ?, state = 'unknown' WHERE fingerprint = ?",
            (known, json.dumps(dict(request.params), ensure_ascii=False), was),
        )
        db.execute("UPDATE jobs SET fingerprint = ?, placed_fingerprint = NULL WHERE fingerprint = ?", (known, was))
        db.execute("INSERT INTO columns VALUES ('hashed_by', ?)", (json.dumps({request.endpoint: hashed_by_before()}),))
        db.commit()
    planned = plan(catalog, "catalog")
    assert (planned.requests, planned.known["unknown"]) == (0, 1)


async def test_a_parameter_named_as_a_column_has_a_column_of_its_own_also_for_a_rebuilt_ledger(catalog: Path) -> None:
    shutil.rmtree(catalog / "outputs")
    added = "parameters:\n  width: {type: integer, default: 512}\n  error: {type: string, default: no}\n"
    (catalog / "own.yaml").write_text(
        NANO_BANANA.read_text(encoding="utf-8").replace("parameters:\n", added), encoding="utf-8"
    )
    job = "{id: a, prompt: Peel it, image_urls: ['https://example.com/a.jpg'], width: 640}"
    (catalog / "banana.yaml").write_text(f"endpoint: own.yaml\njobs: [{job}]\n", encoding="utf-8")
    assert await run(catalog, "banana") == 1
    with (catalog / "outputs" / "banana" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    # The sandbox knows no such parameters, and refuses it for good.
    assert (row["status"], row["param.width"], row["param.error"]) == ("failed", "640", "no")
    lose_the_ledger(catalog, "banana")
    assert_done(plan(catalog, "banana"))


@pytest.mark.slow
async def test_pictures_of_version_0_1_can_be_finished(catalog: Path, bench: Bench) -> None:
    output = catalog / "outputs" / "catalog"
    said = await bench.command("finish", output, "--preset", "shopify-square", "--json")
    with (output / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["output_path"]]
    assert (said.code, said.json["made"]) == (0, len(rows))
    assert all((output / row["finished"]).is_file() for row in rows)
