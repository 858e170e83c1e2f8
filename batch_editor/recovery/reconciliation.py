"""What a reconciliation with the provider's history comes to: for people, and as `--json`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from batch_editor.output.output_manifest import FILE_NAME as MANIFEST_NAME
from batch_editor.text import many

Outcome = Literal["image", "charged", "not_billed", "open"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one attempt: its image is there, it was charged in vain, or not at all; or it stays open."""

    job_id: str
    attempt: int
    outcome: Outcome
    usd: float | None
    request_id: str | None
    message: str

    def as_json(self) -> dict[str, Any]:
        """One of the `attempts` of `--json`."""
        return {
            "job_id": self.job_id,
            "attempt": self.attempt,
            "outcome": self.outcome,
            "cost_usd": self.usd,
            "request_id": self.request_id,
            "message": self.message,
        }


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What was resolved and what remains. `open_usd` is an upper bound; `unknown` counts jobs of the manifest."""

    output: Path
    findings: tuple[Finding, ...]
    open_usd: float
    unknown: int

    @property
    def exit_code(self) -> int:
        """0 if nothing remains; 1 if attempts are open, or jobs unknown."""
        return 1 if self._count("open") or self.unknown else 0

    def as_json(self) -> dict[str, Any]:
        """The `--json` object."""
        kinds: tuple[Outcome, ...] = ("image", "charged", "not_billed")
        return {
            "output": str(self.output),
            "exit_code": self.exit_code,
            "settled": {kind: self._count(kind) for kind in kinds},
            "open": self._count("open"),
            "cost_usd": {
                "settled": round(sum(f.usd or 0.0 for f in self.findings if f.outcome != "open"), 6),
                "open": round(self.open_usd, 6),
            },
            "unknown_jobs": self.unknown,
            "attempts": [finding.as_json() for finding in self.findings],
        }

    def lines(self) -> Iterator[str]:
        """The same for people."""
        if not self.findings:
            yield "Nothing to resolve: no attempt may have been billed without a result."
        for finding in self.findings:
            yield f"  {finding.job_id}, attempt {finding.attempt}: {finding.message}"
        yield (
            f"Resolved: {many(self._count('image'), 'image')} found, {self._count('charged')} charged in vain,"
            f" {self._count('not_billed')} not billed"
        )
        if count := self._count("open"):
            yield f"Open: {count}, possibly billed up to ${self.open_usd:,.2f}"
        if self.unknown:
            yield f"Jobs that stay unknown: {self.unknown}; run with --retry-failed makes, and pays, them again"
        yield f"Manifest: {self.output / MANIFEST_NAME}"

    def _count(self, outcome: Outcome) -> int:
        return sum(finding.outcome == outcome for finding in self.findings)
