"""Tests of flash-attn's reference and guard; torch is imported inside tests."""
