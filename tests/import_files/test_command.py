"""`export` for a shop as a command: its settings, its streams, its exit codes; after real runs."""

from __future__ import annotations

import asyncio
import csv
import gzip
import hashlib
import signal
from pathlib import Path

import pytest

from batch_editor.config import load_settings
from batch_editor.errors import ConfigError
from batch_editor.shops import Format
from tests.import_files.shop import AT, Shop, replaced
from tests.support.bench import Bench, sandbox

HOST = "http://127.0.0.1:9"
TABLE = f"Handle,Title,Image Src\r\nmug,Red mug,{HOST}/front.png\r\nmug,,{HOST}/side.png\r\ncup,Cup,{HOST}/cup.png"
SET = ("--set", "prompt=Show {{ title }}", "--set", "size=1024x1024", "--set", "quality=low", "--yes")
NOT_SET = (
    "error: outputs.public_url is not set, the address at which the shop finds what lies in the output directory:"
    " outputs: {public_url: https://cdn.example.com/out} in config.yaml, or"
    " BATCH_EDITOR_OUTPUTS__PUBLIC_URL=https://cdn.example.com/out\n"
)
PUBLIC_URL = {"BATCH_EDITOR_OUTPUTS__PUBLIC_URL": AT}


async def ran(bench: Bench, text: str = TABLE, *more: str) -> Path:
    """The table that a real run has read."""
    manifest = bench.folder / "table.csv"
    manifest.write_bytes(text.encode())
    async with sandbox() as provider:
        done = await bench.command(*bench.run_arguments(manifest, provider, *SET, *more))
    assert done.code == 0, done.err
    return manifest


async def test_what_a_run_made_goes_back_at_the_address_of_its_files(bench: Bench) -> None:
    await ran(bench)
    shop = Shop(bench.folder)
    for row in bench.rows():
        assert (bench.out / row["output_path"]).is_file()
    done = await bench.command("export", "out", "--format", "shopify", environment=PUBLIC_URL, key=None)
    at = {row["job_id"]: f"{AT}/{row['output_path']}?v={row['sha256'][:8]}" for row in bench.rows()}
    assert at == shop.addresses()
    links = {f"{HOST}/front.png": at["mug-1"], f"{HOST}/side.png": at["mug-2"], f"{HOST}/cup.png": at["cup-1"]}
    assert (done.code, done.out) == (0, replaced(TABLE, links))
    assert done.err.splitlines() == ["out: 3 of 3 pictures new (0 approved, 3 not reviewed)"]


