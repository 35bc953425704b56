"""Tests of the driver's side."""
