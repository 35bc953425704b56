"""What can be asked: the Case and the Hypothesis strategies that draw it."""
