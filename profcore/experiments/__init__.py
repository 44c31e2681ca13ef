"""What can be asked: knobs, Motivation, which blocks run; needs no torch."""
