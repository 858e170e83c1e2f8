"""Rows a second that are planned, taken in, gone on with and run again, at 10³ to 10⁶ rows.

    python benchmarks/manifests.py [--rows 1000 10000 100000 1000000] [--templates | --exports]

Each size is measured in a process of its own. Going on starts from a ledger in which all but 1,000 rows are done, made
here by SQL; its images are not on the disk, so that what a run does about missing files is left out. Running again is
`batch-editor run` as a whole process, once all is done and a file is there for each image: from the start of Python to
the new manifest.csv. `--exports`: planning shops' exports of so many rows, with a template for the prompt; rows are
those of the export, not its pictures.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from xml.sax.saxutils import escape

from batch_editor import Selection, Settings, last_summary
from batch_editor.ledger import FILE_NAME, Expected, Ledger, Staging, import_jobs, readings
from batch_editor.output.output_manifest import write_manifest
from batch_editor.planning.calibration import Calibration
from batch_editor.planning.catalog import Catalog, stage_manifests
from batch_editor.planning.estimate import assess

LEFT = 1000
TEMPLATES = {
    "prompt": "Show {{ title }} on white",
    "image_urls": "{{ image_src }}",
    "id": "{{ handle }}-{{ position }}",
}


def main() -> None:
    """Print a line for each step at each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--templates", action="store_true", help="three columns come from --set")
    parser.add_argument("--exports", action="store_true", help="shops' exports, planned")
    parser.add_argument("--export", choices=EXPORTS, help=argparse.SUPPRESS)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.export:
        measure_export(options.export, options.one)
        return
    if options.one:
        measure(options.one, TEMPLATES if options.templates else {})
        return
    print(f"{'rows':>9}  {'step':<22}{'seconds':>9}{'CPU s':>8}{'rows/s':>10}{'rows/CPU s':>12}{'MB':>6}")
    for rows in options.rows:
        more = [["--templates"]] if options.templates else [[]]
        if options.exports:
            more = [["--export", name] for name in EXPORTS]
        for options_of_one in more:
            subprocess.run([sys.executable, __file__, "--one", str(rows), *options_of_one], check=True)


def measure(rows: int, overrides: dict[str, str]) -> None:
    """One size, in a folder that goes afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        manifest, out = Path(folder) / "catalog.csv", Path(folder) / "out"
        write(manifest, rows, shop=bool(overrides))
        out.mkdir()
        settings, selection = Settings(), Selection(overrides=overrides)
        catalog = Catalog(settings)

        def admit(staging: Staging) -> None:
            import_jobs(
                ledger,
                staging.path,
                shapes=catalog.shapes,
                extras=list(staging.extras),
            )

        with Staging() as staging:
            with timed("plan", rows):
                calibration = Calibration(out)
                stage_manifests([manifest], catalog, selection, calibration, staging)
                assess(staging, catalog, settings, calibration, output=out)
            ledger = Ledger(out / FILE_NAME)
            with timed("new to the ledger", rows):
                admit(staging)
        left = min(LEFT, rows)
        finish(ledger, range(rows - left))
        with timed("go on", rows), Staging() as staging:
            calibration = Calibration(out)
            stage_manifests([manifest], catalog, selection, calibration, staging)
            plan = assess(staging, catalog, settings, calibration, output=out)
            admit(staging)
        assert plan.requests == left
        ledger.close()
        with timed("status", rows):
            last_summary(out)
        with timed("manifest.csv", rows), readings.reading(out) as db:
            write_manifest(db, out / "manifest.csv")
        with closing(Ledger(out / FILE_NAME)) as ledger:
            finish(ledger, range(rows - left, rows))
            make_images(ledger, out)
        with timed("run again", rows, resource.RUSAGE_CHILDREN):
            run(manifest, out, overrides)
        for path in sorted(out.glob("[!.]*.*")):
            print(f"{rows:>9}  {path.name}: {path.stat().st_size / rows:.0f} bytes a row")


def measure_export(name: str, rows: int) -> None:
    """Plan a shop's export of so many rows."""
    with tempfile.TemporaryDirectory() as folder:
        manifest, out = Path(folder) / name, Path(folder) / "out"
        EXPORTS[name](manifest, rows)
        settings, selection = Settings(), Selection(overrides={"prompt": TEMPLATES["prompt"]})
        with Staging() as staging, timed(f"plan {name}", rows):
            catalog, calibration = Catalog(settings), Calibration(out)
            report = stage_manifests([manifest], catalog, selection, calibration, staging)
            assess(staging, catalog, settings, calibration, output=out)
        assert report.tables[0].format == Path(name).stem


