"""From a job's id or `output` to a file name: safe on every file system, unique, inside the output directory."""

from __future__ import annotations

import hashlib
import re
import unicodedata

# Letters and digits of any script and a little punctuation; no bidi controls, quotes, wildcards or separators.
_UNSAFE = re.compile(r"[^\w.@+=,()\[\] -]+")
_RESERVED = re.compile(r"(?i:(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\..*)?)")
_IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif")
# What nearly every id is: safe whatever the rest of this module says, which it must agree with.
_PLAIN = re.compile(rf"(?!{_RESERVED.pattern}\Z)[A-Za-z0-9_](?:[\w.@+=-]{{0,98}}[A-Za-z0-9_])?", re.ASCII)
# Most file systems allow 255 bytes a name; an ending and two hashes must still fit.
MAX_BYTES = 120


def safe_output(text: str, *, folders: bool) -> str:
    """A path without ending below the images folder; the text itself wherever that is safe.

    With `folders`, `/` separates folders; an id's `/` doesn't. What had to be changed carries ten hex digits of
    its own text's hash, so that different texts stay different.

    >>> safe_output("B00042.MAIN", folders=False)
    'B00042.MAIN'
    >>> safe_output("../../etc/passwd", folders=True)
    'etc/passwd-3754d6cb3a'
    """
    if _PLAIN.fullmatch(text):
        return text
    parts = [part for part in text.split("/") if part not in ("", ".", "..")] if folders else [text]
    whole = "/".join(parts) == text if folders else True
    named = [_segment(part, text) for part in parts] or [_hashed("", text)]
    named[:-1] = [_hashed(part, text) if _is_a_file(part) else part for part in named[:-1]]
    if not whole and named == parts:
        named[-1] = _hashed(named[-1], text)
    return "/".join(named)


def distinct(output: str, text: str) -> str:
    """The output with its text's hash, for one whose name collides with another's.

    >>> distinct("mug", "Mug") != distinct("mug", "mug")
    True
    """
    head, _, tail = output.rpartition("/")
    name = _hashed(tail, text)
    return f"{head}/{name}" if head else name


def collision_key(output: str) -> str:
    """Equal for names that some file system takes for one: by case, or by Unicode form.

    >>> collision_key("Café") == collision_key("cafe\\u0301")
    True
    """
    if output.isascii():
        return output.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", output).casefold())


def _segment(part: str, text: str) -> str:
    # NFC: a name typed on a Mac and one typed on Linux are the same.
    clean = _UNSAFE.sub("-", unicodedata.normalize("NFC", part)).strip(" .-")
    if _RESERVED.fullmatch(clean):
        # Windows takes `nul.txt` and `nul .txt` for `nul`, whatever follows the first dot.
        return _hashed(clean.replace(".", "-"), text)
    return clean if clean and clean == part and len(clean.encode()) <= MAX_BYTES else _hashed(clean, text)


def _is_a_file(folder: str) -> bool:
    """Whether a file may need that name: the image of a job `mug` is `mug.png`, finished files have a report."""
    return folder.lower().endswith(_IMAGE_ENDINGS) or folder.lower() == "report.csv"


def _hashed(clean: str, text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    head = clean.encode()[: MAX_BYTES - 11].decode(errors="ignore").rstrip(" .-")
    return f"{head}-{digest}" if head else digest
