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


class FormatError(UserError):
    """A result file or spool is not in a form this project reads."""
