"""From manifests to a plan: which jobs there are, what they will cost, and how long they will take."""

from batch_editor.planning.approval import Approval, expect_approved, read_approved
from batch_editor.planning.calibration import Calibration
from batch_editor.planning.catalog import Catalog, Selection, stage_manifests
from batch_editor.planning.comparing import stage_jobs
from batch_editor.planning.comparison import ComparedJob, Comparison, Way, usd, usd_each
from batch_editor.planning.estimate import assess, make_plan
from batch_editor.planning.offer import Offer, offer_of_successor
from batch_editor.planning.plan import IDENTIFIED, Plan
from batch_editor.planning.plan_file import YOUR_NAME, PlanFile, PlannedRequest, SavedPlan
from batch_editor.planning.planned import Planned
from batch_editor.planning.reuse import COMPARED, compared_output, output_of, reusable
from batch_editor.planning.saving import SaveTo, save_plan

__all__ = [
    "COMPARED",
    "IDENTIFIED",
    "YOUR_NAME",
    "Approval",
    "Calibration",
    "Catalog",
    "ComparedJob",
    "Comparison",
    "Offer",
    "Plan",
    "PlanFile",
    "Planned",
    "PlannedRequest",
    "SaveTo",
    "SavedPlan",
    "Selection",
    "Way",
    "assess",
    "compared_output",
    "expect_approved",
    "make_plan",
    "offer_of_successor",
    "output_of",
    "read_approved",
    "reusable",
    "save_plan",
    "stage_jobs",
    "stage_manifests",
    "usd",
    "usd_each",
]
