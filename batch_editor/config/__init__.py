"""Settings, and the keys."""

from batch_editor.config.deadline import read_duration
from batch_editor.config.key import Keys, api_key, read_keys
from batch_editor.config.loading import load_notify_settings, load_settings
from batch_editor.config.notifying import MetricsSettings, NotifySettings, notify_address
from batch_editor.config.provider import Provider
from batch_editor.config.schema import config_schema
from batch_editor.config.settings import (
    DEFAULT_ENDPOINT,
    ENV_PREFIX,
    ApiSettings,
    BudgetSettings,
    InputSettings,
    OutputSettings,
    PricingSettings,
    ProviderSettings,
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
    "Keys",
    "MetricsSettings",
    "NotifySettings",
    "OutputSettings",
    "PricingSettings",
    "Provider",
    "ProviderSettings",
    "RetrySettings",
    "Settings",
    "api_key",
    "config_schema",
    "load_notify_settings",
    "load_settings",
    "notify_address",
    "read_duration",
    "read_keys",
    "setting_names",
]
