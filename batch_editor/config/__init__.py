"""Settings, and the key."""

from batch_editor.config.hearing import MetricsSettings, NotifySettings, notify_address
from batch_editor.config.key import api_key
from batch_editor.config.loading import load_notify_settings, load_settings
from batch_editor.config.schema import config_schema
from batch_editor.config.settings import (
    DEFAULT_ENDPOINT,
    ENV_PREFIX,
    ApiSettings,
    BudgetSettings,
    InputSettings,
    OutputSettings,
    PricingSettings,
    RetrySettings,
    Settings,
    setting_names,
)

__all__ = [
    "DEFAULT_ENDPOINT",
    "ENV_PREFIX",
    "ApiSettings",
    "BudgetSettings",
    "InputSettings",
    "MetricsSettings",
    "NotifySettings",
    "OutputSettings",
    "PricingSettings",
    "RetrySettings",
    "Settings",
    "api_key",
    "config_schema",
    "load_notify_settings",
    "load_settings",
    "notify_address",
    "setting_names",
]
