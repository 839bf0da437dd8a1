# What every sample function says about the interpreter that it ran in.
import sys


def interpreter():
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    return {"version": sys.version.split()[0], "gil": gil}
