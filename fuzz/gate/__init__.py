"""May an upgrade of transformers go in? The same cases in both releases, and one verdict."""
