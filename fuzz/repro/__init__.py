"""Standalone scripts that show a saved failure with torch and transformers alone."""
