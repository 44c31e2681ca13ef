"""Numbers and names as sentences have them."""

import pytest

from profcore.spec.text import counted, parse_json, with_article


def test_a_number_of_things():
    assert [counted(n, "sample") for n in (0, 1, 2, 1200)] == ["0 samples", "1 sample", "2 samples", "1,200 samples"]
    assert counted(2, "query", "queries") == "2 queries"


@pytest.mark.parametrize(
    "name", ["NVIDIA H100 80GB HBM3", "AMD EPYC", "Intel Xeon", "A100", "L40S", "RTX 4090", "8-core", "x86_64"]
)
def test_an_before_what_sounds_like_a_vowel(name):
    assert with_article(name) == f"an {name}"


@pytest.mark.parametrize("name", ["CPU", "GPU", "Tesla V100", "GeForce", "unified card", "4-core machine", ""])
def test_a_before_the_others(name):
    assert with_article(name) == f"a {name}"


@pytest.mark.parametrize("half", [r"\ud800", r"\uDfFf", "\ud800"])
def test_half_of_a_pair_of_characters_is_replaced_however_it_is_written(half):
    text = f'{{"a": ["{half}"], "\u00d7": "1\\u00d76"}}'
    whole = {"a": ["\ufffd"], "\u00d7": "1\u00d76"}
    assert parse_json(text) == whole
    for encoding in ("utf-8", "utf-16", "utf-16-le", "utf-32-be"):
        assert parse_json(text.encode(encoding, "surrogatepass")) == whole
    escaped = r'{"a": "\ud83d\ude00", "b": "\ud83d"}'
    assert parse_json(escaped) == parse_json(escaped.encode("utf-16-le")) == {"a": "\U0001f600", "b": "\ufffd"}