@contextmanager
def timed(step: str, rows: int, whose: int = resource.RUSAGE_SELF) -> Iterator[None]:
    """Print what the block took; the memory is the highest so far."""
    began, before = time.perf_counter(), resource.getrusage(whose)
    yield
    took, used = time.perf_counter() - began, resource.getrusage(whose)
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    peak = used.ru_maxrss >> 10
    print(f"{rows:>9}  {step:<22}{took:>9.2f}{cpu:>8.2f}{rows / took:>10,.0f}{rows / cpu:>12,.0f}{peak:>6}", flush=True)


def write(path: Path, rows: int, *, shop: bool) -> None:
    """A catalog; of a shop, whose columns are no parameters yet."""
    with path.open("w", encoding="utf-8") as file:
        if shop:
            file.write("Handle,Title,Image Src,Position,Vendor\n")
            for n in range(rows):
                file.write(f"product-{n:07},Mug No. {n},https://cdn.example.com/{n % 997}/{n}.jpg,1,Acme\n")
            return
        file.write("id,prompt,image_urls,quality,size,title,sku,price\n")
        for n in range(rows):
            link = f"https://cdn.example.com/catalog/{n % 997}/{n}.jpg"
            prompt = f"Put mug number {n} on a pure white background with a soft shadow"
            file.write(f"product-{n:07},{prompt},{link},{'low' if n % 3 else 'medium'},1024x1024,Mug {n},{n:08},4.99\n")


BODY = (
    "<p>Stoneware, 0.3&nbsp;l</p><ul><li>dishwasher-safe</li><li>made in Portugal</li></ul>"
    + "<p>Lorem ipsum.</p>" * 10
)
SHOPIFY = (
    "Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,Option1 Name,Option1 Value,Variant SKU,"
    "Variant Grams,Variant Inventory Tracker,Variant Inventory Qty,Variant Price,Image Src,Image Position,"
    "Image Alt Text,Gift Card,SEO Title,SEO Description,Variant Image,Cost per item,Status"
)
WOOCOMMERCE = (
    "ID,Type,SKU,Name,Published,Is featured?,Visibility in catalog,Short description,Description,Tax status,In stock?,"
    "Stock,Regular price,Categories,Tags,Images,Parent,Attribute 1 name,Attribute 1 value(s)"
)
GOOGLE = "id,title,description,link,image_link,additional_image_link,availability,price,brand,item_group_id"


def write_shopify(path: Path, rows: int) -> None:
    """Four variants of a product, of which three have a picture."""
    with path.open("w", encoding="utf-8") as file:
        file.write(f"{SHOPIFY}\n")
        for n in range(rows):
            product, number = divmod(n, 4)
            about = f'Mug {product},"{BODY}",Acme,Kitchen,Mug,"red, blue",true' if not number else ",,,,,,"
            picture = f"https://cdn.shopify.com/s/files/1/{product}/mug-{number}.jpg?v=17{n},{number + 1}"
            file.write(
                f"mug-{product:07},{about},Size,{number},SKU-{n},300,shopify,5,12.00,{picture if number < 3 else ','},"
                f",false,,,,3.00,{'active' if not number else ''}\n"
            )


def write_woocommerce(path: Path, rows: int) -> None:
    """A product with two pictures, then three variations with one."""
    with path.open("w", encoding="utf-8") as file:
        file.write(f"{WOOCOMMERCE}\n")
        for n in range(rows):
            product, number = divmod(n, 4)
            link = f"https://shop.example.com/wp-content/uploads/{product}"
            if number:
                middle, images = f",,taxable,1,5,12,,,{link}-v{number}.jpg", f"MUG-{product},Size,{number}"
                file.write(
                    f"{n},variation,MUG-{product}-{number},Mug {product} - {number},1,0,visible,{middle},{images}\n"
                )
            else:
                middle, images = f'"{BODY}",taxable,1,,,Kitchen,red', f'"{link}-1.jpg, {link}-2.jpg"'
                file.write(
                    f'{n},variable,MUG-{product},Mug {product},1,0,visible,Nice,{middle},{images},,Size,"1, 2, 3"\n'
                )


