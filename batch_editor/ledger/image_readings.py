"""What verdicts need to know of images: under which fingerprints their requests went, and which jobs have them."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable

import orjson


def fingerprints_since(db: sqlite3.Connection) -> dict[str, list[str]]:
    """What requests are called now that were renamed, by what they were called before."""
    renamed: dict[str, list[str]] = defaultdict(list)
    for former, fingerprint in db.execute("SELECT former, fingerprint FROM former_fingerprints"):
        renamed[former].append(fingerprint)
    return dict(renamed)


def jobs_with_image(db: sqlite3.Connection, fingerprints: Iterable[str]) -> list[tuple[str, str, int]]:
    """Fingerprint and SHA-256 of the images of these requests, and how many succeeded jobs of the manifest have it."""
    return db.execute(
        "SELECT r.fingerprint, r.sha256, count(*) FROM json_each(?) wanted"
        " CROSS JOIN requests r ON r.fingerprint = wanted.value CROSS JOIN jobs j ON j.fingerprint = r.fingerprint"
        " WHERE r.state = 'succeeded' AND r.sha256 IS NOT NULL AND j.active AND j.fault IS NULL GROUP BY 1, 2",
        (orjson.dumps(sorted(fingerprints)).decode(),),
    ).fetchall()
