"""Writes docs/endpoints.md from the endpoint files: `python docs/endpoints.py`. A test keeps the two in step."""

from collections.abc import Iterator
from pathlib import Path

from batch_editor.config import DEFAULT_ENDPOINT
from batch_editor.endpoints import (
    SEGMIND,
    Endpoint,
    ErrorMeaning,
    ErrorWords,
    Parameter,
    Prices,
    PriceTable,
    load_endpoint,
    shared_error_words,
    shipped_endpoints,
)
from batch_editor.money import price_of

REACH = {"job": "this job", "run": "stops the run", "pace": "pauses the run"}
WORDS = """\
A status may say too little: a 429 may mean too high a rate or an empty account, a 400 a bad parameter or an input that
could not be fetched just now. So the text of an error is looked through first, for the words of the endpoint file's own
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

SIZES = """\
## Prices of sizes between those of the table

With `by_pixels: size`, a size that the table lacks is priced by its pixels, for each quality by itself:

- **Expected** is between the next smaller and the next larger size of the table, in proportion to the pixels. Of the
  smaller sizes the one nearest in shape (width ÷ height) counts, and of the larger ones as well: a square costs more
  than a wide picture of as many pixels. So 1536x1536 is priced between 1024x1024 and 2048x2048. Below the smallest size
  it is the price of the one nearest in shape; beyond the largest it grows with the pixels.
- **High**, which budgets go by, is the price of the next size with at least as many pixels, of those that cost more
  than every smaller one; beyond the last of these it grows with the pixels. It holds as long as the most expensive
  shape is in the table and prices grow no faster than pixels.
- **Low** is the cheapest of the table; below its smallest size, less in proportion to the pixels.

What was really charged takes the list's place after three images, as always."""

ADD = """\
## Add an endpoint

An endpoint is one YAML file: no code knows a model's name. Copy this, say what the provider's page says, and name the
file's path as `endpoint:` in a manifest (from there) or a config.

```yaml
name: studio-edit                # for the ledger and the plan; not the name of a shipped endpoint
title: Studio Edit
provider: segmind                # optional: openai, or one of your own, which the config's `providers` describe
wire: segmind                    # optional: how requests and answers are written; or openai
path: studio-edit-v3             # requests go to <the provider's base URL>/<path>
constants: {style: photo}        # optional: sent beside the parameters in every request
latency_s: 20                    # what a request takes on average; plans start from it. Default: 60
retires: 2027-06-30              # optional: the day from which on it is served no longer, by UTC
successor: {endpoint: nano-banana, map: {photo: {name: image_urls}}}  # optional: see move-to-another-model.md

# In the order in which they are sent. What has a default is always sent; what has none, only where a manifest names it.
parameters:
  prompt:
    type: string                 # string, integer, number, boolean, link or links (a list)
    required: true
    max_length: 4000
    role: prompt                 # roles: prompt, images, mask, size, width, height, format, background
  photo:
    type: link                   # one; or links. Local files work wherever links do: they are uploaded
    required: true
    role: images
  mask:
    type: link
    only_when_set: true          # null in a manifest means not set. `nullable: true` instead: null is sent
    role: mask
  size:
    type: string
    choices: [auto]              # exact values
    sizes: {multiple_of: 8, max_ratio: 2, max_side: 2048, min_pixels: 65536, max_pixels: 4194304}  # or by rule
    default: auto
    role: size                   # WIDTHxHEIGHT: `checks: full` compares the picture with it
  quality:
    type: string
    choices: [draft, final]
    default: final
  strength:
    type: number
    minimum: 0
    maximum: 1
    only_when_set: true
    default: 0.8                 # what the provider takes then, if that is known: for prices, rules and plans

rules:                           # optional: combinations that are refused before anything is sent
  - {when: {quality: draft}, need: {size: [auto, 512x512]}, why: drafts are small}
unused:                          # optional: what has no effect is warned of
  - {when: {quality: draft}, parameter: strength, why: drafts have none}

errors:                          # optional: what a status means; without an entry it is the job's own fault
  401: {kind: auth, reach: run, billed: false, meaning: Missing or invalid API key}
  402: {kind: credits, reach: run, billed: false, meaning: Payment required}
  429: {kind: rate_limited, reach: pace, billed: false, meaning: Too many requests}
  503: {kind: server_error, reach: job, billed: true, meaning: Service unavailable}

# USD an image = (table + inputs + text) × factor
prices:
  as_of: 2026-11-27              # optional: the day on which they were looked up
  source: the provider's page    # optional: where, in words
  maker: Studio                  # optional: whose own prices the table has; the factor is then what the provider adds
  factor: 1                      # the provider's, on top of a list of somebody else's
  by: [quality, size]            # any parameters, one level of the table each; [] and a number for one flat price
  by_pixels: size                # the last of `by`: sizes that the table lacks are priced by those that it has
  table:
    draft: {512x512: 0.002}
    final: {512x512: 0.01, 1024x1024: 0.03, 2048x2048: 0.08}
  expected: {size: 1024x1024}    # what `auto` is expected to be; without it, the max
  input_image: {expected: 0.001, high: 0.004}      # for each input image; without it nothing
  text_token: 0.000002           # for each token of the prompt: about four characters, at worst one
# optional: USD a million tokens, where answers say how many they took: what was charged is these (× factor)
usage: {input_image: 8, input_text: 5, output_image: 30}
```

Then see what it comes to, and rehearse it: the sandbox takes the file at its word.

```sh
batch-editor plan my-jobs.yaml               # every fault of the file and of the manifest, and the price
batch-editor run my-jobs.yaml --sandbox      # served by the file: sizes, refusals, charges
batch-editor run my-jobs.yaml --limit 1 --max-cost 1
```

Write beside each value where it is from, and how certain it is: the shipped files do. Tokens can't be counted without
the model's own tokenizer: about four characters each is [OpenAI's rule](https://help.openai.com/en/articles/4936856)
for English; Chinese or Japanese text has up to one for each character, which is what budgets go by."""

