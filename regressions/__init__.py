"""Saved findings, the ledger of known ones, and the test that replays them."""
