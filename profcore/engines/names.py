"""The engines' names, what each is and where it runs, for pages and commands that have no torch."""

from __future__ import annotations

from profcore.errors import UserError

ENGINES = {
    "eager": "transformers as it is: kernels are launched one by one from Python.",
    "graph": "The same kernels, captured in CUDA graphs, one for each stage and setting, with a static cache. "
    "Needs a GPU.",
    "compiled": "torch.compile and fused kernels, captured in CUDA graphs; on a CPU without graphs.",
}


def engines_of(device: str) -> list[str]:
    """The engines that a device, 'cpu' or 'cuda:N', can run."""
    return [name for name in ENGINES if name != "graph" or device != "cpu"]


def check_engine(name: str, device: str) -> None:
    """Whether there is such an engine and the device can run it.

    Raises:
        UserError: There is none, or it cannot.
    """
    if name not in ENGINES:
        raise UserError(f"There is no engine {name!r}: choose from {', '.join(ENGINES)}.")
    if name not in engines_of(device):
        others = " or ".join(engines_of(device))
        raise UserError(f"The {name} engine needs a GPU, since CUDA graphs are its point: use {others} here.")
