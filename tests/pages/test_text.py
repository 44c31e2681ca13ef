"""Text from files, links and people is shown as text."""

import ast
import re

import pytest

from pages.parts.text import plain
from profcore.spec.text import brief
from tests.support import ROOT

# What draws Markdown, by the position of the argument that is drawn so.
DRAWS = {
    **dict.fromkeys(("markdown", "caption", "info", "warning", "error", "success", "toast", "title", "header"), 0),
    **dict.fromkeys(("subheader", "expander", "spinner", "metric", "button", "popover", "write", "text_input"), 0),
    **dict.fromkeys(("checkbox", "toggle", "download_button", "selectbox", "slider", "number_input", "radio"), 0),
    "progress": 1,
}
# What gives the product's own words, or numbers.
OWN = {
    "plain",
    "counted",
    "are",
    "len",
    "waiting",
    "_counted",
    "rough_duration",
    "distribution_line",
    "_engine_help",
    "_unmatched_words",
    "published_source",
}
# Expressions that are such: words of catalogues and of the page itself, what was escaped before, and numbers.
OWN_IN = {
    "bar": ("config.n_layers", "experts", "weights"),
    "baseline": ("label",),
    "beside_view": ("lines[0]",),
    "block_controls": ("have",),
    "controls": ("number", "sweep.num_samples", "sweep.warmup"),
    "door": ("reason",),
    "group_choice": ("label",),
    "engines_view": ("experiment.per", "name", "text"),
    "figure_view": ("label",),
    "home": ("text",),
    "how_often": ("label",),
    "inspect_view": ("each.script", "each.text", "said[0]", "sentence"),
    "joint_controls": ("label",),
    "lacking": ("label",),
    "latency_model_view": ("label", "model.settings"),
    "marks_view": ("label",),
    "models_view": ("size[0]", "size[1]"),
    "motivation": ("experiment.text",),
    "motivation_controls": ("label", "number", "skipped"),
    "motivation_view": ("ended", "number"),
    "other_run": ("label",),
    "pressed": ("label",),
    "quality_view": ("questions",),
    "run_parts": ("empty", "created", "done", "label"),
    "runs_table": ("archived",),
    "several": ("number",),
    "runs_view": ("back", "done", "number"),
    "tiling_view": ("tiles.height", "tiles.width"),
    "why_view": ("profile['steps']",),
}


def _drawn():
    """Every expression that a page draws as Markdown, and where it stands."""
    for path in sorted((ROOT / "pages").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in DRAWS:
                place = DRAWS[node.func.attr]
                shown = [each for each in node.args[place : place + 1] if not isinstance(each, ast.Starred)]
                for each in [*shown, *(word.value for word in node.keywords if word.arg in ("label", "body", "help"))]:
                    yield f"{path.name}:{each.lineno}", each


def _unescaped(node):
    """The parts of an expression that may hold text from elsewhere and are not escaped."""
    if isinstance(node, ast.Constant):
        return []
    if isinstance(node, ast.JoinedStr):
        return [found for each in node.values for found in _unescaped(each)]
    if isinstance(node, ast.FormattedValue):
        # Only numbers have a format.
        return [] if node.format_spec else _unescaped(node.value)
    if isinstance(node, ast.BinOp):
        return _unescaped(node.left) + _unescaped(node.right)
    if isinstance(node, ast.IfExp):
        return _unescaped(node.body) + _unescaped(node.orelse)
    if isinstance(node, ast.BoolOp):
        return [found for each in node.values for found in _unescaped(each)]
    if isinstance(node, ast.Call):
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name in ("join", "strip", "upper"):
            return [found for each in [*node.args, node.func.value] for found in _unescaped(each)]
        return [] if name in OWN else [ast.unparse(node)]
    if isinstance(node, ast.Tuple | ast.List):
        return [found for each in node.elts for found in _unescaped(each)]
    if isinstance(node, ast.Starred):
        return _unescaped(node.value)
    if isinstance(node, ast.GeneratorExp):
        return _unescaped(node.elt)
    name = ast.unparse(node)
    # Constants are the product's own.
    return [] if re.match(r"(?:\w+\.)?_?[A-Z_0-9]{3,}\b", name) else [name]


def test_what_is_not_written_in_a_page_is_escaped():
    drawn = list(_drawn())
    assert len(drawn) > 150
    found = [(where, part) for where, each in drawn for part in _unescaped(each)]
    assert [(where, part) for where, part in found if part not in OWN_IN.get(where.partition(".")[0], ())] == []


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("![x](http://a/p.png)", "\\!\\[x\\](http:\u2060//a/p.png)"),
        ("# head", "\\# head"),
        ("1. item", "1\\. item"),
        ("- a\n# b", "\\- a \\# b"),
        ("a:material/home:", "a:\u2060material/home:"),
        (":red[a]", "\\:red\\[a\\]"),
    ],
)
def test_markdown_is_escaped(text, escaped):
    assert plain(text) == escaped


@pytest.mark.parametrize(
    "text", ["molmoe-1b, random weights on H100 80GB", "10:30:22 UTC", "12.5 ms", "a (b), c/d 90 %"]
)
def test_usual_names_stay_as_they_are(text):
    assert plain(text) == text


def test_an_error_is_one_short_sentence():
    assert brief("There is no model 'x'.") == "There is no model 'x'."
    long = brief(f"There is nothing at {'x' * 5000!r}: give a folder.")
    assert long.endswith("give a folder.")
    assert len(brief("word " * 5000)) == 200
    assert "\n" not in brief("a\nb" * 300)
