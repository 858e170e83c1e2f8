"""The figures and the alert rules, by Prometheus' own tool."""

from __future__ import annotations

import asyncio
import re
import subprocess
from pathlib import Path

import pytest

from tests.docs.pages import PAGES
from tests.support.bench import Bench, job, jobs, sandbox

RULES = next(block for block in re.findall(r"```yaml\n(.*?)```", PAGES["prometheus"], re.DOTALL) if "alert:" in block)


def promtool(*arguments: str, given: bytes = b"") -> tuple[int, str]:
    done = subprocess.run(["promtool", *arguments], input=given, capture_output=True, check=False)
    return done.returncode, (done.stdout + done.stderr).decode()


async def test_promtool_takes_the_textfile(bench: Bench) -> None:
    textfile = bench.folder / "night.prom"
    async with sandbox(faults=("400:prompt~refuse", "502@1")) as provider:
        await bench.run([*jobs(3), job("bad", "refuse")], provider, metrics__textfile=textfile)
    text = await asyncio.to_thread(textfile.read_bytes)
    assert promtool("check", "metrics", given=text) == (0, "")
    assert promtool("check", "metrics", given=text.replace(b"# HELP", b"# HLEP"))[0] != 0


@pytest.mark.parametrize("count", [3])
def test_promtool_takes_the_alert_rules(count: int, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(RULES, encoding="utf-8")
    code, said = promtool("check", "rules", str(file))
    assert (code, f"SUCCESS: {count} rules found" in said) == (0, True), said


def test_the_rules_wake_somebody_on_the_nights_that_they_are_for(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    (tmp_path / "test.yaml").write_text(
        """
rule_files: [rules.yaml]
evaluation_interval: 1h
tests:
  - interval: 1h
    input_series:
      - {series: 'batch_editor_last_success_timestamp_seconds{output="/srv/out"}', values: '0x40'}
      - {series: 'batch_editor_last_run_exit_code{output="/srv/out"}', values: '0x9 4x9 3x30'}
      - {series: 'batch_editor_spent_usd_total{output="/srv/out",kind="confirmed"}', values: '9x40'}
      - {series: 'batch_editor_spent_usd_total{output="/srv/out",kind="possibly_billed"}', values: '0.5x9 2x30'}
    alert_rule_test:
      - {eval_time: 26h, alertname: NightMissed, exp_alerts: []}
      - eval_time: 27h
        alertname: NightMissed
        exp_alerts:
          - exp_labels: {output: /srv/out}
            exp_annotations: {summary: "/srv/out: no run has ended well for 1d 3h 0m 0s"}
      - {eval_time: 9h, alertname: NightWentWrong, exp_alerts: []}
      - {eval_time: 19h, alertname: NightWentWrong, exp_alerts: []}
      - eval_time: 20h
        alertname: NightWentWrong
        exp_alerts:
          - exp_labels: {output: /srv/out}
            exp_annotations: {summary: "/srv/out: the last run ended with 3; see manifest.csv"}
      - {eval_time: 9h, alertname: MoneyWithoutResult, exp_alerts: []}
      - eval_time: 10h
        alertname: MoneyWithoutResult
        exp_alerts:
          - exp_labels: {output: /srv/out}
            exp_annotations:
              summary: "/srv/out: more than a tenth of the money may be spent without a result"
""",
        encoding="utf-8",
    )
    code, said = promtool("test", "rules", str(tmp_path / "test.yaml"))
    assert code == 0, said


def test_every_figure_of_a_rule_is_one_that_there_is() -> None:
    named = set(re.findall(r"batch_editor_(\w+)", RULES))
    assert {name for name in named if f"| `{name}` |" not in PAGES["prometheus"]} == set()
