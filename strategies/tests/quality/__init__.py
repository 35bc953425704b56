"""Tests of how good the draws and the minimization are, not only that they are right."""
