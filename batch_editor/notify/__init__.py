"""Tells people, and programs that watch, how a run ended: webhooks, a ping address, and what apprise reaches."""

from batch_editor.notify.addresses import Addresses, addresses_of
from batch_editor.notify.message import TITLE_LENGTH, Message
from batch_editor.notify.notifier import LIMIT_S, Notifier

__all__ = ["LIMIT_S", "TITLE_LENGTH", "Addresses", "Message", "Notifier", "addresses_of"]
