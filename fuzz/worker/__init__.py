"""The only place that imports torch and transformers. Runs in forked worker processes."""
