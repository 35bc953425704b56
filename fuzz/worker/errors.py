"""Errors of the worker side that a user must read."""


class WorkerSetupError(Exception):
    """The environment or the target cannot be used; the message is one line for the user."""


class NothingToBreakError(Exception):
    """A model lacks the code that a plant would break; the message says which."""
