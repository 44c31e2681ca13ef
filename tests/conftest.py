"""What several tests share: the reference material, a small model, sweeps that take no time."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

# Side by side, each process of tests computes on one thread, and so does what it starts: more would only take turns.
# Set before torch is first imported, which looks at it then.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# Nor do they all take turns on the cores that a worker would have to itself.
os.environ["PROFCORE_PINNING"] = "off"

import pytest
import torch

# Set before Triton is first imported: without a GPU its kernels run in its interpreter.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

from profcore.storage.store import Store
from tests.support import SHARED, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Scale what a test may take before it counts as hanging, and give the tests locks of devices of their own.

    With those, which the processes that they start inherit, the tests never wait for what another program measures.
    """
    if config.option.timeout is None:
        config.option.timeout = seconds(float(config.getini("timeout")))
    own = tempfile.mkdtemp(prefix="profcore-tests-")
    os.environ["PROFCORE_LOCKS"] = own
    config.add_cleanup(lambda: shutil.rmtree(own, ignore_errors=True))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts workers and kills them comes first: the last test of all runs alone, and should be a short one."""
    items.sort(key=lambda item: "worker" not in item.path.parts)


@pytest.fixture(autouse=True)
def _main_module() -> Iterator[None]:
    """Put back what a test of a page leaves in its place, which processes that are spawned later would run."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(scope="session")
def shared() -> Path:
    """The reference material beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"the reference material is not at {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def with_samples(tmp_path_factory) -> Path:
    """A database that holds the sample results, which are taken in once for all modules; to be copied."""
    path = tmp_path_factory.mktemp("samples") / "data.duckdb"
    with Store(path) as store:
        store.take_in_shipped()
    return path


@pytest.fixture(scope="session")
def sample_results(with_samples, tmp_path_factory):
    """The sample results in a store that no test changes."""
    with Store(Path(shutil.copy(with_samples, tmp_path_factory.mktemp("read")))) as store:
        yield store


@pytest.fixture(scope="session")
def tiny_molmoe(shared: Path) -> Path:
    """A checkpoint in the published layout, with expected outputs."""
    return shared / "reference" / "tiny-molmoe"


@pytest.fixture(scope="session")
def shelf():
    """A model shelf that all tests take the tiny model from."""
    from profcore.worker.shelf import ModelShelf

    return ModelShelf()


@pytest.fixture(scope="session")
def tiny(shelf):
    """The tiny preset on the CPU."""
    from profcore.spec.runs import Target

    return shelf.get(Target())
