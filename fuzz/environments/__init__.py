"""Other releases of transformers to run workers in, each a folder put before the import path."""
