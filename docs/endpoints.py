"""Writes docs/endpoints.md from the endpoint files: `python docs/endpoints.py`. A test keeps the two in step."""

from pathlib import Path

from batch_editor.endpoints import Endpoint, ErrorWords, Parameter, load_endpoint, shipped_endpoints
from batch_editor.endpoints.wording import shared_error_words

REACH = {"job": "this job", "run": "stops the run", "pace": "pauses the run"}
WORDS = """\
A status may say too little: a 429 may mean pace or an empty account, a 400 a bad parameter or an input that could not
be fetched just now. So the text of an error is looked through first, for the words of the endpoint file's own
`error_words`, then for those of `batch_editor/endpoints/_error_words.yaml`, which hold for every endpoint, one of your
own as well. The first entry that fits counts, else the status. So an entry of your own adds to them, or makes an
exception:

```yaml
error_words:
  - statuses: [400, 429]             # 200 too: of an answer without an image
    words: ['out of points']         # regular expressions, in any case; one must be found
    unless: ['per minute']           # and none of these
    kind: credits                    # the `error_kind`
    reach: run                       # job, run or pace
    billed: false                    # the default
    transient: false                 # the default; true: tried again, up to retry.max_attempts
    meaning: The account has no points left
```

A status in `errors` may be `transient` as well. The text is that of an error's usual fields (`error`, `message`,
`detail`, `code`, `type`, …), or of a page without its tags. Links are cut down to `https://`, and the prompt that was
sent is taken out where it is said over again. The words that hold for every endpoint are, in this order:"""

PAGE = Path(__file__).with_suffix(".md")


def page() -> str:
    """The page, as Markdown."""
    intro = (
        "Made from `batch_editor/endpoints/*.yaml` by `python docs/endpoints.py`. An endpoint of your own is a file of"
        " the same shape; name its path as `endpoint:` in a config or a manifest. A parameter can't be named like a key"
        " of a manifest's jobs (`id`, `rows`, …)."
    )
    parts = ["# Endpoints", intro]
    parts += [_section(load_endpoint(name)) for name in shipped_endpoints()]
    table = ["| statuses | `error_kind` | means | reach | may be billed |", "|---|---|---|---|---|"]
    table += dict.fromkeys(_words(each) for each in shared_error_words())
    parts += ["## Words in errors", WORDS, "\n".join(table)]
    return "\n\n".join(parts) + "\n"


def _section(endpoint: Endpoint) -> str:
    lines = [
        f"## {endpoint.name}",
        "",
        f"{endpoint.title}, `POST <base_url>/{endpoint.path}`, about {endpoint.latency_s:g} s a request.",
        "",
        "| parameter | type | required | allowed | default | |",
        "|---|---|---|---|---|---|",
    ]
    lines += [_row(name, parameter) for name, parameter in endpoint.parameters.items()]
    if endpoint.rules or endpoint.unused:
        lines.append("")
    for rule in endpoint.rules:
        needs = ", ".join(f"{name} {' or '.join(values)}" for name, values in rule.need.items())
        lines.append(f"- {_when(rule.when)} needs {needs}: {rule.why}.")
    lines += [f"- With {_when(u.when)}, {u.parameter} has no effect: {u.why}." for u in endpoint.unused]
    lines += ["", "| status | `error_kind` | means | reach | may be billed |", "|---|---|---|---|---|"]
    lines += [
        f"| {status} | `{error.kind}` | {error.meaning} | {REACH[error.reach]} | {'yes' if error.billed else 'no'} |"
        for status, error in endpoint.errors.items()
    ]
    return "\n".join(lines)


def _words(entry: ErrorWords) -> str:
    again = ", tried again" if entry.transient else ""
    statuses = ", ".join(map(str, entry.statuses))
    return (
        f"| {statuses} | `{entry.kind}` | {entry.meaning} | {REACH[entry.reach]}{again} |"
        f" {'yes' if entry.billed else 'no'} |"
    )


def _row(name: str, parameter: Parameter) -> str:
    allowed = ", ".join(parameter.choices)
    if parameter.minimum is not None:
        allowed = f"{parameter.minimum:g} to {parameter.maximum:g}"
    if parameter.max_items:
        allowed = f"up to {parameter.max_items}"
    default = "null" if parameter.nullable and parameter.default is None else parameter.default
    required = "yes" if parameter.required else ""
    return (
        f"| `{name}` | {parameter.type} | {required} | {allowed} | {'' if default is None else default} |"
        f" {parameter.about} |"
    )


def _when(values: dict[str, str]) -> str:
    return " and ".join(f"{name} {value}" for name, value in values.items())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
