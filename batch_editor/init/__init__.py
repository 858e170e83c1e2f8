"""The first manifest: looks at a shop's export, a table or a folder of pictures, and writes what plans as it stands."""

from batch_editor.init.begin import Beginning, begin

__all__ = ["Beginning", "begin"]
