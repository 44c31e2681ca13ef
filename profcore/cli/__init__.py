"""The command line: one file a command, each with its options; `parser` puts them together."""
