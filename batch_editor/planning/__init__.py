"""From manifests to a plan: which jobs there are, what they will cost, and how long they will take."""

from batch_editor.planning.calibration import Calibration
from batch_editor.planning.catalog import Catalog, Selection, stage_manifests
from batch_editor.planning.estimate import assess, make_plan
from batch_editor.planning.offer import Offer, offer_of_successor
from batch_editor.planning.plan import IDENTIFIED, Plan

__all__ = [
    "IDENTIFIED",
    "Calibration",
    "Catalog",
    "Offer",
    "Plan",
    "Selection",
    "assess",
    "make_plan",
    "offer_of_successor",
    "stage_manifests",
]
