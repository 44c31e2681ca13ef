"""What the benchmarks are called, each in a few words. Needs no torch."""

BENCHMARKS = {
    "load": "how long the model takes to be ready",
    "overhead": "what the clock costs a sample",
    "truth": "the clocks against known durations, a bare inference and the profiler",
    "generate": "the eager engine beside transformers' generate",
    "families": "another model than MolmoE beside a bare generate",
    "duty": "the share of a run's time that is measured",
    "speed": "vision encoder, prefill and decode",
    "preprocessing": "making the pixels of a picture",
    "experts": "implementations of the experts beside each other",
    "suite": "all four experiments, in a process of its own with nothing cached",
    "memory": "device memory after a sweep of blocks (GPU)",
    "first-sample": "from asking for a run to its first bar, without a browser",
    "first-page": "the first page of a fresh start",
    "rerun": "a page drawn again since a slider moved",
    "first-bar": "from Run to the first bar in a browser",
    "first-chart": "from opening a page to its first chart in a browser",
    "page": "what a page asks of a store of a million samples",
    "runs": "the list of very many runs",
    "watch": "looks of several sessions at a growing run",
    "shards": "looks at a run of 100 growing shards",
    "cards": "what two cards save (two GPUs)",
    "import": "taking in a result file of 100,000 rows",
    "zip": "all sample runs as a zip",
    "figure": "a figure at 300 DPI",
}
"""In the order that they are measured."""
