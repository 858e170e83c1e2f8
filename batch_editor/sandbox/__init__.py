"""A local stand-in for the paid API, written from its documentation alone.

It checks every request to the letter, makes a picture, and keeps books of what a run did and would have paid.
Of the package it knows the endpoint data only: a client that misreads the API disagrees with it visibly.
"""

from __future__ import annotations

from batch_editor.sandbox.books import Books, Entry
from batch_editor.sandbox.checks import body_sha256
from batch_editor.sandbox.faults import FAULT_HELP, Fault, parse_fault
from batch_editor.sandbox.images import read_stamp
from batch_editor.sandbox.jobs import FAULT_HEADER
from batch_editor.sandbox.options import SandboxOptions
from batch_editor.sandbox.server import Sandbox

__all__ = [
    "FAULT_HEADER",
    "FAULT_HELP",
    "Books",
    "Entry",
    "Fault",
    "Sandbox",
    "SandboxOptions",
    "body_sha256",
    "parse_fault",
    "read_stamp",
]
