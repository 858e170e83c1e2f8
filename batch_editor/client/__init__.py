"""The door to the provider: one request in, one `Answer` out."""

from batch_editor.client.http import HttpClient
from batch_editor.client.interface import Client, Sink, UploadRefused

__all__ = ["Client", "HttpClient", "Sink", "UploadRefused"]
