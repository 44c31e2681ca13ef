"""Spool and database: what a run has written, and where it is kept."""
