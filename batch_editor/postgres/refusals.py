"""What a database's refusal means: whether it passes, whether the settings are at fault, and what to do next."""

from __future__ import annotations

import re
from typing import NamedTuple

from batch_editor.postgres.address import DatabaseAddress
from batch_editor.text import printable

# By PostgreSQL's Appendix A: no connection, too many of them, the server stops or starts, it is a standby that was or
# will be the primary, another transaction was in the way for too long.
_PASSING_CLASSES = ("08", "53", "57", "58", "40")
_PASSING = frozenset(["25006", "25P03", "55P03", "XX000"])
# Before a connection stands libpq gives no code, only the server's words.
_CODES_BY_WORDS = {
    "28P01": r"(password|SASL) authentication failed|no password supplied|fe_sendauth",
    "28000": r"no pg_hba\.conf entry|role \".*\" does not exist|role \".*\" is not permitted|authentication failed",
    "3D000": r"database \".*\" does not exist|no such database",
    "42501": r"permission denied",
    "": r"SSL SYSCALL error|unexpected eof|closed unexpectedly",  # cut off, as by a server that stops
    "TLS": r"\bSSL\b|certificate|root\.crt",
    "URL": r"invalid .*(option|value|URI|parameter|sslmode|port number)|bad conninfo|missing \"=\"|unrecognized",
}
# Of several hosts the library tells what became of each, below the last one's.
_OF_A_HOST = re.compile(r"^- host: .*?hostaddr: '[^']*': ", re.MULTILINE)


class Refusal(NamedTuple):
    """Why the database didn't do what it was asked: SQLSTATE, `TLS`, `URL`, or empty; and its words."""

    code: str
    words: str

    @classmethod
    def read(cls, sqlstate: str | None, text: str, *, is_connected: bool = False) -> Refusal:
        """What an error of the library says. `text` may have several lines; the first says it.

        Of several hosts one that may answer in a moment counts. is_connected: a connection stood, so that it is lost
        where there is no SQLSTATE.
        """
        if sqlstate or is_connected:
            return cls(sqlstate or "", _first_line(text))
        hosts = _OF_A_HOST.split(text)[1:] or [text]
        return min((cls(_code(each), _first_line(each)) for each in hosts), key=lambda found: found.code != "")

    @property
    def is_passing(self) -> bool:
        """Whether the same may work in a moment."""
        return not self.code or self.code in _PASSING or self.code.startswith(_PASSING_CLASSES)

    def advice(self, address: DatabaseAddress) -> str:
        """What is wrong and what to do next, of a refusal that doesn't pass."""
        if self.code == "28P01":
            where = address.password_env or "PGPASSFILE, or env:NAME in the password's place"
            return f"the password is refused, or missing ({self.words}); expected the user's by {where}"
        if self.code == "28000":
            return f"this user or machine is refused ({self.words}); see the user's name, and the server's pg_hba.conf"
        if self.code == "3D000":
            return f"there is no such database ({self.words}); create it, or name another one"
        if self.code == "TLS":
            return f"no secure connection ({self.words}); see sslmode and sslrootcert in the address"
        if self.code == "URL":
            return f"an address that can't be used ({self.words}); expected parameters as libpq has them"
        if self.code in ("42501", "3F000"):
            schema = address.schema or "public"
            return (
                f"its user may not use or make the tables there ({self.words}); have the schema's owner run:"
                f" GRANT USAGE, CREATE ON SCHEMA {schema} TO the user. Or make the tables yourself: the SQL is in"
                " docs/share-a-key.md"
            )
        if self.code in ("42P01", "42703"):
            return f"its tables are gone, or of another version ({self.words}); expected those of docs/share-a-key.md"
        return f"it can't be used ({self.words})"


def _code(text: str) -> str:
    return next((code for code, pattern in _CODES_BY_WORDS.items() if re.search(pattern, text)), "")


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return printable(lines[0].removeprefix("connection failed: ") if lines else "no answer")
