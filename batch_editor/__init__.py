"""Batches of image edits through a paid API: predicted, rate-limited, resumable, nothing paid twice.

The names below are the public ones; what the command line does, they do.
"""

from __future__ import annotations

from importlib import import_module

# Not that of `typing`, which takes a while to import: a Ctrl-C meanwhile would print a traceback.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from batch_editor.config import Settings, api_key, load_settings
    from batch_editor.errors import (
        BatchEditorError,
        ConfigError,
        EndpointError,
        LedgerError,
        LockedError,
        MachineError,
        ManifestError,
        StorageError,
        UsageError,
        VerdictsError,
    )
    from batch_editor.frames import results
    from batch_editor.planning.catalog import Selection
    from batch_editor.planning.estimate import make_plan
    from batch_editor.planning.plan import Plan
    from batch_editor.runs.batch import run_batch
    from batch_editor.runs.options import BatchOptions
    from batch_editor.runs.summary import Summary, last_summary

__all__ = [
    "BatchEditorError",
    "BatchOptions",
    "ConfigError",
    "EndpointError",
    "LedgerError",
    "LockedError",
    "MachineError",
    "ManifestError",
    "Plan",
    "Selection",
    "Settings",
    "StorageError",
    "Summary",
    "UsageError",
    "VerdictsError",
    "api_key",
    "last_summary",
    "load_settings",
    "make_plan",
    "results",
    "run_batch",
]

# Loaded when first used: the command line's --help would otherwise pay half a second for aiohttp and pydantic.
_HOMES = {
    "runs.batch": ("run_batch",),
    "runs.options": ("BatchOptions",),
    "config": ("Settings", "api_key", "load_settings"),
    "errors": tuple(name for name in __all__ if name.endswith("Error")),
    "frames": ("results",),
    "planning.catalog": ("Selection",),
    "planning.plan": ("Plan",),
    "planning.estimate": ("make_plan",),
    "runs.summary": ("Summary", "last_summary"),
}


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            # Here, not above: the command line imports nothing before a Ctrl-C can end it without a traceback.
            import_module(f"{__name__}.files").require_posix()
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