async def test_finished_files_go_out_in_place_of_the_pictures(bench: Bench) -> None:
    """One job's could not be made, and one's fails a check."""
    (bench.folder / "shop.yaml").write_text("makes: {size: 8x8}\nchecks: {name: mug.*}\n")
    await ran(bench, TABLE)
    (bench.images / "mug-2.png").write_bytes(b"no picture any more")
    export = ("export", "out", "--format", "shopify", "--finished", "shop")
    none = await bench.command(*export, environment=PUBLIC_URL, key=None)
    assert none.code == 2
    assert none.err == (
        "error: --finished shop: there are no finished files of that name; there are: none;"
        " `batch-editor finish OUT --preset NAME` makes some\n"
    )
    assert (await bench.command("finish", "out", "--preset", "shop.yaml")).code == 1
    done = await bench.command(*export, "--to", "import.csv", environment=PUBLIC_URL, key=None)
    files = {id: bench.out / "finished" / "shop" / f"{id}.png" for id in ("mug-1", "cup-1")}
    at = {
        id: f"{AT}/finished/shop/{id}.png?v={hashlib.sha256(file.read_bytes()).hexdigest()[:8]}"
        for id, file in files.items()
    }
    links = {f"{HOST}/front.png": at["mug-1"], f"{HOST}/cup.png": at["cup-1"]}
    assert (done.code, (bench.folder / "import.csv").read_bytes()) == (0, replaced(TABLE, links).encode())
    assert done.err.splitlines() == [
        "import.csv: 2 of 3 pictures new (0 approved, 2 not reviewed)",
        "warning: 1 finished file fails a check, such as job cup-1's; its report in finished/ says which",
        "1 stays as it is (not finished: 1); listed in import.csv.rest.csv",
    ]
    with (bench.folder / "import.csv.rest.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["job_id"], row["status"]) == ("mug-2", "succeeded")
    assert row["reason"].startswith("its finished file shop could not be made: ")


async def test_on_standard_output_what_stays_is_told_on_standard_error(bench: Bench) -> None:
    manifest = await ran(bench)
    rows = "".join(f"\r\nvase-{number},Vase,{HOST}/{number}.png" for number in range(25))
    manifest.write_text(TABLE + rows, newline="")
    done = await bench.command(
        *("export", "out", "--format", "shopify", "--from", "table.csv"), environment=PUBLIC_URL, key=None
    )
    assert done.code == 0
    assert done.out.endswith(rows)
    assert done.err.splitlines() == [
        "out: 3 of 28 pictures new (0 approved, 3 not reviewed)",
        "25 stay as they are (no job: 25); --to FILE lists them in FILE.rest.csv (the first ones):",
        *(f"  line {number + 5}: {HOST}/{number}.png: no job has this picture" for number in range(20)),
    ]


async def test_a_fault_leaves_standard_output_empty(bench: Bench) -> None:
    (bench.folder / "jobs.yaml").write_text(
        "jobs: [{rows: table.csv, prompt: '{{ title }} {{ n }}', matrix: {n: [one, two]}, quality: low}]"
    )
    (bench.folder / "table.csv").write_bytes(TABLE.encode())
    async with sandbox() as provider:
        await bench.command(*bench.run_arguments(Path("jobs.yaml"), provider, "--yes"))
    done = await bench.command("export", "out", "--format", "shopify", environment=PUBLIC_URL, key=None)
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[0].endswith(
        f":2: '{HOST}/front.png' of mug has 2 new pictures, of the jobs mug-1-one, mug-1-two; choose by --only GLOB"
    )
    assert len(done.err.splitlines()) == 3


async def test_an_address_has_to_be_set(bench: Bench) -> None:
    await ran(bench)
    done = await bench.command("export", "out", "--format", "shopify", "--to", "import.csv", key=None)
    assert done.code == 2
    assert done.err == NOT_SET
    assert not (bench.folder / "import.csv").exists()
    (bench.folder / "night.yaml").write_text("outputs: {public_url: 'https://cdn.example.com/ü x/'}")
    done = await bench.command(
        *("export", "out", "--format", "shopify", "--to", "import.csv", "-c", "night.yaml"), key=None
    )
    assert done.code == 0, done.err
    assert "https://cdn.example.com/%C3%BC%20x/images/mug-1.png?v=" in (bench.folder / "import.csv").read_text()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("cdn.example.com/x", "expected an http(s) URL"),
        ("https://cdn.example.com/x?a=1", "expected a URL without ? and #, for a picture's path is put behind it"),
        ("https://cdn.example.com/x#a", "expected a URL without ? and #, for a picture's path is put behind it"),
        ("https://tom:secret@cdn.example.com", "expected a URL without a user name; the key goes into the environment"),
    ],
)
def test_an_address_is_a_url_that_a_path_can_follow(url: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(flags={"outputs": {"public_url": url}})
    assert str(caught.value) == f"command line: outputs.public_url is {url!r}; {said}"


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("https://cdn.example.com/", "https://cdn.example.com"),
        ("https://cdn.example.com/a,b/ü", "https://cdn.example.com/a%2Cb/%C3%BC"),
        ("https://cdn.example.com/ü/{output}", "https://cdn.example.com/%C3%BC/{output}"),
    ],
)
def test_an_address_has_nothing_in_it_that_separates_links(url: str, meant: str) -> None:
    assert load_settings(flags={"outputs": {"public_url": url}}).outputs.public_url == meant


@pytest.mark.parametrize(
    "option", [("--approved",), ("--only", "mug*"), ("--from", "table.csv"), ("--finished", "google")]
)
async def test_what_is_said_of_a_shop_s_file_is_refused_with_the_output_manifest(
    bench: Bench, option: tuple[str, ...]
) -> None:
    done = await bench.command("export", "out", "--format", "jsonl", *option, key=None)
    assert done.code == 2
    assert done.err.splitlines()[-1] == (
        "Error: --approved, --finished, --from and --only are of --format shopify, woocommerce or google"
    )


