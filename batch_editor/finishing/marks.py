"""The words by which a picture's metadata says that AI made it, or a part of it."""

from __future__ import annotations

# IPTC's Digital Source Type NewsCodes. The values are URIs with `http:`, which name and don't link:
# https://cv.iptc.org/newscodes/digitalsourcetype/
SCHEME = "http://cv.iptc.org/newscodes/digitalsourcetype/"
COMPOSITE = "compositeWithTrainedAlgorithmicMedia"
GENERATED = "trainedAlgorithmicMedia"
# By the value of `provenance` that sets them.
SET_MARKS = {"composite": COMPOSITE, "generated": GENERATED}
# By the word in lower case, for presets.
MARKS = {each.lower(): each for each in (COMPOSITE, GENERATED)}
