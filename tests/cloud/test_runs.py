"""Runs whose pictures go to a bucket."""

from __future__ import annotations

import csv
import hashlib
import io

from tests.support.bench import Bench, jobs, sandbox
from tests.support.s3_server import S3


async def test_pictures_and_the_manifest_are_in_the_bucket_as_they_would_be_below_the_output_directory(
    bench: Bench, s3: S3
) -> None:
    async with sandbox() as provider:
        summary = await bench.run(jobs(3), provider, outputs__images=f"s3://{s3.bucket}/shop")
    assert summary.exit_code == 0
    found = s3.objects("shop/out/")
    assert sorted(found) == [".batch-editor.json", *(f"images/job-{n}.png" for n in range(3)), "manifest.csv"]
    for row in bench.rows():
        assert hashlib.sha256(found[row["output_path"]]).hexdigest() == row["sha256"]
    assert found["manifest.csv"] == (bench.out / "manifest.csv").read_bytes()
    assert len(list(csv.DictReader(io.StringIO(found["manifest.csv"].decode())))) == 3
    head = s3.client.head_object(Bucket=s3.bucket, Key="shop/out/images/job-0.png")
    assert (head["ContentType"], head["Metadata"]) == ("image/png", {"sha256": bench.row("job-0")["sha256"]})
    assert bench.files() == []
