"""Triton kernels of the compiled engine: the language model's decode step, and the routed experts of a prefill.

At batch 1 a decode step is bound by reading weights, and a chain of small operations spends its time starting
kernels; so each kernel here reads its weights once and takes over the small operations before and after.
Only importable where Triton is.
"""
