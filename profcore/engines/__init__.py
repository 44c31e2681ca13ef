"""How a prepared model executes an inference; `make_engine` gives one by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profcore.engines.names import check_engine

if TYPE_CHECKING:
    from profcore.engines.base import Engine
    from profcore.models.molmoe import MolmoE


def make_engine(name: str, model: MolmoE) -> Engine:
    """An engine for a loaded model.

    Raises:
        UserError: There is no such engine, or the model's device or experts cannot be run by it.
    """
    check_engine(name, model.device.type)
    if name == "eager":
        from profcore.engines.eager import EagerEngine

        return EagerEngine(model)
    if name == "graph":
        from profcore.engines.graph import GraphEngine

        return GraphEngine(model)
    if name == "generate":
        from profcore.engines.generate import GenerateEngine

        return GenerateEngine(model)
    from profcore.engines.compiled import CompiledEngine

    return CompiledEngine(model)
