"""The errors a person can cause: each carries one sentence that a page or the command line shows as it is."""


class UserError(Exception):
    """Something asked for cannot be done; the message says what was wrong and what would be right."""


class ModelError(UserError):
    """A model or checkpoint cannot be used as given."""


class ImageError(UserError):
    """A picture cannot be used as given."""


class StoreError(UserError):
    """The database cannot be used as given."""


class StoreHeldError(StoreError):
    """Another process holds the database; its owner takes spools in."""


class StoreFullError(StoreError):
    """There is no space left for the database."""


class StoreDamagedError(StoreError):
    """The database is not whole, or not where it was; a new one can be made from its spools."""


class StoreNewerError(StoreError):
    """A newer version of this project made the database."""


class StoreValueError(StoreError):
    """The database cannot hold a value, or read one that it holds."""


class NoSpaceError(UserError):
    """A disk, a quota or a limit of the process is used up, so that a file cannot be written."""


class FormatError(UserError):
    """A result file or spool is not in a form this project reads."""


class RunHeldError(UserError):
    """Another process measures a run, or has it waiting."""
