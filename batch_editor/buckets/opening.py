"""From a bucket's address, and what the environment says of access to it, to the bucket."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import timedelta
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from batch_editor.buckets.address import Address
from batch_editor.buckets.bucket import PATIENCE_S, Bucket
from batch_editor.buckets.refusals import Refusal
from batch_editor.errors import UsageError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

CONNECT_S = 10
# Of one request, all of its body included: 3 MB at 20 kB a second. Not one for each read: it would end an upload that
# still sends, but receives nothing meanwhile.
REQUEST_S = 180
_FIRST_REGION = "us-east-1"
# Ours is the one that tries again: the library's doesn't where an answer to a write is lost.
_NO_RETRIES: RetryConfig = {"max_retries": 0}
# What memory:// has kept: as long as the process lasts.
_IN_MEMORY: dict[Address, ObjectStore] = {}


def open_bucket(address: Address, *, patience_s: float = PATIENCE_S) -> Bucket:
    """The place in a bucket, with the access that the environment gives; nothing is asked yet.

    Raises:
        UsageError: the extra isn't installed; or what the environment says of access can't be used.
    """
    missing = [name for name in ("obstore", "boto3") if not _is_installed(name)]
    if missing:
        raise UsageError(
            f"outputs.images {address}: buckets need {' and '.join(missing)}; run: pip install 'batch_editor[cloud]'"
        )
    if address.scheme == "s3":
        return _s3(address, patience_s)
    return Bucket(address, _other(address), patience_s=patience_s)


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ValueError:  # set to None by whoever wants it to be absent
        return False


def _s3(address: Address, patience_s: float) -> Bucket:
    import boto3  # of an extra
    from botocore.exceptions import BotoCoreError  # of an extra
    from obstore.auth.boto3 import Boto3CredentialProvider  # of an extra
    from obstore.exceptions import BaseError  # of an extra
    from obstore.store import S3Store  # of an extra

    try:
        session = boto3.Session()
        provider = Boto3CredentialProvider(session) if session.get_credentials() is not None else None
        endpoint = session.client("s3", region_name=session.region_name or _FIRST_REGION).meta.endpoint_url
    except (BotoCoreError, ValueError) as error:
        raise UsageError(f"{address}: AWS's settings can't be used ({error})") from error
    if provider is None:
        raise UsageError(
            f"{address}: no AWS credentials were found; expected AWS_PROFILE, or AWS_ACCESS_KEY_ID and"
            " AWS_SECRET_ACCESS_KEY, or a profile of ~/.aws"
        )
    region = os.environ.get("AWS_REGION") or session.region_name or _FIRST_REGION
    host = urlsplit(endpoint).hostname or ""
    named: dict[str, Any] = {} if host.endswith((".amazonaws.com", ".amazonaws.com.cn")) else {"endpoint": endpoint}
    if "AWS_CHECKSUM_ALGORITHM" not in os.environ:
        named["checksum_algorithm"] = "SHA256"  # the store compares it before the object is there
    try:
        objects = S3Store(
            address.bucket,
            prefix=address.prefix or None,
            region=region,
            credential_provider=provider,
            client_options=_client(endpoint if "endpoint" in named else None, address),
            retry_config=_NO_RETRIES,
            **named,
        )
    except (BaseError, ValueError) as error:
        raise _unusable(address, error) from error
    return Bucket(
        address,
        objects,
        patience_s=patience_s,
        region=region,
        endpoint=named.get("endpoint"),
        own_region=partial(_region_of, session, address.bucket),
    )


def _region_of(session: Any, bucket: str) -> str | None:
    """The region that a bucket is in, as the store says, if it does."""
    from botocore.exceptions import BotoCoreError, ClientError  # of an extra

    with suppress(BotoCoreError, ClientError, KeyError):
        answer = session.client("s3", region_name=session.region_name or _FIRST_REGION).head_bucket(Bucket=bucket)
        return str(answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"])
    return None


def _other(address: Address) -> ObjectStore:
    from obstore.exceptions import BaseError  # of an extra
    from obstore.store import AzureStore, GCSStore, MemoryStore  # of an extra

    if address.scheme == "memory":
        return _IN_MEMORY.setdefault(address, MemoryStore())
    make = GCSStore if address.scheme == "gs" else AzureStore
    try:
        return make(
            address.bucket,
            prefix=address.prefix or None,
            client_options=_client(None, address),
            retry_config=_NO_RETRIES,
        )
    except (BaseError, ValueError) as error:
        raise _unusable(address, error) from error


def _client(endpoint: str | None, address: Address) -> ClientConfig:
    """How to speak to a store."""
    allowed = any(os.environ.get(name, "").lower() in ("1", "true", "yes") for name in ("AWS_ALLOW_HTTP", "ALLOW_HTTP"))
    if endpoint is not None and urlsplit(endpoint).scheme == "http" and not allowed:
        raise UsageError(
            f"{address}: AWS_ENDPOINT_URL is {endpoint}, which anybody on the way can read; expected https://…, or"
            " AWS_ALLOW_HTTP=true on a local network"
        )
    return {
        "connect_timeout": timedelta(seconds=CONNECT_S),
        "timeout": timedelta(seconds=REQUEST_S),
        "allow_http": allowed,
    }


def _unusable(address: Address, error: Exception) -> UsageError:
    return UsageError(f"{address}: the access can't be used ({Refusal.read(error).words})")
