"""The client of the provider's API: one request in, one `Answer` out."""

from batch_editor.client.account import AccountHistory, HistoryRow
from batch_editor.client.behind_links import SeenAnswer, see
from batch_editor.client.download import Lost, Results
from batch_editor.client.http import HttpClient
from batch_editor.client.input_pictures import InputPictures, NotFetched
from batch_editor.client.interface import Client, Sink, UploadRefused
from batch_editor.client.links import LinkReport, look_at
from batch_editor.client.network import Network
from batch_editor.client.webhooks import NotTold, Webhooks

__all__ = [
    "AccountHistory",
    "Client",
    "HistoryRow",
    "HttpClient",
    "InputPictures",
    "LinkReport",
    "Lost",
    "Network",
    "NotFetched",
    "NotTold",
    "Results",
    "SeenAnswer",
    "Sink",
    "UploadRefused",
    "Webhooks",
    "look_at",
    "see",
]
