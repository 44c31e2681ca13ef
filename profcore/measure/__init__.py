"""How an inference is timed: clocks, the sampling loop, telemetry."""
