"""profcore: measure where a mixture-of-experts vision-language model spends its time, and keep every sample.

In a notebook, `profcore.open()` gives the runs of a database and `profcore.read(file)` that of a file, both as
`profcore.notebook.Results`. What they need is imported when they are first asked for: a machine that only measures has
neither DuckDB nor Altair.
"""

__version__ = "0.2.0"

_LAZY = {"open": "open_database", "read": "read_file", "Results": "Results"}
__all__ = ["Results", "__version__", "open", "read"]


def __getattr__(name: str) -> object:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module("profcore.notebook"), _LAZY[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
