"""What is sent when a rejected image is made again: the job's prompt, and the note that came with the verdict."""

from __future__ import annotations

from pathlib import Path

from batch_editor.endpoints import Parameter
from batch_editor.manifest.faults import Refused, check_text
from batch_editor.manifest.jinja import names_to_be_given
from batch_editor.manifest.templates import TemplateFault, compiled, is_template
from batch_editor.manifest.values import Fixed, Written, converter_of

KEY = "redo_prompt"
_KNOWN = ("prompt", "note")


def redo_prompt_source(written: Written) -> Fixed | None:
    """The value of `redo_prompt` as a manifest has it, which no row is read for; None if it is blank.

    Raises:
        TemplateFault: it is no template, or uses other names than `prompt` and `note`.
        Refused: it is no text that can be sent.
    """
    if written is None:
        return None
    assert isinstance(written, str), "only links are read as lists"
    check_text(written)
    if not written.strip():
        return None
    if is_template(written):
        compiled(written)
        for name in sorted(names_to_be_given(written).difference(_KNOWN)):
            raise TemplateFault(f"uses {name!r}; expected prompt or note, which alone are known there")
    return Fixed(written)


def redo_prompt_of(template: str | None, *, prompt: str, note: str, parameter: Parameter | None = None) -> str:
    r"""The prompt of a redo. Without a template it is the prompt, and after an empty line the note if there is one.

    `parameter` is the one that takes it.

    >>> redo_prompt_of(None, prompt="Mug on white", note="keep the handle")
    'Mug on white\n\nkeep the handle'
    >>> redo_prompt_of(None, prompt="Mug on white", note="")
    'Mug on white'
    >>> redo_prompt_of("{{ prompt }}. Mind this: {{ note }}", prompt="Mug on white", note="keep the handle")
    'Mug on white. Mind this: keep the handle'

    Raises:
        Refused: the template can't be rendered, goes beyond its bounds, or gives no prompt that can be sent; the
            message names its subject.
    """
    with_note = f"{prompt}\n\n{note}" if note else prompt
    text = with_note if template is None else _rendered(template, prompt, note)
    try:
        if parameter is not None:
            converter_of(parameter, Path())(text, {})
    except Refused as error:
        raise error.with_subject("prompt with its note") from error
    return text


def _rendered(template: str, prompt: str, note: str) -> str:
    try:
        text = compiled(template).render({"prompt": prompt, "note": note}) if is_template(template) else template
        if not text.strip():
            raise TemplateFault("gives an empty prompt")
    except TemplateFault as fault:
        raise fault.with_subject(KEY) from fault
    return text
