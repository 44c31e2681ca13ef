"""The project's words as frozen dataclasses; standard library only.

A page or command builds a `RunSpec`; a worker turns it into `Sample`s on one `Environment`. Every class here goes to
and from plain JSON values with `to_dict` and `from_dict`, since that is how a spool holds it.
"""
