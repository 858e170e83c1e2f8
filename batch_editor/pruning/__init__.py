"""Old files that no job needs any more go: former pictures, answers that are no result, a page's cache."""

from batch_editor.pruning.command import PruneOutcome, Removed, prune_output

__all__ = ["PruneOutcome", "Removed", "prune_output"]
