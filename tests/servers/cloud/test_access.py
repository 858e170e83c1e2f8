"""Bucket, access and region are proved before anything is paid for; what is wrong is said with what to do next."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from batch_editor.buckets import open_bucket, read_address
from batch_editor.errors import BatchEditorError, StorageError, UsageError
from tests.support.bench import Bench, jobs, sandbox
from tests.support.s3_server import S3, Fault

NOW = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00"
KEYS = "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
RIGHTS = "s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject"


@pytest.mark.fault(105)
@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (
            Fault("refused", 400, "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>"),
            UsageError,
            (
                "the bucket isn't in the region us-east-1 (AuthorizationHeaderMalformed: said by a test);"
                " expected AWS_REGION=eu-west-1"
            ),
        ),
        (
            Fault("refused", 301, "PermanentRedirect"),
            UsageError,
            # The region is what moto says, when it is asked past this fault.
            (
                "the bucket isn't in the region us-east-1 (.*Received redirect without LOCATION.*);"
                " expected AWS_REGION=us-east-1"
            ),
        ),
        (
            Fault("refused", 403, "InvalidAccessKeyId"),
            UsageError,
            f"the credentials are refused (InvalidAccessKeyId: said by a test); expected others by {KEYS}",
        ),
        (
            Fault("refused", 403, "SignatureDoesNotMatch"),
            UsageError,
            f"the credentials are refused (SignatureDoesNotMatch: said by a test); expected others by {KEYS}",
        ),
        (
            Fault("refused", 403, "AccessDenied"),
            UsageError,
            f"these credentials may not write here (AccessDenied: said by a test); expected {RIGHTS}",
        ),
        (
            Fault("refused", 403, "RequestTimeTooSkewed", "<ServerTime>2026-11-27T12:00:00Z</ServerTime>"),
            UsageError,
            (
                "signatures are refused for their age: this machine's clock says NOW, the store's 2026-11-27T12:00:00Z;"
                " set the clock"
            ),
        ),
        (
            Fault("refused", 400, "ExpiredToken"),
            UsageError,
            f"the credentials have expired (ExpiredToken: said by a test); sign in anew, or renew {KEYS}",
        ),
        (Fault("refused", 503, "SlowDown"), StorageError, "refused by the store (SlowDown: said by a test)"),
        (Fault("reset"), StorageError, "the store can't be reached (.*error sending request)"),
    ],
    ids=lambda each: each.code if isinstance(each, Fault) and each.kind == "refused" else None,
)
async def test_a_store_that_refuses_is_told_before_anything_is_sent(
    bench: Bench, s3: S3, fault: Fault, error: type[BatchEditorError], message: str
) -> None:
    s3.fault_of = lambda each: fault if "shop" in each.path else None
    pattern = re.escape(message).replace(r"\.\*", ".*").replace("NOW", NOW)
    async with sandbox() as provider:
        with pytest.raises(error) as refused:
            await bench.run(jobs(2), provider, outputs__images=f"s3://{s3.bucket}/shop", outputs__wait_s=0.1)
        assert provider.books.requests == 0
    assert re.fullmatch(rf"s3://{s3.bucket}/shop/out(/\S+)?: {pattern}", str(refused.value))
    assert refused.value.exit_code == (2 if error is UsageError else 6)


@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_a_bucket_that_may_be_read_alone_is_refused_before_anything_is_sent(
    bench: Bench, s3: S3, method: str
) -> None:
    """Or one in which nothing may be removed."""
    s3.fault_of = lambda each: Fault("refused", 403, "AccessDenied") if each.method == method else None
    async with sandbox() as provider:
        with pytest.raises(UsageError, match="these credentials may not write here"):
            await bench.run(jobs(2), provider, outputs__images=f"s3://{s3.bucket}/shop")
        assert provider.books.requests == 0


async def test_a_missing_bucket_is_named_as_such(bench: Bench, s3: S3) -> None:
    async with sandbox() as provider:
        with pytest.raises(UsageError) as refused:
            await bench.run(jobs(1), provider, outputs__images="s3://no-such-bucket/shop")
        assert provider.books.requests == 0
    assert str(refused.value) == (
        f"s3://no-such-bucket/shop/out: there is no bucket no-such-bucket at http://127.0.0.1:{s3.port} (NoSuchBucket:"
        " The specified bucket does not exist); create it, or name another one in outputs.images"
    )


@pytest.mark.parametrize(("path", "said"), [("/v1", "405 Method Not Allowed"), ("", "404 Not Found")])
async def test_an_address_at_which_no_such_store_is_found_is_told_before_anything_is_sent(
    bench: Bench, s3: S3, monkeypatch: pytest.MonkeyPatch, path: str, said: str
) -> None:
    """As of a web server, which says nothing of buckets."""
    async with sandbox() as provider:
        there = provider.base_url.removesuffix("/v1") + path
        monkeypatch.setenv("AWS_ENDPOINT_URL", there)
        with pytest.raises(UsageError) as refused:
            await bench.run(jobs(1), provider, outputs__images=f"s3://{s3.bucket}/shop")
        assert provider.books.requests == 0
    assert str(refused.value) == (
        f"s3://{s3.bucket}/shop/out: there is no bucket {s3.bucket} at {there} ({said});"
        " create it, or name another one in outputs.images"
    )


async def test_the_command_ends_with_2_and_the_message(bench: Bench, s3: S3) -> None:
    (bench.folder / "config.yaml").write_text("outputs: {images: s3://no-such-bucket}")
    async with sandbox() as provider:
        arguments = bench.run_arguments(bench.write(jobs(1)), provider)
        ended = await bench.command(*arguments, environment=s3.environment)
    assert ended.code == 2
    assert ended.err.startswith("error: s3://no-such-bucket/out: there is no bucket no-such-bucket at ")


def test_a_profile_gives_keys_region_and_address(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.delenv(name)
    (tmp_path / "credentials").write_text("[shop]\naws_access_key_id = AKIASHOP\naws_secret_access_key = secret\n")
    (tmp_path / "config").write_text(
        f"[profile shop]\nregion = eu-central-1\nendpoint_url = http://127.0.0.1:{s3.port}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "shop")
    bucket = open_bucket(read_address(f"s3://{s3.bucket}"))
    bucket.prove("probe")
    assert re.search("Credential=AKIASHOP/[0-9]{8}/eu-central-1/s3/", s3.authorizations[-1])


def test_a_profile_that_is_none_is_told(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(UsageError) as refused:
        open_bucket(read_address("s3://pictures/shop"))
    assert str(refused.value) == (
        "s3://pictures/shop: AWS's settings can't be used (The config profile (nobody) could not be found)"
    )


def test_without_keys_it_says_where_they_are_looked_for(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(UsageError) as refused:
        open_bucket(read_address("s3://pictures/shop"))
    assert str(refused.value) == (
        "s3://pictures/shop: no AWS credentials were found; expected AWS_PROFILE, or AWS_ACCESS_KEY_ID and"
        " AWS_SECRET_ACCESS_KEY, or a profile of ~/.aws"
    )


def test_a_store_in_the_clear_has_to_be_meant(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    with pytest.raises(UsageError) as refused:
        open_bucket(read_address("s3://pictures/shop"))
    assert str(refused.value) == (
        f"s3://pictures/shop: AWS_ENDPOINT_URL is http://127.0.0.1:{s3.port}, which anybody on the way can read;"
        " expected https://…, or AWS_ALLOW_HTTP=true on a local network"
    )


def test_google_says_that_it_refuses_the_credentials(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = {"gcs_base_url": f"http://127.0.0.1:{s3.port}", "disable_oauth": True, "client_email": ""}
    (tmp_path / "key.json").write_text(json.dumps({**account, "private_key": "", "private_key_id": ""}))
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(tmp_path / "key.json"))
    s3.fault_of = lambda _: Fault("refused", 401, "AuthenticationRequired")
    with pytest.raises(UsageError) as refused:
        open_bucket(read_address("gs://pictures/shop")).prove("probe")
    assert str(refused.value) == (
        "gs://pictures/shop: the credentials are refused (AuthenticationRequired: said by a test); expected others by"
        " GOOGLE_APPLICATION_CREDENTIALS"
    )
    assert unquote(s3.requests[0].path) == "/pictures/shop/probe"


def test_azure_says_that_it_refuses_the_credentials(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "shopaccount")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", base64.b64encode(b"key").decode())
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", f"http://127.0.0.1:{s3.port}")
    s3.fault_of = lambda _: Fault("refused", 403, "AuthenticationFailed")
    with pytest.raises(UsageError) as refused:
        open_bucket(read_address("az://pictures/shop")).prove("probe")
    assert str(refused.value) == (
        "az://pictures/shop: the credentials are refused (AuthenticationFailed: said by a test); expected others by"
        " AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY"
    )
    assert unquote(s3.requests[0].path) == "/pictures/shop/probe"


def test_azure_without_an_account_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"^az://pictures/shop: the access can't be used .*Account must be specified"):
        open_bucket(read_address("az://pictures/shop"))


async def test_without_the_extra_it_says_what_to_install(bench: Bench) -> None:
    (bench.folder / "config.yaml").write_text("outputs: {images: s3://pictures}")
    async with sandbox() as provider:
        arguments = list(map(str, bench.run_arguments(bench.write(jobs(1)), provider)))
        code = (
            "import sys; sys.modules['obstore'] = None\n"
            f"from batch_editor.cli.main import main; sys.exit(main({arguments!r}))"
        )
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", code),
            cwd=bench.folder,
            env=bench.environment(),
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
        assert provider.books.requests == 0
    assert process.returncode == 2
    assert said.decode().splitlines()[0] == (
        "error: outputs.images s3://pictures/out: buckets need obstore; run: pip install 'batch_editor[cloud]'"
    )


async def test_an_export_without_an_address_shows_one_with_the_place_in_the_bucket(bench: Bench, s3: S3) -> None:
    async with sandbox() as provider:
        await bench.run(jobs(1), provider, outputs__images=f"s3://{s3.bucket}/shop")
    ended = await bench.command("export", bench.out, "--format", "shopify")
    assert ended.code == 2
    assert ended.err == (
        f"error: outputs.public_url is not set, the address at which the shop finds what is in s3://{s3.bucket}/shop/out:"
        " outputs: {public_url: https://cdn.example.com/shop/out} in config.yaml, or"
        " BATCH_EDITOR_OUTPUTS__PUBLIC_URL=https://cdn.example.com/shop/out\n"
    )
