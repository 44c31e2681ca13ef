"""Results as files to hand over: result files, figures, zips."""
