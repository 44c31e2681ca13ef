"""Joint settings weighed against each other: the frontier, a latency model, and the setting for a budget."""
