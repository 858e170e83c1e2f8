"""The pages of the documentation, and the commands that they show."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]}

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_SAVED = re.compile(r"[Ss]ave this as `([^`]+)`:\n\n```yaml\n(.*?)```", re.DOTALL)
# What installs, or begins something that isn't a command of this package.
_OTHER = re.compile(r"(git clone|cd|make|pip|pipx|docker|python) ")

# Commands that aren't run as they stand, each with the reason.
ELSEWHERE: dict[str, str] = {
    r"uvx --from \. batch-editor plan jobs/demo\.yaml": "tests/install runs it in an empty place",
    r"docker run .* batch-editor run jobs/catalog\.csv --max-cost 25": "tests/install reads the Dockerfile; no daemon",
    r"(batch-editor catalog: stopped|Next: 12 jobs are left).*": "a message of a run; tests/notify has such",
    r"to redo just these: .*": "a line of status; tests/history runs such",
    r"batch-editor \w+ \[OPTIONS\].*": "how a command is spelt, and no command",
    r"batch-editor sandbox --rate-limit 60/min --fault 502:0\.05": "runs until it is stopped; see docs/sandbox.md",
    r"SEGMIND_API_KEY=any batch-editor run jobs/demo\.yaml --base-url http://127\.0\.0\.1:8080/v1": "the same",
    r"(ssh .* )?batch-editor review \S+( --.*)?": "runs until it is stopped; tests/review starts it",
    r"AWS_PROFILE=shop batch-editor run jobs/catalog\.csv": "needs a bucket; tests/servers/cloud runs it",
    r"batch-editor run jobs/catalog\.csv --open": "starts a review that stays; tests/review starts it",
    r"batch-editor export outputs/shopify --format shopify --to import\.csv": "back-into-your-shop runs it",
    r"ray job submit -- batch-editor .*": "needs a cluster; tests/ray runs such commands on one",
    r"batch-editor run my-jobs\.yaml --limit 1 --max-cost 1": "of an endpoint that a server on its own doesn't serve",
}


def shell(page: str, *languages: str) -> list[str]:
    """The lines of a page's shell blocks, without comments; a line that goes on on the next one is one."""
    blocks = "\n".join(text for language, text in _BLOCK.findall(PAGES[page]) if language in languages)
    lines = re.sub(r" +# .*", "", blocks).replace("\\\n", " ").splitlines()
    return [re.sub(r"  +", " ", line.strip()) for line in lines if line.strip()]


def ours(page: str) -> list[str]:
    """What of a page is to be run: its shell lines but those of other programs and those that are listed."""
    return [line for line in shell(page, "sh") if not _OTHER.match(line) and not is_listed(line)]


def shown(page: str) -> list[str]:
    """Every line with a `batch-editor` command that a page shows, in whatever block."""
    return [
        line for line in shell(page, "sh", "text") if re.search(r"(?<![\w./-])(\.venv/bin/)?batch-editor [a-z]", line)
    ]


def is_listed(line: str) -> bool:
    """Whether a line is in the list of those that aren't run as they stand."""
    return any(re.fullmatch(pattern, line) for pattern in ELSEWHERE)


def saved_files(page: str) -> dict[str, str]:
    """The files that a page tells the reader to save: text by path."""
    return dict(_SAVED.findall(PAGES[page]))


def programs(page: str) -> list[str]:
    """The Python programs of a page."""
    return [text for language, text in _BLOCK.findall(PAGES[page]) if language == "python"]
