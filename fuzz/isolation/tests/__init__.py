"""Tests of the isolation; :mod:`.fake_worker` stands in for the module that imports torch."""
