"""The process that measures, its queue, and what it answers between runs."""
