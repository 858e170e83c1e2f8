"""What requests cost, and the limits that no run exceeds: prices, budgets and reservations."""

from batch_editor.money.budget import TOLERANCE_USD, Budget
from batch_editor.money.limits_left import Limits, PeriodLimit, limits_left
from batch_editor.money.open_spending import shared_database, shared_days, shared_spending
from batch_editor.money.pricing import Charged, Charges, Kind, Price, price_of
from batch_editor.money.reservations import Intent, Reservations, Reserved
from batch_editor.money.shared_budget import SharedBudget, charge_left_open
from batch_editor.money.spending import ApprovedAmount, AttemptToken, SharedDay, Spending
from batch_editor.money.spending_database import SpendingDatabase
from batch_editor.money.spending_file import SpendingFile
from batch_editor.money.steady_prices import PriceKind, SteadyPrices

__all__ = [
    "TOLERANCE_USD",
    "ApprovedAmount",
    "AttemptToken",
    "Budget",
    "Charged",
    "Charges",
    "Intent",
    "Kind",
    "Limits",
    "PeriodLimit",
    "Price",
    "PriceKind",
    "Reservations",
    "Reserved",
    "SharedBudget",
    "SharedDay",
    "Spending",
    "SpendingDatabase",
    "SpendingFile",
    "SteadyPrices",
    "charge_left_open",
    "limits_left",
    "price_of",
    "shared_database",
    "shared_days",
    "shared_spending",
]
