"""Running cases in processes of their own, so that a death or a hang is an answer like others.

The driver uses :mod:`fuzz.isolation.supervisor`. It starts the preloaded process
(:mod:`fuzz.isolation.preload`), which imports the heavy libraries once and forks a worker
(:mod:`fuzz.isolation.serve_requests`) in milliseconds. Nothing here imports torch: the module
that does is named by the driver and loaded in the preloaded process only.
"""