STATUSES = """\
What a status of the provider means, for every endpoint above that has no table of its own. It is in each endpoint's
file, under `errors`."""

OVERVIEW = """\
## The same edit on each

One input image, a prompt of 300 characters, one picture: what it is expected to cost by the list, from the cheapest
choice to the most expensive one, and how long a request takes on average. `plan --compare` says it for a manifest of
yours, and `compare` shows the pictures side by side."""

_USUAL = {"quality": "medium", "size": "1024x1024", "output_resolution": "1K"}
_PROMPT_LENGTH = 300  # of the overview: two or three sentences

PAGE = Path(__file__).with_suffix(".md")


def page() -> str:
    """The page, as Markdown."""
    intro = (
        "Made from `batch_editor/endpoints/*.yaml` by `python docs/endpoints.py`. An endpoint of your own is a file of"
        " the same shape. A parameter can't be named like a key of a manifest's jobs (`id`, `rows`, …)."
    )
    endpoints = [load_endpoint(name) for name in shipped_endpoints()]
    parts = ["# Endpoints", intro, OVERVIEW, _overview(endpoints), ADD]
    usual = load_endpoint(DEFAULT_ENDPOINT).errors
    parts += [_section(endpoint, usual) for endpoint in endpoints]
    parts += [SIZES, "## Errors by their status", STATUSES, "\n".join(_errors(usual))]
    table = ["| statuses | `error_kind` | means | reach | may be billed |", "|---|---|---|---|---|"]
    table += dict.fromkeys(_words(each) for each in shared_error_words())
    parts += ["## Words in errors", WORDS, "\n".join(table)]
    return "\n\n".join(parts) + "\n"


