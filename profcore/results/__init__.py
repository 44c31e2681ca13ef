"""A run as it is shown: what was asked, what was measured, and what the samples say."""
