"""The command line: `python -m profcore …`, the same code as the dashboard's for a machine without a browser."""

from __future__ import annotations

import argparse
import logging
import sys
from typing import TYPE_CHECKING, NoReturn

from profcore import __version__
from profcore.cli import (
    bench,
    ceilings,
    change,
    check,
    compare,
    compare_engines,
    estimate,
    export,
    hand_over,
    import_files,
    importance,
    inspect,
    jobs,
    plot,
    rebuild,
    regress,
    repeat,
    run,
    runs,
    show,
    sql,
    submit,
    tokens,
    tradeoff,
    unread,
    why,
)
from profcore.cli.command_parser import CommandParser, check_options
from profcore.cli.completion import complete
from profcore.cli.values import check_words, shortened
from profcore.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = (
    *(
        run,
        repeat,
        submit,
        jobs,
        import_files,
        runs,
        show,
        compare,
        regress,
        sql,
        export,
        hand_over,
        change,
        plot,
        compare_engines,
        why,
    ),
    tradeoff,
    *(unread, rebuild),
    *(check, inspect, importance, tokens, estimate, ceilings, bench),
)
"""The modules of the commands, in the order that help lists them; each adds its own with `register`."""

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


def main(arguments: Sequence[str] | None = None, program: str = "profcore") -> NoReturn:
    """Run a command; exits 0 when done, 1 when something measured or checked failed, 2 on bad input."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        check_words(words)
        options = parse([hyphens(word) for word in words], program)
        level = _LEVELS[min(options.verbose, len(_LEVELS) - 1)]
        logging.basicConfig(level=level, format="%(asctime)s %(name)s: %(message)s", force=True)
        code = options.command(options)
    except UserError as error:
        print(f"profcore: {error}", file=sys.stderr)
        code = 2
    except ModuleNotFoundError as error:
        if not error.name or error.name.partition(".")[0] == "profcore":
            raise
        print(f"profcore: {error.name} is not installed here: install what requirements.txt lists.", file=sys.stderr)
        code = 2
    except OSError as error:
        # A path that no part foresaw: too long, not permitted, on a full disk.
        logging.getLogger(__name__).info("", exc_info=True)
        path = f"{shortened(str(error.filename))}: " if error.filename else ""
        print(f"profcore: {path}{error.strerror or error}.", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print("profcore: stopped.", file=sys.stderr)
        code = 130
    sys.exit(code)


def parse(words: Sequence[str], program: str = "profcore") -> argparse.Namespace:
    """What a command line asks for; its `command` does it.

    Raises:
        UserError: It names what there is not, or lacks something.
    """
    parser = build_parser(program)
    complete(parser)
    check_options(parser, commands_of(parser), words)
    return parser.parse_args(words)


def build_parser(program: str = "profcore") -> CommandParser:
    """The parser of every command's options; `options.command` of what it gives runs the command.

    Args:
        program: What a person calls it by, as help writes it.
    """
    parser = CommandParser(
        prog=program,
        description="Measure a MolmoE-1B, or another vision-language model, under its four knobs.",
        epilog="example:\n  %(prog)s run moe_topk --num-samples 20\n\n`%(prog)s COMMAND --help` has more of each.\n"
        "The dashboard needs the checkout: there, run `streamlit run app.py`.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"profcore {__version__}")
    parser.add_argument("-v", "--verbose", action="count", default=0, help="say what is done; twice for every detail")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for module in COMMANDS:
        module.register(commands)
    return parser


def commands_of(parser: argparse.ArgumentParser) -> dict[str, CommandParser]:
    """The parser of each command."""
    (commands,) = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    return commands.choices


def hyphens(word: str) -> str:
    """An option as this project spells it: the published scripts write underscores, and both are taken."""
    if not word.startswith("--"):
        return word
    option, equals, value = word.partition("=")
    return option.replace("_", "-") + equals + value