def _section(endpoint: Endpoint, usual_errors: dict[int, ErrorMeaning]) -> str:
    lines = [
        f"## {endpoint.name}",
        "",
        f"{endpoint.title}, `POST <base_url>/{endpoint.path}`{_at(endpoint)}, about {endpoint.latency_s:g} s a request."
        + _lifetime(endpoint),
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
    lines += ["", *_prices(endpoint)]
    if endpoint.errors != usual_errors:
        lines += ["", *_errors(endpoint.errors)]
    return "\n".join(lines)


def _at(endpoint: Endpoint) -> str:
    """Of another provider than `api`: which one, and what is sent in every request."""
    if endpoint.provider == SEGMIND:
        return ""
    constants = ", ".join(f"`{name}: {value}`" for name, value in endpoint.constants.items())
    return f" of the provider `{endpoint.provider}` with {constants}"


def _errors(errors: dict[int, ErrorMeaning]) -> Iterator[str]:
    yield "| status | `error_kind` | means | reach | may be billed |"
    yield "|---|---|---|---|---|"
    for status, error in errors.items():
        billed = "yes" if error.billed else "no"
        yield f"| {status} | `{error.kind}` | {error.meaning} | {REACH[error.reach]} | {billed} |"


def _lifetime(endpoint: Endpoint) -> str:
    if endpoint.retires is None:
        return ""
    successor = f"; its successor is {endpoint.successor.endpoint}" if endpoint.successor is not None else ""
    return f" It retires on {endpoint.retires}{successor}."


def _overview(endpoints: list[Endpoint]) -> str:
    """What one and the same edit costs on each, and how long it takes."""
    lines = [
        "| endpoint | pictures | cheapest | medium, a megapixel | by default | most expensive | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for endpoint in sorted(endpoints, key=lambda each: _usd(each, _usual(each))):
        chosen = sorted((_usd(endpoint, values), _said(endpoint, values)) for values in _kinds(endpoint.prices))
        cheapest, dearest = chosen[0], chosen[-1]
        defaults = {name: str(endpoint.parameters[name].default_value) for name in endpoint.prices.by}
        images = endpoint.parameters[endpoint.images or ""]
        pictures = "one" if images.type == "link" else f"up to {images.max_items}"
        costs = [
            cheapest,
            *((_usd(endpoint, each), _said(endpoint, each)) for each in (defaults | _usual(endpoint), defaults)),
            dearest,
        ]
        cells = [f"**${usd:.3f}** {said}".strip() for usd, said in costs]
        link = f"[{endpoint.name}](#{_anchor(endpoint.name)})"
        lines.append(f"| {link} | {pictures} | {' | '.join(cells)} | {endpoint.latency_s:.0f} |")
    return "\n".join(lines)


def _anchor(heading: str) -> str:
    """The part of a link that leads to a heading of the page."""
    return heading.lower().replace(".", "")


def _usual(endpoint: Endpoint) -> dict[str, str]:
    """Medium and a megapixel, as far as the endpoint has them and the price goes by them."""
    parameters, by = endpoint.parameters, endpoint.prices.by
    return {name: value for name, value in _USUAL.items() if name in by and parameters[name].offers(value)}


def _usd(endpoint: Endpoint, values: dict[str, str]) -> float:
    """What the edit of the overview costs with these values, all others as they are by default."""
    defaults = {name: parameter.default_value for name, parameter in endpoint.parameters.items()}
    return price_of(endpoint.prices, {**defaults, **values}, inputs=1, prompt_length=_PROMPT_LENGTH).expected_usd


def _said(endpoint: Endpoint, values: dict[str, str]) -> str:
    """The values that the price goes by."""
    return ", ".join(values[name] for name in endpoint.prices.by)


def _kinds(prices: Prices) -> Iterator[dict[str, str]]:
    """Every combination of values that the list has a price for."""

    def below(table: PriceTable, names: tuple[str, ...]) -> Iterator[dict[str, str]]:
        """The combinations of a part of the list."""
        if not isinstance(table, dict):
            yield {}
            return
        for value, inner in table.items():
            yield from ({names[0]: value, **rest} for rest in below(inner, names[1:]))

    yield from below(prices.table, prices.by)


def _prices(endpoint: Endpoint) -> Iterator[str]:
    """What an image is listed at, its factor included: the last parameter that it goes by down, the others across."""
    prices = endpoint.prices
    if not prices.by:
        yield f"An image costs ${_listed(prices, {}):g}."
    else:
        included = "" if prices.factor == 1 else f", the factor {prices.factor:g} included"
        yield f"USD an image by {' and '.join(prices.by)}{included}:"
        yield ""
        *others, last = prices.by
        kinds = list(_kinds(prices))
        columns = list(dict.fromkeys(tuple(kind[name] for name in others) for kind in kinds))
        yield f"| {last} | {' | '.join(', '.join(column) for column in columns) or 'USD'} |"
        yield "|---|" + "---|" * len(columns)
        usd = {(kind[last], tuple(kind[name] for name in others)): _listed(prices, kind) for kind in kinds}
        for value in dict.fromkeys(kind[last] for kind in kinds):
            cells = [f"{usd[value, column]:.4f}" if (value, column) in usd else "" for column in columns]
            yield f"| {value} | {' | '.join(cells)} |"
    yield ""
    yield _besides(prices)
    if prices.as_of is not None:
        yield ""
        yield f"Looked up on {prices.as_of}: {prices.source}.{_margin(prices)}"


def _margin(prices: Prices) -> str:
    """What the provider adds to the price of who made the model, where that is known and something."""
    if prices.maker is None or not prices.margin:
        return ""
    return f" The provider adds {prices.margin:.0%} to the price of {prices.maker}."


def _listed(prices: Prices, values: dict[str, str]) -> float:
    return price_of(prices, dict(values)).expected_usd


def _besides(prices: Prices) -> str:
    """What comes on top of the picture itself."""
    image, token = prices.input_image, prices.text_token * prices.factor
    if not (image.high or token or prices.prompt_character.high):
        return "Inputs and prompt cost nothing besides."
    most = f", at most ${image.high * prices.factor:.4f}" if image.high > image.expected else ""
    each = f"${image.expected * prices.factor:.4f}" if image.expected else "nothing as a rule"
    text = f"; the prompt ${token * 1e6:g} a million tokens" if token else ""
    return f"Each input image adds {each}{most}{text}."


def _words(entry: ErrorWords) -> str:
    again = ", tried again" if entry.transient else ""
    statuses = ", ".join(map(str, entry.statuses))
    return (
        f"| {statuses} | `{entry.kind}` | {entry.meaning} | {REACH[entry.reach]}{again} |"
        f" {'yes' if entry.billed else 'no'} |"
    )


def _row(name: str, parameter: Parameter) -> str:
    allowed = ", ".join((*parameter.choices, *([str(parameter.sizes)] if parameter.sizes else [])))
    if parameter.minimum is not None:
        allowed = f"{parameter.minimum:,.15g} to {parameter.maximum:,.15g}"
    if parameter.max_items:
        allowed = f"up to {parameter.max_items}"
    default = "null" if parameter.nullable and parameter.default is None else parameter.default
    default = "" if default is None else str(default)
    if parameter.only_when_set:
        default = f"{default} (not sent)" if default else "not sent"
    required = "yes" if parameter.must_be_said else ""
    return f"| `{name}` | {parameter.type} | {required} | {allowed} | {default} | {parameter.about} |"


def _when(values: dict[str, str]) -> str:
    return " and ".join(f"{name} {value}" for name, value in values.items())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
