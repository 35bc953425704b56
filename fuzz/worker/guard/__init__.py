"""Turns what a kernel would do with a bad index into a sentence, before the kernel runs."""
