"""The parser of a command: help with examples, and one sentence for what is mistyped, with what was likely meant."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from profcore.cli.values import shortened
from profcore.errors import UserError
from profcore.spec.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Commands: TypeAlias = "argparse._SubParsersAction[CommandParser]"
"""Where a command is added."""

_WHAT = {"name": "tool"}
"""What the values of a positional argument are, where its own name does not say it."""

_MOST_LISTED = 12


class CommandParser(argparse.ArgumentParser):
    """As argparse's, but a refusal is a `UserError`, which the command line says as it says all others.

    Attributes:
        command: The command's name; empty for the whole command line.
    """

    command = ""

    def error(self, message: str) -> NoReturn:
        """Refuse a command line.

        Raises:
            UserError: Always, with argparse's reason.
        """
        said = message.removeprefix("argument ").rstrip(".")
        if not self.command and "required" in said:
            raise UserError(f"Name a command: `{self.prog} --help` lists them.")
        raise UserError(f"{self.command or self.prog}: {said}.")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        # Where argparse looks whether a value is one of an action's choices; its own words list them all.
        if action.choices is None or value in action.choices:
            return
        what = action.option_strings[0] if action.option_strings else _WHAT.get(action.dest, action.dest)
        meant = _meant(str(value), [str(choice) for choice in action.choices], self.prog)
        raise UserError(f"There is no {what} {shortened(str(value))!r}: {meant}")


def add_command(commands: Commands, name: str, text: str, *examples: str) -> CommandParser:
    """Add a command whose help says in a line what it does, and ends with examples.

    Args:
        commands: Where it is added.
        name: Of the command.
        text: What it does, as the list of commands has it.
        examples: What stands after the command's name.
    """
    title = "example:" if len(examples) == 1 else "examples:"
    parser = commands.add_parser(
        name,
        help=text,
        description=f"{text[:1].upper()}{text[1:]}.",
        epilog="\n".join([title, *(f"  %(prog)s {example}".rstrip() for example in examples)]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.command = name
    return parser


def check_options(parser: CommandParser, commands: Mapping[str, CommandParser], words: Sequence[str]) -> None:
    """Refuse the first option that the command of a command line does not have.

    Looked for before the words are parsed: argparse would take the value of an option that it does not know for an
    argument of the command, and say that this one is wrong.

    Raises:
        UserError: There is one.
    """
    of = parser
    for word in words:
        option = word.partition("=")[0]
        if of is parser and not word.startswith("-"):
            if word not in commands:
                return
            of = commands[word]
        elif word == "--":
            return
        # A text with a space in it is a value, for argparse as well.
        elif option.startswith("--") and " " not in option:
            known = [each for action in of._actions for each in action.option_strings if each.startswith("--")]
            if not any(each.startswith(option) for each in known):
                meant = _meant(option, known, of.prog)
                raise UserError(f"{of.command or 'profcore'} has no option {shortened(option)}: {meant}")


def _meant(word: str, known: Sequence[str], program: str) -> str:
    """What was likely meant by a word that is none of those known; else what they are, or how to list them."""
    if likely := did_you_mean(word, known):
        return likely
    return f"choose from {', '.join(known)}." if len(known) <= _MOST_LISTED else f"`{program} --help` lists them."
