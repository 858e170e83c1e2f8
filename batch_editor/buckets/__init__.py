"""Buckets of object stores: objects that are there whole or not at all. Knows nothing of pictures, runs or ledgers."""

from batch_editor.buckets.address import Address, read_address
from batch_editor.buckets.bucket import About, Bucket, Found
from batch_editor.buckets.opening import open_bucket

__all__ = ["About", "Address", "Bucket", "Found", "open_bucket", "read_address"]
