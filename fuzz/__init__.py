"""How a case is run and judged. Nothing here but ``fuzz.worker`` imports torch."""
