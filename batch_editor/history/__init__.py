"""What an output directory has on record: every run, and the whole story of a job."""

from batch_editor.history.job_story import JobStory, story_of
from batch_editor.history.past_runs import History, history_of

__all__ = ["History", "JobStory", "history_of", "story_of"]
