"""What a run recorded of quality, and what is to be thought of it, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profcore.spec.text import counted

if TYPE_CHECKING:
    import pandas as pd

    from profcore.results.base import MeasuredRun

RANDOM_QUALITY = "The weights are random, so quality means nothing here: it shows how the tool works."

CUT_AS_SET = (
    "Accuracy is of pictures cut as each setting says, small ones enlarged: in crops of their own a model may answer "
    "more of the questions."
)


def has_quality(settings: pd.DataFrame) -> bool:
    """Whether quality was found of any setting.

    Args:
        settings: As `MeasuredRun.settings`.
    """
    return bool("kl" in settings and settings["kl"].notna().any())


def quality_failure(settings: pd.DataFrame) -> str:
    """Of how many settings no quality could be found, and why; empty where it was found of all that were asked.

    Args:
        settings: As `MeasuredRun.settings`.
    """
    reasons = settings["quality_failed"].dropna().tolist() if "quality_failed" in settings else []
    if not reasons:
        return ""
    return f"No quality could be found of {len(reasons)} of {counted(len(settings), 'setting')}: {reasons[0]}"


def quality_words(result: MeasuredRun) -> str:
    """What the figures of quality are, of a run that has some."""
    return (
        "KL divergence of the next-token distribution from the full model's (every block, the model's own top-k), in "
        f"nats, mean over {_questions(result)}; VQA accuracy as VQA v2 defines it, where the questions have answers."
    )


def accuracy_words(result: MeasuredRun) -> str:
    """What the accuracy of a joint run is, which has each picture cut as the setting has it."""
    return f"Accuracy as VQA v2 defines it, mean over {_questions(result)}, each picture in the setting's own crops."


def _questions(result: MeasuredRun) -> str:
    """How many questions were put to each setting, or to each point of several."""
    places = "point" if "point" in result.settings else "setting"
    return counted(int(result.settings.groupby(places)["quality_queries"].sum().max()), "question")


def is_random(result: MeasuredRun) -> bool:
    """Whether a run's weights are random, so that its quality means nothing."""
    return result.run["environment"].get("weights") == "random"
