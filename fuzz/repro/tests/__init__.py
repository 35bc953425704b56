"""Tests of the scripts that saved regressions are turned into."""
