"""What is sent when a rejected image is made again: the job's prompt, and the note that came with the verdict."""

from __future__ import annotations

from batch_editor.manifest.faults import check_text
from batch_editor.manifest.jinja import names_to_be_given
from batch_editor.manifest.templates import TemplateFault, compiled, is_template
from batch_editor.manifest.values import Fixed, Written

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


def redo_prompt_of(template: str | None, *, prompt: str, note: str) -> str:
    r"""The prompt of a redo. Without a template it is the prompt, and after an empty line the note if there is one.

    >>> redo_prompt_of(None, prompt="Mug on white", note="keep the handle")
    'Mug on white\n\nkeep the handle'
    >>> redo_prompt_of(None, prompt="Mug on white", note="")
    'Mug on white'
    >>> redo_prompt_of("{{ prompt }}. Mind this: {{ note }}", prompt="Mug on white", note="keep the handle")
    'Mug on white. Mind this: keep the handle'

    Raises:
        TemplateFault: the template can't be rendered, goes beyond its bounds, or nothing comes of it.
    """
    if template is None:
        return f"{prompt}\n\n{note}" if note else prompt
    text = compiled(template).render({"prompt": prompt, "note": note}) if is_template(template) else template
    if not text.strip():
        raise TemplateFault("gives an empty prompt")
    return text
