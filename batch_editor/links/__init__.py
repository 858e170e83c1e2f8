"""Links: as they are sent (`encoded`), and what they are known by (`signed`).

Each module is imported by its name: a caller needs one of them alone.
"""
