"""Text from files, links and people, as pages show it: as text. Streamlit takes what it is given for Markdown.

Whatever a page shows that is not written in its own code goes through `plain`, or `say_error` where it is an error: a
name that holds Markdown would else draw headings, links and pictures, which every viewer's browser fetches.
"""

from __future__ import annotations

import re

import streamlit as st

from profcore.spec.text import brief

# What has a meaning within a line, and what has one at its beginning.
_INLINE = re.compile(r"[\\`*_{}\[\]<>#|~$&!]")
_AT_BEGINNING = re.compile(r"^(\d*)(?:([.)])(?=\s|$)|(?<!\d)([-+=]))")
# What Streamlit or GitHub's Markdown looks for once escapes are read: symbols, icons, emoji, arrows, addresses. No
# escape hides it, so that an invisible character (word joiner) parts it.
_LATER = re.compile(
    r"(?<=:)(?=material/|(?:[a-z+-]|\d+[a-z_-])[\w+-]*:|(?:100|1234):|//)|(?<=www)(?=\.)|(?<=\w)(?=@\w)"
    r"|(?<=-)(?=[->])|(?<=<)(?=[-=])|(?<=[>~=])(?==)|(?<==)(?=>)",
    re.IGNORECASE,
)
_DIRECTIVE = re.compile(r":(?=[A-Za-z])")


def plain(text: object) -> str:
    """The text in Markdown that shows just its letters, on one line."""
    line = " ".join(str(text).split())
    line = _LATER.sub("\N{WORD JOINER}", line)
    line = _INLINE.sub(lambda found: f"\\{found[0]}", line)
    line = _DIRECTIVE.sub(r"\\:", line)
    return _AT_BEGINNING.sub(r"\1\\\2\3", line)


def say_error(error: object) -> None:
    """Show what was wrong, as one short sentence."""
    st.error(plain(brief(str(error))))
