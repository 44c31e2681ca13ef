"""How a prepared model executes prefill and decode."""
