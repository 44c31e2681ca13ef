"""What the inspection tools give, in words and tables; the page and the command show the same. Needs no torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from profcore.experiments.block_choice import METHODS
from profcore.spec.stages import Stage
from profcore.spec.text import are, counted


def lines(name: str, found: dict[str, Any]) -> list[str]:
    """What a tool found, in sentences."""
    return _LINES[name](found)


def tables(name: str, found: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """What a tool found, as tables by their titles."""
    return _TABLES[name](found)


def _token_lines(found: dict[str, Any]) -> list[str]:
    rows, columns = found["grid"]
    return [
        f"A picture of {found['width']}×{found['height']} pixels becomes a {rows}×{columns} grid: {found['num_crops']} "
        f"crops with the global view, {found['num_vision_tokens']:,} vision tokens.",
        f"With separators it takes {found['num_image_tokens']:,} tokens, the text {found['num_text_tokens']:,} and BOS "
        f"one: {found['num_input_tokens']:,} of the context's {found['context']:,}.",
        f"Of {found['patches']:,} patches {found['redundant_patches']:,} are shown twice and dropped once; "
        f"{found['padded_patches']:,} are padding and {found['partly_padded_patches']:,} partly.",
    ]


def _token_tables(found: dict[str, Any]) -> dict[str, pd.DataFrame]:
    counts = pd.DataFrame(found["counts"].items(), columns=["kind", "tokens"])
    text = pd.DataFrame(found["text"]).rename(columns={"piece": "token"})
    return {"Tokens by kind": counts, "Sequence": pd.DataFrame(found["runs"]), "Text": text}


def _moe_lines(found: dict[str, Any]) -> list[str]:
    share = found["block_active_parameters"] / found["block_parameters"]
    return [
        f"{counted(found['blocks'], 'block')}, each of {found['experts']} experts, of which a token uses "
        f"{found['top_k']}: "
        f"{found['block_active_parameters']:,} of {found['block_parameters']:,} parameters ({share:.1%}), "
        f"{found['block_active_bytes'] / 1e6:,.1f} of {found['block_bytes'] / 1e6:,.1f} MB in {found['dtype']}.",
        f"An expert is {found['activation']}, {found['hidden']} to {found['expert_width']} and back: "
        f"{found['expert_parameters']:,} parameters.",
        f"The router is a {found['router']}.",
        f"Under the {found['engine']} engine the experts run as {found['implementation']}.",
    ]


def _moe_tables(found: dict[str, Any]) -> dict[str, pd.DataFrame]:
    frame = pd.DataFrame(found["weights"])
    frame["shape"] = [" × ".join(map(str, shape)) for shape in frame["shape"]]
    return {"Weights of a block": frame}


def _flow_lines(found: dict[str, Any]) -> list[str]:
    parts = [
        f"{Stage(stage).label}: {counted(each['modules'], 'module call')}, {each['bytes'] / 1e6:,.1f} MB given"
        for stage, each in found["stages"].items()
    ]
    health = "No value is NaN." if not found["nan"] else f"{counted(found['nan'], 'value')} {are(found['nan'])} NaN."
    return [f"{'; '.join(parts)}.", health]


def _flow_tables(found: dict[str, Any]) -> dict[str, pd.DataFrame]:
    frame = pd.DataFrame(found["calls"])
    for side in ("input_shape", "output_shape"):
        frame[side] = ["" if shape is None else "×".join(map(str, shape)) for shape in frame[side]]
    for column in ("mean", "std", "min", "max"):
        frame[column] = frame[column].astype(float).round(4)
    frame = frame.rename(columns={"input_shape": "takes", "output_shape": "gives"})
    return {
        Stage(stage).label: frame[frame["stage"] == stage].drop(columns="stage").reset_index(drop=True)
        for stage in found["stages"]
    }


def _pooling_lines(found: dict[str, Any]) -> list[str]:
    side, per = found["patches_per_side"], found["tokens_per_side"]
    rows, columns = found["grid"]
    return [
        f"A crop of {found['crop_pixels']} pixels has {side}×{side} patches of {found['patch_pixels']} pixels; each "
        f"window of {found['pooling_window'][0]}×{found['pooling_window'][1]} becomes one token, so {per}×{per} = "
        f"{found['tokens_per_crop']} tokens.",
        f"Pooling is {found['pooling']}: {found['features']} features to {found['pooled_width']}, "
        f"{found['heads']} heads, then to the language model's {found['token_width']}.",
        f"Margins of {found['margin_patches'][0]} patches on each side leave {found['window_patches']} of its own; "
        f"neighbours overlap by {found['overlap_patches']}.",
        f"This picture ({found['width']}×{found['height']}) has a {rows}×{columns} grid: "
        f"{found['num_vision_tokens']:,} tokens of {counted(len(found['crops']), 'crop')} are kept.",
    ]


def _pooling_tables(found: dict[str, Any]) -> dict[str, pd.DataFrame]:
    rows = [
        {"crop": each["crop"], "kept tokens": each["tokens"], "dropped": found["tokens_per_crop"] - each["tokens"]}
        for each in found["crops"]
    ]
    return {"Tokens of each crop": pd.DataFrame(rows)}


def _structure_lines(found: dict[str, Any]) -> list[str]:
    whole = next(row for row in found["modules"] if row["module"] == "model")
    return [
        f"{whole['parameters']:,} parameters, {whole['bytes'] / 1e9:,.2f} GB; one token uses {whole['active']:,} "
        f"({found['top_k']} of {found['experts']} experts)."
    ]


def _structure_tables(found: dict[str, Any]) -> dict[str, pd.DataFrame]:
    stages = pd.DataFrame([{"stage": stage, **each} for stage, each in found["stages"].items()])
    modules = pd.DataFrame(found["modules"])
    modules["module"] = [
        "\u2003" * depth + name for depth, name in zip(modules["depth"], modules["module"], strict=True)
    ]
    return {"By stage": stages, "Modules": modules.drop(columns="depth")}


def _topk_lines(found: dict[str, Any]) -> list[str]:
    routing = found["routing"]
    wrong = [each for each in routing if not each["passed"]]
    if wrong:
        first = wrong[0]
        verdict = (
            f"FAILED: at top-k {first['top_k']} a token of the {first['picture']} picture used "
            f"{first['per_token'][0]} to {first['per_token'][1]} experts."
        )
    else:
        verdict = "Every token used exactly as many experts as top-k says, in every block, in prefill and decode."
    sentences = [verdict]
    for top_k in found["values"]:
        rows = [each for each in routing if each["top_k"] == top_k and each["phase"] == "prefill"]
        hit = {each["picture"]: np.mean(each["distinct"]) for each in rows}
        sentences.append(
            f"Top-k {top_k}: the real picture's prompt hits {hit['real']:.1f} of {found['experts']} experts in the "
            f"mean block, a solid colour's {hit['solid']:.1f}; {rows[0]['unlike']:.1%} of its tokens use other experts."
        )
    if found["weights"] == "random":
        sentences.append("The weights are random: trained ones may tell the two apart more, or less.")
    return sentences


def _topk_tables(found: dict[str, Any]) -> dict[str, pd.DataFrame]:
    rows = [
        {
            "picture": each["picture"],
            "top-k": each["top_k"],
            "phase": each["phase"],
            "tokens": each["tokens"],
            "experts of a token": "–".join(map(str, dict.fromkeys(each["per_token"]))),
            "distinct experts, mean block": round(float(np.mean(each["distinct"])), 1),
            "imbalance, mean block": round(float(np.mean(each["imbalance"])), 2),
            "tokens unlike the other picture": round(each["unlike"], 4),
            "passed": each["passed"],
        }
        for each in found["routing"]
    ]
    return {"Routing": pd.DataFrame(rows)}


def _check_lines(found: dict[str, Any]) -> list[str]:
    failed = [row for row in found["rows"] if not row["passed"]]
    verdict = f"{len(found['rows']) - len(failed)} of {len(found['rows'])} checks passed."
    words = " Its weights are random, so its words mean nothing." if found["weights"] == "random" else ""
    return [verdict, f"It answers: {found['answer']!r}.{words}"]


def _check_tables(found: dict[str, Any]) -> dict[str, pd.DataFrame]:
    return {"Checks": pd.DataFrame(found["rows"]).rename(columns={"at_most": "at most"})}


def importance_lines(found: dict[str, Any]) -> list[str]:
    """How blocks were scored, and what to think of it."""
    said = [f"{METHODS[found['method']]}; {counted(found['queries'], 'question')} of {found['data_set']}."]
    if found["full_accuracy"] is not None:
        said.append(f"The full model's VQA accuracy is {found['full_accuracy']:.1%}.")
    if found["weights"] == "random":
        said.append("The weights are random, so these scores mean nothing: they show how the tool works.")
    return said


def importance_table(found: dict[str, Any]) -> pd.DataFrame:
    """The scores, the most important block first."""
    frame = pd.DataFrame({"block": [int(block) for block in found["scores"]], "score": list(found["scores"].values())})
    frame = frame.sort_values(["score", "block"], ascending=[False, True]).reset_index(drop=True)
    return frame.assign(rank=range(1, len(frame) + 1))[["rank", "block", "score"]]


_LINES = {
    "tokens": _token_lines,
    "moe-layer": _moe_lines,
    "flow": _flow_lines,
    "pooling": _pooling_lines,
    "structure": _structure_lines,
    "topk": _topk_lines,
    "check": _check_lines,
}
_TABLES = {
    "tokens": _token_tables,
    "moe-layer": _moe_tables,
    "flow": _flow_tables,
    "pooling": _pooling_tables,
    "structure": _structure_tables,
    "topk": _topk_tables,
    "check": _check_tables,
}
