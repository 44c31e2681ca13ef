"""The engines' names, what each is and where it runs, for pages and commands that have no torch."""

from __future__ import annotations

from profcore.errors import UserError

ENGINES = {
    "eager": "transformers as it is: kernels are launched one by one from Python.",
    "graph": "The same kernels, captured in CUDA graphs, one for each stage and setting, with a static cache. "
    "Needs a GPU.",
    "compiled": "torch.compile and fused kernels, captured in CUDA graphs; on a CPU without graphs.",
}


PEERS = {
    "generate": "transformers' own generate with a static cache, whose decode step it compiles and captures itself: "
    "what a user of transformers may pick. It knows no stages. Needs a GPU.",
}
"""What stands beside the engines and is none of this project's."""

PEER_METRICS = ("ttft_ms", "tpot_ms", "total_ms")
"""What is compared of a peer, which knows no stages."""


def peers_of(device: str) -> list[str]:
    """The peers that a device, 'cpu' or 'cuda:N', can run."""
    return list(PEERS) if device != "cpu" else []


def engines_of(device: str) -> list[str]:
    """The engines that a device, 'cpu' or 'cuda:N', can run."""
    return [name for name in ENGINES if name != "graph" or device != "cpu"]


FAMILY_ENGINES = ("eager", "graph")
"""The engines of other models than MolmoE."""


def check_family_engine(name: str, model: str) -> None:
    """Whether an engine runs other models than MolmoE.

    Raises:
        UserError: It does not.
    """
    if name in ENGINES and name not in FAMILY_ENGINES:
        raise UserError(f"The {name} engine is written for MolmoE alone: use eager or graph for {model}.")
    if name in PEERS:
        raise UserError(f"{name} is compared for MolmoE alone: use eager, which calls it, or graph for {model}.")


def check_engine(name: str, device: str) -> None:
    """Whether there is such an engine and the device can run it.

    Raises:
        UserError: There is none, or it cannot.
    """
    if name in PEERS:
        if name not in peers_of(device):
            others = " or ".join(engines_of(device))
            raise UserError(f"{name} with a static cache compiles on a GPU alone: use {others} here.")
        return
    if name not in ENGINES:
        raise UserError(f"There is no engine {name!r}: choose from {', '.join(ENGINES)}.")
    if name not in engines_of(device):
        others = " or ".join(engines_of(device))
        raise UserError(f"The {name} engine needs a GPU, since CUDA graphs are its point: use {others} here.")
