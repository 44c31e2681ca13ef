"""`python -m profcore.models.shapes.train`: train the small model and write its checkpoint.

What needs torch is imported once it runs: the processes that draw pictures import this file too.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import Any

from profcore.errors import UserError

USUAL_SECONDS = 440.0
_MOST_WORKERS, _MOST_PROCESSES = 14, 256


def main(arguments: list[str] | None = None) -> int:
    """Train as the command line says; 0 once done, 2 for what a person can put right, 130 if interrupted."""
    options = _parser().parse_args(arguments)
    # A scheduler's or a time limit's end is one like Ctrl-C: what is done is kept, and drawing processes end too.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _train(options)
    except UserError as error:
        print(f"{error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        from profcore.models.shapes.files import STATE

        kept = (options.output / STATE).is_file()
        print(
            f"Interrupted: {'the same command with --resume goes on' if kept else 'nothing is kept'}.", file=sys.stderr
        )
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m profcore.models.shapes.train", description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the checkpoint goes")
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N")
    parser.add_argument("--seconds", type=float, default=USUAL_SECONDS, help=f"how long to train ({USUAL_SECONDS:g})")
    parser.add_argument("--steps", type=int, help="the most steps, where seconds do not end it first")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on with the training that DIR holds")
    parser.add_argument("--workers", type=int, help="processes that draw; 0 draws in this one")
    parser.add_argument("--held-out", type=int, help="held-out pictures to judge by (all)")
    group = parser.add_argument_group("the course", "the defaults are what the shipped checkpoint is made with")
    group.add_argument("--crops", type=int, default=160, help="crops encoded in a step (160)")
    group.add_argument("--peak", type=float, default=1.5e-3, help="the highest learning rate (0.0015)")
    group.add_argument("--questions", type=int, default=8, help="questions put to each picture (8)")
    group.add_argument("--sharpness", type=float, default=1.5, help="what attention's norms begin with (1.5)")
    for option, usual, text in (
        ("--coarse", 0.25, "pictures cut into fewer crops than they fill"),
        ("--finer", 0.1, "pictures put into more crops than they fill"),
        ("--fewer-experts", 0.0, "a lower top-k"),
        ("--fewer-blocks", 0.3, "some blocks left out"),
    ):
        group.add_argument(option, type=float, default=usual, help=f"share of steps with {text} ({usual:g})")
    return parser


def _train(options: argparse.Namespace) -> None:
    from profcore.data_sets.shapes import PICTURES
    from profcore.models.load import resolve_device
    from profcore.models.shapes.batches import Pictures
    from profcore.models.shapes.training import Course, Training

    if not options.seconds > 0 or (options.steps is not None and options.steps < 1):
        raise UserError("Nothing is learnt in no time: give --seconds above 0, and --steps of 1 or more.")
    if options.held_out is not None and not 1 <= options.held_out <= PICTURES:
        raise UserError(f"--held-out {options.held_out} is out of range: there are {PICTURES} held-out pictures.")
    shares = (options.coarse, options.finer, options.fewer_experts, options.fewer_blocks)
    if not all(0 <= share <= 1 for share in shares) or options.crops < 2 or not 0 < options.peak < 1:
        raise UserError("Shares of steps and the learning rate lie between 0 and 1, and a step has 2 crops or more.")
    if options.questions < 1 or not options.sharpness > 0:
        raise UserError("A picture is asked 1 question or more, and attention's norms begin above 0.")
    workers = options.workers
    if workers is not None and not 0 <= workers <= _MOST_PROCESSES:
        raise UserError(f"{workers} processes cannot draw: give --workers 0 to {_MOST_PROCESSES}.")
    if workers is None:
        workers = min(_MOST_WORKERS, max(0, (os.cpu_count() or 1) - 2))
    kinds = {"coarse": options.coarse, "finer": options.finer}
    course = Course(
        pictures=Pictures(options.seed, crops=options.crops, questions=options.questions, **kinds),
        peak=options.peak,
        sharpness=options.sharpness,
        fewer_experts=options.fewer_experts,
        fewer_blocks=options.fewer_blocks,
    )
    device = resolve_device(options.device)
    if device.type == "cuda":
        # Streams and graphs are of the current card: a step would be captured on another than it runs on.
        import torch

        torch.cuda.set_device(device)
    training = Training(course, options.output, device, options.resume)
    training.run(options.seconds, options.steps, workers, lambda line: print(line, flush=True))
    training.save()
    print("\n".join(report_lines(training.finish(options.held_out or PICTURES))), flush=True)


def report_lines(report: dict[str, Any]) -> list[str]:
    """What a training came to, in lines."""
    held_out = report["held_out_accuracy"]
    lines = [
        f"{report['parameters']:,} parameters, {report['bytes'] / 1e6:.1f} MB: "
        f"{report['steps']:,} steps in {report['seconds']:g} s on {report['device']}, seed {report['seed']}",
        f"held-out accuracy over {held_out['questions']:,} questions, at full setting:",
        "  " + ", ".join(f"{kind} {share:.1%}" for kind, share in held_out["full"].items()),
    ]
    for knob in ("top_k", "active_blocks", "max_crops"):
        values = ", ".join(f"{value}: {found['all']:.1%}" for value, found in held_out[knob].items())
        fall = held_out["full"]["all"] - min(found["all"] for found in held_out[knob].values())
        lines.append(f"  {knob}: {values}; falls by {100 * fall:.1f} points")
    return lines


if __name__ == "__main__":
    sys.exit(main())
