"""Tests by room of the package, and of what holds for the whole: faults, durability, scale, docs, install, upgrade."""