def google_items(rows: int) -> Iterator[list[str]]:
    """Four items of a group, the third one with a second picture."""
    for n in range(rows):
        link = f"https://cdn.example.com/{n}"
        more = f"{link}-b.jpg" if n % 3 == 0 else ""
        yield [f"G-{n}", f"Mug {n}", BODY, link, f"{link}.jpg", more, "in stock", "12 EUR", "Acme", f"group-{n // 4}"]


def write_google(path: Path, rows: int) -> None:
    """The items as a table."""
    with path.open("w", encoding="utf-8") as file:
        file.write(f"{GOOGLE}\n")
        for cells in google_items(rows):
            file.write(",".join(f'"{cell}"' if "," in cell else cell for cell in cells) + "\n")


def write_feed(path: Path, rows: int) -> None:
    """The items as XML."""
    names = GOOGLE.split(",")
    with path.open("w", encoding="utf-8") as file:
        file.write('<rss xmlns:g="http://base.google.com/ns/1.0"><channel>\n')
        for cells in google_items(rows):
            parts = (f"<g:{name}>{escape(cell)}</g:{name}>" for name, cell in zip(names, cells, strict=True) if cell)
            file.write(f"<item>{''.join(parts)}</item>\n")
        file.write("</channel></rss>\n")


EXPORTS: dict[str, Callable[[Path, int], None]] = {
    "shopify.csv": write_shopify,
    "woocommerce.csv": write_woocommerce,
    "google.csv": write_google,
    "google.xml": write_feed,
}


def finish(ledger: Ledger, jobs: range) -> None:
    """Make the requests of these jobs done, as a run would leave them."""
    run_id, places = f"benchmark-{jobs.stop}", (jobs.start, jobs.stop)
    ledger.runs.begin(run_id, now=time.time(), sandbox=False, expected=Expected(len(jobs), 1.0, 1.0))
    with ledger.transaction():
        db = ledger.connection
        db.execute(
            "UPDATE jobs SET placed_path = 'images/' || output || '.png', placed_output = output,"
            " placed_fingerprint = fingerprint WHERE position >= ? AND position < ?",
            places,
        )
        db.execute(
            "UPDATE requests SET state = 'succeeded', image_path = j.placed_path, sha256 = hex(zeroblob(32)),"
            " size_bytes = 2000000, format = 'png', width = 1024, height = 1024, latency_s = 57.0,"
            " cost_usd = expected_usd, attempts = 1, sent_at = 1.7e9, ended_at = 1.7e9 + 57, http_status = 200"
            " FROM jobs j WHERE j.job_id = requests.job_id AND requests.position >= ? AND requests.position < ?",
            places,
        )
        db.execute(
            "INSERT INTO attempts (fingerprint, run_id, number, state, sent_at, ended_at, latency_s, http_status,"
            " charged_usd, cost_usd, sha256) SELECT fingerprint, ?, 1, 'succeeded', sent_at, ended_at,"
            " latency_s, 200, expected_usd, expected_usd, sha256 FROM requests WHERE state = 'succeeded'"
            " AND position >= ? AND position < ? ORDER BY position",
            (run_id, *places),
        )
    ledger.runs.end(run_id, now=time.time(), exit_code=4, stop=None)


def make_images(ledger: Ledger, out: Path) -> None:
    """An empty file for each image: a run that goes on looks whether it is there."""
    (out / "images").mkdir()
    for (path,) in ledger.connection.execute("SELECT placed_path FROM jobs"):
        os.close(os.open(out / path, os.O_CREAT | os.O_WRONLY))


def run(manifest: Path, out: Path, overrides: Mapping[str, str]) -> None:
    """The command line's run of a manifest that has nothing to send."""
    settings = [part for name, value in overrides.items() for part in ("--set", f"{name}={value}")]
    subprocess.run(
        [
            *(sys.executable, "-m", "batch_editor", "run", str(manifest), "--output", str(out)),
            *("--base-url", "http://127.0.0.1:9/v1", "--progress", "none", *settings),
        ],
        cwd=out.parent,
        env={**os.environ, "SEGMIND_API_KEY": "SG_0123456789abcdef", "XDG_STATE_HOME": str(out.parent)},
        stdout=subprocess.DEVNULL,
        check=True,
    )


if __name__ == "__main__":
    main()
