"""`python -m profcore.worker`: the process that `profcore.worker.queue` starts."""

from profcore.worker.process import main

main()
