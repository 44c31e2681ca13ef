"""The model under measurement: its shape, its weights, its inputs and its knobs."""
