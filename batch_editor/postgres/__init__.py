"""PostgreSQL databases that runs share: their tables, and a connection that comes back."""

from batch_editor.postgres.address import DatabaseAddress, read_database_address
from batch_editor.postgres.connection import Connection
from batch_editor.postgres.database import Database
from batch_editor.postgres.tables import SQL, has_tables, make_tables, table_names

__all__ = [
    "SQL",
    "Connection",
    "Database",
    "DatabaseAddress",
    "has_tables",
    "make_tables",
    "read_database_address",
    "table_names",
]