async def test_a_rehearsal_s_images_are_warned_of(bench: Bench) -> None:
    (bench.folder / "table.csv").write_bytes(TABLE.encode())
    done = await bench.command("run", "table.csv", "-o", "out", *SET, "--sandbox", "--progress", "none", key=None)
    assert done.code == 0, done.err
    done = await bench.command("export", "out", "--format", "shopify", environment=PUBLIC_URL, key=None)
    assert done.err.splitlines()[0] == "warning: out is a rehearsal's: its images are no edits"


async def test_the_tables_of_one_run_have_one_time(bench: Bench) -> None:
    (bench.folder / "other.csv").write_text(f"Handle,Title,Image Src\nvase,Vase,{HOST}/vase.png\n")
    (bench.folder / "table.csv").write_bytes(TABLE.encode())
    async with sandbox() as provider:
        done = await bench.command(*bench.run_arguments(Path("table.csv"), provider, *SET, "other.csv"))
    assert done.code == 0, done.err
    kept = list((bench.out / "inputs").iterdir())
    assert len({path.stat().st_mtime_ns for path in kept}) == 1
    done = await bench.command("export", "out", "--format", "shopify", environment=PUBLIC_URL, key=None)
    assert (done.code, done.err.splitlines()[0]) == (
        2,
        "error: out: the last run read 2 tables of this shop; choose by --from FILE:",
    )
    of_mugs = next(path for path in kept if b"mug" in gzip.decompress(path.read_bytes()))
    done = await bench.command(
        *("export", "out", "--format", "shopify", "--from", of_mugs), environment=PUBLIC_URL, key=None
    )
    assert done.code == 0, done.err
    assert done.out.count(AT) == 3


async def test_what_was_said_of_an_image_holds_under_its_request_s_new_name(bench: Bench) -> None:
    await ran(bench)
    shop = Shop(bench.folder)
    shop.judge({"mug-1": "rejected", "mug-2": "approved"})
    async with sandbox() as provider:
        renamed = ("--set", "identity={{ handle }}-{{ position }}")
        done = await bench.command(*bench.run_arguments(Path("table.csv"), provider, *SET, *renamed))
        assert (done.code, provider.books.requests) == (0, 0), done.err
    done = await bench.command(
        *("export", "out", "--format", "shopify", "--approved", "--to", "import.csv"), environment=PUBLIC_URL, key=None
    )
    assert done.err.splitlines() == [
        "import.csv: 1 of 3 pictures new (1 approved, 0 not reviewed)",
        "2 stay as they are (rejected: 1, not approved: 1); listed in import.csv.rest.csv",
    ]
    made = (bench.folder / "import.csv").read_bytes().decode()
    assert made == TABLE.replace(f"{HOST}/side.png", shop.addresses()["mug-2"])


@pytest.mark.parametrize("at", [".import.csv.part", ".import.csv.rest.csv.part"])
async def test_a_death_leaves_neither_the_file_nor_its_list_half(bench: Bench, at: str) -> None:
    """While one of them is written; or behind it, where the process is quicker than whoever looks."""
    shop = Shop(bench.folder)
    rows = "".join(f"mug-{number},Mug,{HOST}/{number}.png\n" for number in range(60))
    shop.run(f"Handle,Title,Image Src\n{rows}", fates=lambda job: "failed" if job < "mug-4" else None)
    shop.export(Format.SHOPIFY)
    files = [shop.target, bench.folder / "import.csv.rest.csv"]
    after = [path.read_bytes() for path in files]
    for path in files:
        path.write_bytes(b"before")
    export = ("export", "out", "--format", "shopify", "--to", "import.csv")
    async with bench.started(*export, environment=PUBLIC_URL, key=None) as process, asyncio.timeout(20):
        while not (bench.folder / at).exists() and files[0].read_bytes() == b"before":  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        process.kill()
        assert (await process.finished()).code in (0, -signal.SIGKILL)
    for path, whole in zip(files, after, strict=True):
        assert path.read_bytes() in (b"before", whole)
    assert (await bench.command(*export, environment=PUBLIC_URL, key=None)).code == 0
    assert [path.read_bytes() for path in files] == after
    assert not list(bench.folder.glob(".*.part"))
