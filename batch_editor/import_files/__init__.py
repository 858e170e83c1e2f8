"""Import files: a shop's own table again, with the new pictures' addresses in the place of the old ones."""

from batch_editor.import_files.addresses import address
from batch_editor.import_files.export import ImportFile, export_for_shop

__all__ = ["ImportFile", "address", "export_for_shop"]
