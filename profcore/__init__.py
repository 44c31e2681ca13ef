"""profcore: measure where a mixture-of-experts vision-language model spends its time, and keep every sample."""

__version__ = "0.1.0"
