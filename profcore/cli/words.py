"""The words of a command line that ask for what options hold, for a process that is to do the same."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def words_of(add: Callable[[argparse.ArgumentParser], None], given: Mapping[str, Any]) -> list[str]:
    """The options, as words, whose values are not the usual ones.

    Args:
        add: Adds the options to a parser.
        given: Their values by name.
    """
    parser = argparse.ArgumentParser(add_help=False)
    add(parser)
    words: list[str] = []
    for action in parser._actions:
        value = given[action.dest]
        if value is None or value == action.default:
            continue
        option = action.option_strings[0]
        if value is True:
            words.append(option)
        elif isinstance(value, list):
            words += [option, *map(str, value)]
        elif isinstance(value, tuple):
            # A shard's number and how many there are.
            words.append(f"{option}={'/'.join(map(str, value))}")
        else:
            words.append(f"{option}={value}")
    return words
