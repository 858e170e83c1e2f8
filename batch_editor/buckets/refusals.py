"""What a store says when it refuses, and what to do about it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

from batch_editor.buckets.address import Address
from batch_editor.text import printable, redact

# After these the same may work in a moment: a 409 is of two who write at once. 400s of S3 that say so: the body was too
# slow, or was cut or changed on its way. Of a copy S3 says 200 first, and then its trouble.
_PASSING_STATUS = frozenset([408, 409, 429, 500, 502, 503, 504])
_PASSING_CODES = frozenset(
    {"RequestTimeout", "IncompleteBody", "BadDigest", "XAmzContentSHA256Mismatch", "OperationAborted"}
    | {"InternalError", "ServiceUnavailable", "SlowDown"}
)

# Of a write or a list: what a web server says that is no store of this kind, or at another path.
_NO_STORE = (404, 405)
_MISSING = frozenset(["NoSuchBucket", "ContainerNotFound"])
_EXPIRED = frozenset(["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken"])
_UNKNOWN = frozenset(["InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthFailure", "AuthenticationFailed"])
_KEYS = {
    "s3": "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
    "memory": "",
}
_RIGHTS = {
    "s3": "s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject",
    "gs": "the role Storage Object Admin",
    "az": "the role Storage Blob Data Contributor",
    "memory": "",
}
_REGION = "without LOCATION"  # as the library says of a redirect to the bucket's own region
_WORDS = 200


class Refusal(NamedTuple):
    """A store's answer, or why there is none: the HTTP status, if there is one, the store's own code, and its words."""

    status: int | None
    code: str
    words: str
    region: str | None = None
    server_time: str | None = None

    @classmethod
    def read(cls, error: BaseException) -> Refusal:
        """What an error of the library says."""
        text = str(error).partition("Debug source")[0].strip()
        status = re.search(r"status code: (\d{3})", text)
        code = _element(text, "Code") or ("PermanentRedirect" if _REGION in text else "")
        words = _element(text, "Message") or (status and status.string[status.start(1) :].partition(":")[0]) or text
        region = _element(text, "Region") or (found[1] if (found := re.search(r"expecting '([^']+)'", text)) else None)
        return cls(int(status[1]) if status else None, code, words, region, _element(text, "ServerTime"))

    @property
    def is_passing(self) -> bool:
        """Whether the same may work in a moment: also where nothing was answered."""
        if self.code:
            return self.code in _PASSING_CODES or self.status in _PASSING_STATUS
        # An answer to a question without a body has no code: a 400 may be any.
        return self.status in (None, 400) or self.status in _PASSING_STATUS

    @property
    def is_missing_bucket(self) -> bool:
        """Whether the store says that the bucket isn't there, and not the object alone."""
        return self.code in _MISSING

    @property
    def is_of_settings(self) -> bool:
        """Whether it is for what the settings say, and not for the state of the store."""
        return (
            self.is_missing_bucket
            or self._is_elsewhere
            or self.status in (401, 403, *_NO_STORE)
            or self.code in _EXPIRED
        )

    @property
    def _is_elsewhere(self) -> bool:
        return self.code in ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException")

    def __str__(self) -> str:
        """For a message, in brackets."""
        words = redact(printable(self.words))
        words = f"{words[:_WORDS]}…" if len(words) > _WORDS else words
        return f"{self.code}: {words}" if self.code and self.code != "PermanentRedirect" else words

    def advice(self, address: Address, *, region: str | None, endpoint: str | None, bucket_region: str | None) -> str:
        """What is wrong and what to do next, of a refusal that `is_of_settings`; `region` is the one that was asked."""
        if self.is_missing_bucket or self.status in _NO_STORE:
            where = endpoint or {"s3": "AWS", "gs": "Google", "az": "the account"}.get(address.scheme, "")
            return (
                f"there is no bucket {address.bucket} at {where} ({self}); create it, or name another one in"
                " outputs.images"
            )
        if self._is_elsewhere:
            own = self.region or bucket_region
            expected = f"AWS_REGION={own}" if own else "AWS_REGION, or the profile's region, to be the bucket's"
            return f"the bucket isn't in the region {region} ({self}); expected {expected}"
        if self.code in ("RequestTimeTooSkewed", "RequestExpired"):
            now = datetime.now(UTC).isoformat(timespec="seconds")
            theirs = f", the store's {self.server_time}" if self.server_time else ""
            return f"signatures are refused for their age: this machine's clock says {now}{theirs}; set the clock"
        if self.code in _EXPIRED:
            return f"the credentials have expired ({self}); sign in anew, or renew {_KEYS[address.scheme]}"
        if self.code in _UNKNOWN or self.status == 401:
            return f"the credentials are refused ({self}); expected others by {_KEYS[address.scheme]}"
        return f"these credentials may not write here ({self}); expected {_RIGHTS[address.scheme]}"


def _element(text: str, name: str) -> str | None:
    found = re.search(f"<{name}>([^<]*)</{name}>", text)
    return found[1].strip() or None if found else None
