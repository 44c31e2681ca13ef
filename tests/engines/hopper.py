"""Compile every Triton kernel for Hopper ahead of time, which needs no GPU: `python -m tests.engines.hopper`.

A process of its own, since in one process Triton either compiles or interprets.
"""

import sys

from triton import compile as compile_kernel
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction

from profcore.engines.kernels import decode, prefill

HOPPER = GPUTarget("cuda", 90, 32)
# Arguments by their names, which mean the same in every kernel; all other tensors are in bfloat16.
FLOATS = {"eps", "softmax_scale"}
NUMBERS = {"width", "units", "experts", "length", "head_size", "count", "tiles"}
FLOAT_TENSORS = {"cosines", "sines", "partial", "partial_max", "partial_sum", "candidates"}
INT_TENSORS = {"chosen", "arrived", "places", "counts", "tile_expert", "tile_start"}
LONG_TENSORS = {"position", "position_pointer", "token"}
DECODE = {"WIDTH": 2048, "OVERLAP": True}
TILES = {"width": 2048, "units": 1024, "ROWS": 64, "COLUMNS": 64, "STEP": 64, "PRECISION": "tf32", "BLOCKS": False}
IN_BLOCKS = {**TILES, "ROWS": 128, "COLUMNS": 128, "BLOCKS": True, "weight": "tensordesc<bf16[128,64]>"}
CALLED_BY_OTHERS = {"_rotated", "_normed_product"}
KERNELS = [
    (decode._norm_project, {"ROWS": 8, "rows": "i32", **DECODE}),
    (decode._attend, {"HALF": 64, "TOKENS": 64, "SPLITS": 8, "SPLITS_PADDED": 8, **DECODE}),
    (decode._project_add, {"ROWS": 8, "rows": "i32", **DECODE}),
    (decode._expert_up, {"ROWS": 8, "EXPERTS": 64, **DECODE}),
    (decode._expert_down, {"TOP_K": 8, "SLOTS": 8, "ROWS": 2, "UNITS": 1024, "OVERLAP": True}),
    (decode._head, {"ROWS": 16, "rows": "i32", **DECODE}),
    (decode._advance, {"COUNT": 4096, "tokens": "*i64", **DECODE}),
    (prefill._route, {"TOP_K": 8, "EXPERTS": 64, "rows": "*i32", "tokens": "i32"}),
    (prefill._plan, {"ROWS": 64, "EXPERTS": 64, "TILES": 128}),
    (prefill._up, {"TOP_K": 8, "rows": "*i32", "tokens": "i32", **TILES}),
    (prefill._down, {"rows": "*i32", "tokens": "i32", **TILES}),
    (prefill._up, {"TOP_K": 8, "rows": "*i32", "tokens": "i32", **IN_BLOCKS}),
    (prefill._down, {"rows": "*i32", "tokens": "i32", **IN_BLOCKS, "hidden": "tensordesc<bf16[128,64]>"}),
    (prefill._combine, {"TOP_K": 8, "COLUMNS": 1024}),
]


def kind(name: str) -> str:
    """An argument's type, from its name."""
    if name in FLOATS:
        return "fp32"
    if name in NUMBERS:
        return "i32"
    for names, written in ((FLOAT_TENSORS, "*fp32"), (INT_TENSORS, "*i32"), (LONG_TENSORS, "*i64")):
        if name in names:
            return written
    return "*bf16"


def is_type(value: object) -> bool:
    """Whether what is given for an argument is its type, and not its value."""
    return isinstance(value, str) and value.startswith(("*", "i32", "tensordesc"))


def main() -> None:
    """Compile them all; an error ends with its traceback."""
    compiled = {kernel for kernel, _ in KERNELS}
    for module in (decode, prefill):
        known = {value for value in vars(module).values() if isinstance(value, JITFunction)}
        missing = {kernel for kernel in known - compiled if kernel.__name__ not in CALLED_BY_OTHERS}
        if missing:
            sys.exit(f"not compiled: {missing}")
    for kernel, given in KERNELS:
        constants = {name: value for name, value in given.items() if not is_type(value)}
        signature = {
            name: "constexpr" if name in constants else given.get(name) or kind(name) for name in kernel.arg_names
        }
        built = compile_kernel(ASTSource(kernel, signature, constants), HOPPER, {"num_warps": 4})
        print(f"{kernel.__name__} {len(built.asm['cubin'])} bytes")


if __name__ == "__main__":
    main()
