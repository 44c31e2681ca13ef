"""profcore: measure where a mixture-of-experts vision-language model spends its time, and keep every sample."""

__version__ = "0.2.0"
