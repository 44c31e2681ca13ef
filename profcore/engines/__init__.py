"""How a prepared model executes an inference; `make_engine` gives one by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from profcore.engines.names import check_engine, check_family_engine
from profcore.models.families.shape import FamilyShape

if TYPE_CHECKING:
    from profcore.engines.base import Engine
    from profcore.models.families.adapter import VisionLanguageModel
    from profcore.models.molmoe import MolmoE


def make_engine(name: str, model: MolmoE | VisionLanguageModel) -> Engine:
    """An engine for a loaded model.

    Raises:
        UserError: There is no such engine, or the model, its device or its experts cannot be run by it.
    """
    if isinstance(model.config, FamilyShape):
        check_family_engine(name, model.config.name)
        check_engine(name, model.device.type)
        return _family_engine(name, model)
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


def _family_engine(name: str, model: VisionLanguageModel) -> Any:
    if name == "graph":
        from profcore.engines.family_graph import FamilyGraphEngine

        return FamilyGraphEngine(model)
    from profcore.engines.family_eager import FamilyEagerEngine

    return FamilyEagerEngine(model)
