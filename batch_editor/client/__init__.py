"""The door to the provider: one request in, one `Answer` out."""

from batch_editor.client.history import AccountHistory, HistoryRow
from batch_editor.client.http import HttpClient
from batch_editor.client.interface import Client, Sink, UploadRefused
from batch_editor.client.links import LinkReport, look_at
from batch_editor.client.results import Lost, Results

__all__ = [
    "AccountHistory",
    "Client",
    "HistoryRow",
    "HttpClient",
    "LinkReport",
    "Lost",
    "Results",
    "Sink",
    "UploadRefused",
    "look_at",
]
