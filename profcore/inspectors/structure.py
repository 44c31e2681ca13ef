"""`inspect structure`: the model's hierarchy with parameters, total and active, and bytes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from profcore.inspectors.base import Inspection

_STAGES = {"vision": "Vision encoder", "projector": "Projector", "llm": "LLM"}


def inspect(asked: Inspection) -> dict[str, Any]:
    """Every module once; those that are repeated, such as blocks, are one row that sums them up."""
    model = asked.loaded.model
    config = model.config
    share = config.top_k / config.num_experts
    rows: dict[str, dict[str, Any]] = {}
    for name, module in model.named_modules():
        pattern = re.sub(r"\.\d+(?=\.|$)", ".*", name)
        row = rows.setdefault(
            pattern,
            {
                "module": pattern or "model",
                "kind": type(module).__name__,
                "stage": _STAGES.get(name.split(".")[0], "all"),
                "depth": 0 if not name else pattern.count(".") + 1,
                "count": 0,
                "parameters": 0,
                "active": 0.0,
                "bytes": 0,
            },
        )
        row["count"] += 1
        for parameter_name, parameter in module.named_parameters():
            routed = "experts." in f"{name}.{parameter_name}"
            row["parameters"] += parameter.numel()
            row["active"] += parameter.numel() * (share if routed else 1)
            row["bytes"] += parameter.numel() * parameter.element_size()
    found = [{**row, "active": round(row["active"])} for row in rows.values() if row["parameters"]]
    stages = {
        title: next(
            {key: row[key] for key in ("parameters", "active", "bytes")} for row in found if row["module"] == name
        )
        for name, title in _STAGES.items()
    }
    return {"modules": found, "stages": stages, "top_k": config.top_k, "experts": config.num_experts}
