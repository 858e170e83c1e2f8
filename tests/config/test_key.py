"""The API key, out of the environment and out of files as people write them."""

from __future__ import annotations

import codecs
import os
import subprocess
import sys
from pathlib import Path

import pytest

from batch_editor.config import ApiSettings, api_key
from batch_editor.errors import ConfigError

KEY = "SG_0123456789abcdef"
OTHER = "another-service:key+of/no~shape=="


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGMIND_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)


def key_file(content: str | bytes, *, mode: int = 0o600) -> ApiSettings:
    path = Path("key")
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return ApiSettings(key_file=path)


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGMIND_API_KEY", f" {KEY}\n")
    monkeypatch.setenv("OTHER", "other-key")
    assert api_key(ApiSettings()).get_secret_value() == KEY
    assert api_key(ApiSettings(key_env="OTHER")).get_secret_value() == "other-key"


def test_a_key_file_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGMIND_API_KEY", "another")
    assert api_key(key_file(f"{KEY}\n")).get_secret_value() == KEY


def test_the_key_does_not_show_when_it_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGMIND_API_KEY", KEY)
    assert KEY not in f"{api_key(ApiSettings())} {api_key(ApiSettings())!r}"


# `@` stands for the key.
WRITTEN = [
    "@",
    "  @ \t\r\n\r\n",
    "\ufeff@\n",
    "\u00a0@\u00a0",
    "\u200b@\u200b\u2060",
    '"@"',
    "'@'",
    "“@”",
    "«@»",
    '" @ "\n',
    "SEGMIND_API_KEY=@",
    "SEGMIND_API_KEY = @\n",
    'export SEGMIND_API_KEY="@"',
    "export SEGMIND_API_KEY='@';\n",
    'declare -x SEGMIND_API_KEY="@"',
    "set SEGMIND_API_KEY=@\r\n",
    '$env:SEGMIND_API_KEY = "@"\r\n',
    "SEGMIND_API_KEY: @",
    '"SEGMIND_API_KEY": "@",',
    'SEGMIND_API_KEY="@"  # of the shop',
    "segmind_key=@",
    "API_KEY=@",
    "key: @",
    "Bearer @",
    "Authorization: Bearer @",
    "x-api-key: @",
    "X-API-Key:@",
    '"x-api-key: @"',
    "# the shop's\n\n@\n# until spring\n",
    "; the shop's\n@",
    "@\n@\n",
    "OPENAI_API_KEY=sk-another\nSEGMIND_API_KEY=@\n",
]


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("key", [KEY, OTHER])
def test_a_key_is_what_is_meant_by_how_it_is_written(written: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = written.replace("@", key)
    assert api_key(key_file(text)).get_secret_value() == key
    monkeypatch.setenv("SEGMIND_API_KEY", text)
    assert api_key(ApiSettings()).get_secret_value() == key


@pytest.mark.parametrize(
    "data",
    [
        codecs.BOM_UTF8 + KEY.encode(),
        codecs.BOM_UTF16_LE + f"{KEY}\r\n".encode("utf-16-le"),
        codecs.BOM_UTF16_BE + f'"{KEY}"'.encode("utf-16-be"),
        f"SEGMIND_API_KEY={KEY}\r\n".encode("utf-16-le"),
        KEY.encode("utf-16-be"),
    ],
)
def test_a_key_file_may_be_utf_8_or_utf_16(data: bytes) -> None:
    assert api_key(key_file(data)).get_secret_value() == KEY


def test_a_line_beside_a_key_of_the_provider_s_shape_may_be_a_note() -> None:
    assert api_key(key_file(f"Segmind, account of the shop\n{KEY}\n")).get_secret_value() == KEY


EMPTY = "is empty; expected the API key"
NO_KEY = "holds something other than an API key (white space, or characters that no key has)"
PLACEHOLDER = "holds a placeholder; put your API key in its place"
ANOTHER = "holds a key by the name of another service; expected the API key alone, or SEGMIND_API_KEY=…"


def of_lines(lines: str) -> str:
    return f"may hold a key in each of lines {lines}; expected one: the API key alone, or SEGMIND_API_KEY=…"


REFUSED = [
    ('""', EMPTY),
    ("\u200b", EMPTY),
    ("# SEGMIND_API_KEY=", "holds comments alone; expected the API key"),
    ("export SEGMIND_API_KEY=", "has a name without a key; expected SEGMIND_API_KEY=…"),
    ('SEGMIND_API_KEY=""', "has a name without a key; expected SEGMIND_API_KEY=…"),
    ("two words", NO_KEY),
    ("ключ", NO_KEY),
    (f"{KEY} and more", NO_KEY),
    (f"{KEY[:8]}\u00a0{KEY[8:]}", NO_KEY),
    ("secret-one\nsecret-two", of_lines("1 and 2")),
    ("# two\nsecret-one\n\nsecret-two\nsecret-three", of_lines("2, 4 and 5")),
    ("\n".join(f"secret-{n}" for n in range(9)), of_lines("1 and more")),
    ("secret\r\nx-evil: 1", of_lines("1 and 2")),
    (f"{KEY}\nSG_fedcba9876543210", of_lines("1 and 2")),
    ("OPENAI_API_KEY=sk-secret", ANOTHER),
    *((text, PLACEHOLDER) for text in ("your-api-key", "YOUR_API_KEY", "SG_xxxx", "SG_xxxxxxxxxxxxxxxx", "SG_…")),
    *((text, PLACEHOLDER) for text in ("SG_your_api_key", "<your key>", "[key]", "${SEGMIND_API_KEY}", "%KEY%", "***")),
    *((text, PLACEHOLDER) for text in ("paste-key-here", "your key here", "changeme", "None", "null")),
    *((text, PLACEHOLDER) for text in ("SEGMIND_API_KEY=your-api-key", 'export SEGMIND_API_KEY="SG_..."')),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_is_no_key_is_refused_in_words_that_do_not_show_it(
    text: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError) as caught:
        api_key(key_file(text))
    assert str(caught.value) == f"api.key_file key: {message}"
    monkeypatch.setenv("SEGMIND_API_KEY", text)
    with pytest.raises(ConfigError) as caught:
        api_key(ApiSettings())
    assert str(caught.value) == f"the environment's SEGMIND_API_KEY: {message}"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("content", ["", " \n", "\ufeff"])
def test_an_empty_key_file_is_refused(content: str) -> None:
    with pytest.raises(ConfigError, match=r"^api\.key_file key: is empty; expected the API key$"):
        api_key(key_file(content))


def test_without_a_key_the_message_says_how_to_give_one_and_how_to_do_without() -> None:
    with pytest.raises(ConfigError) as caught:
        api_key(ApiSettings())
    assert str(caught.value) == (
        "no API key: set SEGMIND_API_KEY in the environment, or api.key_file in the config to a file that holds it; "
        "to try without one: run --sandbox"
    )


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o620])
@pytest.mark.fault(103)
def test_a_key_file_that_others_can_reach_is_refused(mode: int) -> None:
    with pytest.raises(ConfigError, match=r"^api\.key_file key: others can read it; run: chmod 600 key$"):
        api_key(key_file(KEY, mode=mode))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xd8\xff\xe0", "is no text; expected the API key as plain text (UTF-8 or UTF-16)"),
        (KEY.encode() + b"\xe9", "is no text; expected the API key as plain text (UTF-8 or UTF-16)"),
        (b"\xff\xfea", "is no text; expected the API key as plain text (UTF-8 or UTF-16)"),
        (b"x" * 70_000, "has more than 65,536 bytes; expected the API key alone"),
    ],
)
def test_a_file_that_is_no_text_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        api_key(key_file(data))
    assert str(caught.value) == f"api.key_file key: {message}"


