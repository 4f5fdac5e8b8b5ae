"""Runs a program of this environment until standard input closes: `until_closed.py MODULE:FUNCTION ARGUMENT...`.

Whoever started it holds the other end. When that process is gone, however it went, so is this one: a
server never outlives the checks it was started for.
"""

import importlib
import os
import sys
import threading


def watch():
    """Ends the process with its standard input."""
    while sys.stdin.buffer.read(1024):
        pass
    os._exit(0)


threading.Thread(target=watch, daemon=True).start()
module, _, function = sys.argv[1].partition(":")
sys.argv = [module, *sys.argv[2:]]
sys.exit(getattr(importlib.import_module(module), function)())
