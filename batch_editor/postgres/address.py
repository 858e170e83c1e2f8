"""Where a database is: `postgresql://user@host/database`, as libpq has it, but never with a password."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from batch_editor.errors import UsageError
from batch_editor.text import guard

_EXPECTED = "expected postgresql://USER@HOST/DATABASE"
_REFUSED = (
    "a password stands in it, where others can read it; write env:NAME in its place, as in"
    " postgresql://USER:env:NAME@HOST/DATABASE, or leave it to PGPASSFILE"
)
_FROM_ENV = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)", re.ASCII)
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}", re.ASCII)
# Several hosts may be given, each with a port. What is none may be half a password.
_HOSTS = re.compile(r"(?:(?:\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._%-]*)(?::[0-9]{1,5})?,?)*", re.ASCII)
_SECRETS = ("password", "sslpassword")
# Parameters that say how to connect. Any other one may lead elsewhere: dbname, host, options=-csearch_path=….
_ONLY_HOW = re.compile(
    r"(ssl|gss|krb|keepalives|tcp_)\w*"
    r"|application_name|channel_binding|connect_timeout|load_balance_hosts|passfile|require_auth|target_session_attrs",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """A database, as libpq takes its address.

    url: without a password, and without `schema`, the part of the database whose tables are meant; None: the first of
    the user's search path. password_env: the variable that holds the password; None where libpq finds it (PGPASSFILE).
    """

    url: str
    schema: str | None = None
    password_env: str | None = None

    def __str__(self) -> str:
        return self.url.partition("?")[0]

    @property
    def place(self) -> str:
        """Where the tables are, without what says only how to connect.

        >>> read_database_address("postgresql://db/spending?sslmode=require&dbname=other&schema=shop").place
        'postgresql://db/spending?dbname=other&schema=shop'
        """
        query = self.url.partition("?")[2].split("&")
        parameters = [each for each in query if each and not _ONLY_HOW.fullmatch(each.partition("=")[0])]
        if self.schema is not None:
            parameters.append(f"schema={self.schema}")
        return "?".join([str(self), *(["&".join(parameters)] if parameters else [])])

    def password(self) -> str | None:
        """The password, which is kept out of all texts from now on; None where libpq finds it.

        Raises:
            UsageError: the variable that should hold it isn't set.
        """
        if self.password_env is None:
            return None
        password = os.environ.get(self.password_env)
        if not password:
            raise UsageError(f"budget.ledger {self}: {self.password_env} isn't set; expected the user's password in it")
        guard(password)
        return password


def read_database_address(text: str) -> DatabaseAddress:
    """The database that a text means.

    >>> read_database_address("postgresql://shop:env:DB_PASSWORD@db.internal/spending?schema=images")
    DatabaseAddress(url='postgresql://shop@db.internal/spending', schema='images', password_env='DB_PASSWORD')

    Raises:
        ValueError: it is none, or has a password. The message has nothing of the text.
    """
    scheme, separator, rest = text.strip().partition("://")
    if not separator or scheme.lower() not in ("postgresql", "postgres") or not rest.isprintable() or " " in rest:
        raise ValueError(_EXPECTED)
    place, question_mark, query = rest.partition("?")
    authority, slash, database = place.partition("/")
    if "@" in database or "@" in query.partition("&")[0].partition("=")[0]:  # of a password with a / or ? in it
        raise ValueError(_REFUSED)
    user_and_password, at, hosts = authority.rpartition("@")
    user, _, password = user_and_password.partition(":")
    from_env = _FROM_ENV.fullmatch(password)
    if password and from_env is None:
        raise ValueError(_REFUSED)
    if _HOSTS.fullmatch(hosts) is None:
        raise ValueError(_EXPECTED)
    parameters = query.split("&") if question_mark else []
    if any(name.lower() in _SECRETS for name, _, _ in (each.partition("=") for each in parameters)):
        raise ValueError(_REFUSED)
    schemas = [each.removeprefix("schema=") for each in parameters if each.startswith("schema=")]
    if schemas and (len(schemas) > 1 or _SCHEMA.fullmatch(schemas[0]) is None):
        raise ValueError("expected one schema=NAME of small letters, digits and _")
    kept = "&".join(each for each in parameters if not each.startswith("schema="))
    url = f"postgresql://{user}{at}{hosts}{slash}{database}{f'?{kept}' if kept else ''}"
    return DatabaseAddress(url, schemas[0] if schemas else None, from_env[1] if from_env else None)
