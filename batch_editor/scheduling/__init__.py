"""When a request may leave, how many at once, and whether a failed one is tried again."""
