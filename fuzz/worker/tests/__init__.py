"""Tests of the worker side. torch is imported inside tests, so that collecting them stays cheap."""
