"""Writes docs/endpoints.md from the endpoint files: `python docs/endpoints.py`. A test keeps the two in step."""

from pathlib import Path

from batch_editor.endpoints import Endpoint, Parameter, load_endpoint, shipped_endpoints

PAGE = Path(__file__).with_suffix(".md")


def page() -> str:
    """The page, as Markdown."""
    intro = (
        "Made from `batch_editor/endpoints/*.yaml` by `python docs/endpoints.py`. An endpoint of your own is a file of"
        " the same shape; name its path as `endpoint:` in a config or a manifest."
    )
    parts = ["# Endpoints", intro]
    parts += [_section(load_endpoint(name)) for name in shipped_endpoints()]
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
    reach = {"job": "this job", "run": "stops the run", "pace": "pauses the run"}
    lines += [
        f"| {status} | `{error.kind}` | {error.meaning} | {reach[error.reach]} | {'yes' if error.billed else 'no'} |"
        for status, error in endpoint.errors.items()
    ]
    return "\n".join(lines)


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
