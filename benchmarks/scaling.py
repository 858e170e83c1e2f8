"""What ten million jobs take, on virtual time: the account's rate, requests in flight, days, disk, descriptors.

    python benchmarks/scaling.py [--jobs 10000000] [--latency 57] [--image-bytes 2000000]

The time is the project's own simulation, its middle of five runs. Beyond a sample it goes on at its steady pace, which
`--check` compares with a simulation of every request. Bytes of the ledger and of the output manifest are those that
`benchmarks/manifests.py` measures at a million rows.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import replace

from batch_editor.records import Rate
from batch_editor.scheduling.retry import RetryPolicy
from batch_editor.scheduling.simulation import Failed, Workload, at_share, simulate, simulate_often, spread_latencies

RATES = ("60/min", "600/min", "6000/min", "200/s")
# What one process keeps in flight at most: see docs/scaling.md.
CONCURRENCY = 10_000
LEDGER_BYTES, MANIFEST_BYTES = 1200, 457
FAILURE_SHARE = 0.01
CHECKED = 100_000


def main() -> None:
    """Print a line for each rate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10**7)
    parser.add_argument("--latency", type=float, default=56.95, help="seconds, average")
    parser.add_argument("--image-bytes", type=int, default=2_000_000)
    parser.add_argument("--check", action="store_true", help=f"simulate all of {CHECKED:,} requests besides")
    options = parser.parse_args()
    latencies_s = spread_latencies(options.latency)
    print(f"{options.jobs:,} jobs of {options.latency:g} s, {FAILURE_SHARE:.0%} of attempts made again")
    print(
        f"{'rate':>9}{'in flight':>11}{'days':>9}{'descriptors':>13}{'images/s':>10}{'MB/s':>8}{'image TB':>10}", end=""
    )
    print(f"{'ledger GB':>11}{'manifest GB':>13}")
    for rate in RATES:
        work = Workload(
            requests=options.jobs,
            concurrency=CONCURRENCY,
            rate=Rate.parse(rate),
            latencies_s=latencies_s,
            failure_share=FAILURE_SHARE,
            failures=[Failed(latency_s) for latency_s in latencies_s],
            policy=RetryPolicy(max_attempts=5, max_possibly_billed=2, backoff_s=1.0, backoff_max_s=60.0),
        )
        end_s = at_share(simulate_often(work, repeats=5), 0.5).end_s
        flying = min(work.in_flight, CONCURRENCY)
        a_second = options.jobs / end_s
        print(
            # A connection each, and a landing file for those whose image is coming in: two at the most.
            f"{rate:>9}{flying:>11,}{end_s / 86400:>9.1f}{2 * flying:>13,}{a_second:>10.1f}"
            f"{a_second * options.image_bytes / 1e6:>8.1f}{options.jobs * options.image_bytes / 1e12:>10.1f}"
            f"{options.jobs * LEDGER_BYTES / 1e9:>11.1f}{options.jobs * MANIFEST_BYTES / 1e9:>13.1f}",
            flush=True,
        )
        if options.check:
            check(replace(work, requests=CHECKED))


def check(work: Workload) -> None:
    """Print how far the steady pace is from a simulation of every request."""

    class Whole(Workload):
        @property
        def sample(self) -> int:
            return self.requests

    values = {name: getattr(work, name) for name in Workload.__dataclass_fields__}
    sampled = simulate(work, random.Random(0)).end_s
    whole = simulate(Whole(**values), random.Random(0)).end_s
    print(f"{'':>9}  {CHECKED:,} requests: sampled {sampled:,.0f} s, all {whole:,.0f} s ({sampled / whole - 1:+.1%})")


if __name__ == "__main__":
    main()
