"""`python -m profcore.worker`: the process that `profcore.worker.queue` starts."""

import sys

from profcore.worker.serving import Line

line = Line(sys.argv[1:])
try:
    from profcore.worker.process import main
except BaseException as error:
    # A damaged torch, say: whoever started this is told at once, and the log has the rest.
    line.tell("failed", reason=f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}")
    raise

main(line)
