from __future__ import annotations

from batch_editor.postgres import SQL, table_names
from tests.docs.pages import PAGES


def test_the_how_to_has_the_sql_that_a_run_would_run() -> None:
    assert f"```sql\n{SQL.format(**table_names(None))}```" in PAGES["share-a-key"]
