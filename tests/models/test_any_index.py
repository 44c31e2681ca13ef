"""Whatever an index or a shard's header holds: the tensors to take, or one sentence."""

import json
import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profcore.errors import ModelError
from profcore.models.shards import find_tensors
from tests.storage.test_unread import mutated

TENSORS = {"a": [2, 3], "b": [4]}
NAMES = st.sampled_from(
    [
        "m-1.safetensors",
        "m-2.safetensors",
        "../m-1.safetensors",
        "/etc/passwd",
        "m.bin",
        "",
        "x" * 5000,
        "a\0b",
        "\ud800",
        ".",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)
INDEXES = st.fixed_dictionaries(
    {"weight_map": st.dictionaries(st.sampled_from([*TENSORS, "c"]), NAMES | VALUES) | VALUES}
)
FIELDS = {"dtype": st.sampled_from(["F32", "BF16", "I8", "F99"]) | VALUES, "shape": VALUES, "data_offsets": VALUES}
HEADERS = st.dictionaries(
    st.sampled_from([*TENSORS, "__metadata__"]), st.fixed_dictionaries({}, optional=FIELDS) | VALUES
)
quiet = settings(deadline=None, derandomize=True)


def shard(tensors, header=None):
    """A safetensors file's bytes: length of the header, header, data."""
    made, end = {}, 0
    for name, shape in tensors.items():
        size = 4 * math.prod(shape)
        made[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(made if header is None else header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(end)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("checkpoint")
    (place / "m-1.safetensors").write_bytes(shard({"a": TENSORS["a"]}))
    (place / "m-2.safetensors").write_bytes(shard({"b": TENSORS["b"]}))
    return place


def tensors_or_a_sentence(folder):
    try:
        found = find_tensors(folder)
    except ModelError as error:
        assert str(error)
        assert "\n" not in str(error)
        str(error).encode()
        return None
    assert all(path.parent == folder for path in found)
    return {name: list(shape) for tensors in found.values() for name, shape in tensors.items()}


def index(folder, document, number):
    path = folder / "model.safetensors.index.json"
    data = json.dumps(document).encode()
    path.write_bytes(mutated(number, data) if number else data)
    found = tensors_or_a_sentence(folder)
    path.unlink()
    assert found is None or found.items() <= TENSORS.items()


def headers(tmp_path, header, number):
    path = tmp_path / "model.safetensors"
    whole = shard(TENSORS, header)
    path.write_bytes(mutated(number, whole) if number else whole)
    tensors_or_a_sentence(tmp_path)


def test_what_is_whole_is_found(folder, tmp_path):
    assert tensors_or_a_sentence(folder) == TENSORS
    (tmp_path / "model.safetensors").write_bytes(shard(TENSORS))
    assert tensors_or_a_sentence(tmp_path) == TENSORS


def make_tests(examples, numbers, limit_s):
    """The tests, each over that many examples."""

    class Tests:
        @settings(quiet, max_examples=examples)
        @given(document=INDEXES | VALUES, number=st.integers(0, 1000))
        def test_indexes(self, folder, document, number):
            index(folder, document, number)

        @settings(quiet, max_examples=examples)
        @given(header=HEADERS | VALUES)
        def test_headers(self, folder_of_one, header):
            headers(folder_of_one, header, 0)

        def test_damaged_shards(self, folder_of_one):
            end = time.monotonic() + limit_s
            for number in numbers:
                headers(folder_of_one, None, number)
                if time.monotonic() > end:
                    break

    return Tests


@pytest.fixture(scope="module")
def folder_of_one(tmp_path_factory):
    return tmp_path_factory.mktemp("shard")


TestFew = make_tests(150, range(1, 300), 10)
TestMany = pytest.mark.long(make_tests(3000, range(1000, 9000), 30))