def test_a_key_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^api\.key_file nowhere: there is no such file$"):
        api_key(ApiSettings(key_file=Path("nowhere")))
    with pytest.raises(ConfigError, match=r"^api\.key_file \.: is a folder; expected a file that holds the API key$"):
        api_key(ApiSettings(key_file=Path()))


@pytest.mark.parametrize("written", ["caf\\xe9/Schl\\xfcssel", os.fsdecode(b"caf\xe9/schl\xfcssel")])
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.slow
def test_the_name_of_a_key_file_need_not_be_utf_8(tmp_path: Path, written: str, locale: str) -> None:
    place = tmp_path / os.fsdecode(b"caf\xe9/schl\xfcssel")
    place.parent.mkdir()
    place.write_text("your-api-key")
    place.chmod(0o600)
    (tmp_path / "m.csv").write_text("prompt,image_urls\nx,https://example.com/a.png\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BATCH_EDITOR_", "LC_", "COV_"))}
    done = subprocess.run(
        [sys.executable, "-m", "batch_editor", "run", "m.csv"],
        env={**kept, "BATCH_EDITOR_API__KEY_FILE": written, "LANG": locale},
        capture_output=True,
        check=False,
        timeout=60,
    )
    said = done.stderr.decode().splitlines()[-1]
    assert (done.returncode, said) == (
        2,
        "error: api.key_file caf\\xe9/schl\\xfcssel: holds a placeholder; put your API key in its place",
    )
