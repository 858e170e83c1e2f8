"""A provider's models as data: what may be sent, what errors mean, what it costs.

One YAML file an endpoint. Validation, defaults, prices, the sandbox's checks and the tables of the
documentation come from it; no code knows a model's name.
"""

from batch_editor.endpoints.lifetime import TODAY, WARN_DAYS, Mapped, Successor, today
from batch_editor.endpoints.loader import load_endpoint, shipped_endpoints
from batch_editor.endpoints.prices import Prices, PriceTable
from batch_editor.endpoints.providers import SEGMIND, ProviderData, shipped_providers
from batch_editor.endpoints.schema import Endpoint, Parameter, Rule
from batch_editor.endpoints.sizes import PixelPrice, Size, price_by_pixels, size_of
from batch_editor.endpoints.usage import TokenPrices
from batch_editor.endpoints.wording import ErrorMeaning, ErrorWords, shared_error_words

__all__ = [
    "SEGMIND",
    "TODAY",
    "WARN_DAYS",
    "Endpoint",
    "ErrorMeaning",
    "ErrorWords",
    "Mapped",
    "Parameter",
    "PixelPrice",
    "PriceTable",
    "Prices",
    "ProviderData",
    "Rule",
    "Size",
    "Successor",
    "TokenPrices",
    "load_endpoint",
    "price_by_pixels",
    "shared_error_words",
    "shipped_endpoints",
    "shipped_providers",
    "size_of",
    "today",
]
