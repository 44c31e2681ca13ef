"""The engines' names and what each is, for pages and commands that have no torch."""

ENGINES = {
    "eager": "transformers as it is: kernels are launched one by one from Python.",
    "graph": "The same kernels, captured in CUDA graphs, one for each stage and setting, with a static cache. "
    "Needs a GPU.",
    "compiled": "torch.compile and fused kernels, captured in CUDA graphs; on a CPU without graphs.",
}
