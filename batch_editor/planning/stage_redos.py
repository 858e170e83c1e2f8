"""Which rejected images a run makes again, in which words, and at what price."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from batch_editor.endpoints import Endpoint
from batch_editor.errors import ManifestError
from batch_editor.ledger import RejectedImage, Staging
from batch_editor.manifest import redo_prompt_of
from batch_editor.manifest.faults import Refused
from batch_editor.planning.calibration import Calibration
from batch_editor.planning.catalog import Catalog, with_kinds
from batch_editor.planning.redos import Redos
from batch_editor.records import EditRequest, FaultyRow, Job, Redo
from batch_editor.verdicts import Picture, Verdict


def stage_redos(
    staging: Staging,
    catalog: Catalog,
    calibration: Calibration,
    images: Collection[RejectedImage],
    verdicts: Mapping[Picture, Verdict],
    redo: Collection[Redo],
) -> Redos:
    """Have the rejected images of the staged jobs made again, as far as that can be. Blocks.

    Each goes to the endpoint that made it, under the links that the manifest has now.

    Raises:
        ManifestError: with every job whose `redo_prompt` gives no prompt that can be sent.
    """
    faults: list[str] = []
    held: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    jobs: list[tuple[RejectedImage, str, Job]] = []
    for image in images:
        endpoint = catalog.sendable.get(image.made_by)
        if endpoint is None:
            lost[f"{image.made_by} made them, which no file here describes; --redo endpoint makes them elsewhere"] += 1
            continue
        if image.made_by != image.endpoint and endpoint.is_retired(catalog.today):
            why = f"{image.made_by} made them, which retired on {endpoint.retires}"
            lost[f"{why}; --redo endpoint makes them elsewhere"] += 1
            continue
        verdict = verdicts.get(Picture(image.fingerprint, image.sha256))
        try:
            prompt, params = _to_be_sent(image, endpoint, catalog, note=(verdict and verdict.note) or "")
        except Refused as error:
            faults.append(f"{image.place}: job {image.job_id}: {error}")
            continue
        former = image.former
        if former is not None and former.prompt == prompt and _is_held(former.state, former.transient, redo):
            held[former.state] += 1
            continue
        request = EditRequest(image.made_by, params)
        jobs.append((image, prompt, Job(image.job_id, None, request, image.place, template=image.template)))
    if faults:
        raise ManifestError(faults[:20], total=len(faults))
    kinds = with_kinds((job for _, _, job in jobs), catalog, calibration, staging)
    for (image, prompt, _), staged in zip(jobs, kinds, strict=True):
        assert not isinstance(staged, FaultyRow)
        job, kind = staged
        staging.redo(image, kind=kind, prompt=prompt, params=job.request.params)
    return Redos(len(jobs), dict(held), dict(lost))


def _is_held(state: str, transient: bool, redo: Collection[Redo]) -> bool:
    """Whether a redo that came to nothing isn't sent again in the same words; as of any other request."""
    if state == "pending" or (state == "failed" and transient) or "all" in redo:
        return False
    return state not in redo


def _to_be_sent(
    image: RejectedImage, endpoint: Endpoint, catalog: Catalog, *, note: str
) -> tuple[str, Mapping[str, Any]]:
    """The redo's prompt, and all its parameters.

    Raises:
        Refused: no prompt that can be sent comes of the job's `redo_prompt`.
    """
    params = dict(image.params)
    if image.made_by != image.endpoint:
        params = _as_made(image, endpoint.shape.roles, catalog.endpoints[image.endpoint].shape.roles)
    if endpoint.prompt is None:
        return "", params
    prompt = redo_prompt_of(
        image.redo_prompt,
        prompt=str(params.get(endpoint.prompt) or ""),
        note=note,
        parameter=endpoint.parameters.get(endpoint.prompt),
    )
    return prompt, {**params, endpoint.prompt: prompt}


def _as_made(image: RejectedImage, roles: Mapping[str, str], asked: Mapping[str, str]) -> dict[str, Any]:
    """The parameters by which another endpoint made an image, with the words and links that the manifest has now."""
    params = dict(image.made_of)
    for role in ("prompt", "images", "mask"):
        name, now = roles.get(role, ""), image.params.get(asked.get(role, ""))
        if now is None or params.get(name) is None:
            continue
        if isinstance(params[name], list) != isinstance(now, list):
            now = [now] if isinstance(params[name], list) else now[0]
        params[name] = now
    return params
