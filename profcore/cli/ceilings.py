"""`ceilings`: measure what the device can do at most."""

from __future__ import annotations

import argparse
import json

from profcore.cli.command_parser import Commands, add_command
from profcore.cli.common import default_device
from profcore.cli.options import add_device, add_json


def register(commands: Commands) -> None:
    """Add `ceilings`."""
    parser = add_command(commands, "ceilings", "measure what the device can do at most", "--device cuda:0")
    add_device(parser)
    add_json(parser)
    parser.set_defaults(command=ceilings)


def ceilings(options: argparse.Namespace) -> int:
    """Measure what the device can do at most, and print it."""
    from profcore.measure.ceilings import measure_ceilings
    from profcore.models.load import resolve_device, resolve_dtype

    device = resolve_device(default_device(options.device))
    found = measure_ceilings(device, resolve_dtype(options.dtype, device))
    if options.json:
        print(json.dumps(found.to_dict(), indent=2))
        return 0
    print(f"{found.device_name}, {found.dtype}, torch {found.torch}")
    print(f"reading memory   {found.read_gb_s:10,.1f} GB/s")
    print(f"copying memory   {found.copy_gb_s:10,.1f} GB/s, bytes read and written")
    print(f"matrix products  {found.matmul_tflop_s:10,.3f} TFLOP/s, 2 per multiply-add")
    return 0
