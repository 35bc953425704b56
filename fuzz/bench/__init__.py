"""Measurements that ship: numbers come from here, not from tests."""
