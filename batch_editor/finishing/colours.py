"""Pixels in sRGB, by the colour profile that a picture's file carries."""

from __future__ import annotations

import io
from functools import lru_cache

from PIL import Image, ImageChops, ImageCms

from batch_editor.images.pixels import PILLOW_ERRORS

# A profile's colour space: the modes of pictures that it may belong to, and the mode in which it is applied.
_SPACES = {"RGB": (("RGB", "L"), "RGB"), "GRAY": (("L",), "L"), "CMYK": (("CMYK",), "CMYK")}
# Profiles of sRGB round its curve each in its own way, which comes to 1; other spaces differ by 20 and more somewhere.
_SAME = 2
_LEVELS = (*range(0, 256, 32), 255)

UNREADABLE = "a colour profile that can't be read: the colours are taken for sRGB"


def in_srgb(image: Image.Image, icc: bytes | None, notes: list[str]) -> Image.Image:
    """The picture, of mode RGB, L or CMYK, in sRGB; what is to be said of it is added to `notes`."""
    if not icc:
        if image.mode == "CMYK":
            notes.append("CMYK without a colour profile: converted to sRGB by a plain formula")
        return _rgb(image)
    try:
        name, space, transform = _transform(icc)
    except (ImageCms.PyCMSError, *PILLOW_ERRORS):
        notes.append(UNREADABLE)
        return _rgb(image)
    modes, mode = _SPACES.get(space, ((), ""))
    if image.mode not in modes:
        notes.append(f"a colour profile for {space} in a picture of {image.mode}: it is left out")
    if transform is None or image.mode not in modes:
        return _rgb(image)
    notes.append(f"colours converted from {name} to sRGB")
    return _applied(transform, image.convert(mode))


def colours_of(icc: bytes) -> str:
    """`sRGB`, whatever the profile is called, or its name.

    Raises:
        ImageCms.PyCMSError: it can't be read; or one of `PILLOW_ERRORS`.
    """
    name, space, transform = _transform(icc)
    return "sRGB" if space in _SPACES and transform is None else name


def _rgb(image: Image.Image) -> Image.Image:
    return image if image.mode == "RGB" else image.convert("RGB")  # which copies, if there is nothing to convert


@lru_cache(maxsize=8)  # most pictures of a run have the same one
def _transform(icc: bytes) -> tuple[str, str, ImageCms.ImageCmsTransform | None]:
    """The profile's name and colour space, and the way from there to sRGB; None where it is sRGB already."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    name = " ".join(ImageCms.getProfileDescription(profile).split()) or "an unnamed profile"
    space = profile.profile.xcolor_space.strip()
    if space not in _SPACES:
        return name, space, None
    transform = ImageCms.buildTransform(
        profile,
        ImageCms.createProfile("sRGB"),
        _SPACES[space][1],
        "RGB",
        # White stays exactly white, and dark tones keep their differences.
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    return name, space, None if space != "CMYK" and _changes_nothing(transform, _SPACES[space][1]) else transform


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether colours from all over the space stay what they are: names of profiles say less.

    `sRGB` stands in those of linear light and of exchanged channels, and not in those of some that are sRGB.
    """
    levels = [(red, green, blue) for red in _LEVELS for green in _LEVELS for blue in _LEVELS]
    plain = Image.frombytes("RGB", (len(levels), 1), bytes(value for colour in levels for value in colour))
    if mode == "L":
        plain = Image.frombytes("L", (256, 1), bytes(range(256)))
    differences = ImageChops.difference(_applied(transform, plain), _rgb(plain)).split()
    return all(each.getextrema()[1] <= _SAME for each in differences)  # type: ignore[operator]  # of one channel each


def _applied(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Image.Image:
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None, "not in place"
    return converted
