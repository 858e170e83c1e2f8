"""The command line: arguments in, exit code out. No logic of its own.

Nothing is imported here: `interrupts` is the first module of a process, before anything that takes time.
"""
