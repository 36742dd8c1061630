"""Files of Digital Micrograph: what their tags claim, before any of it is read.

RosettaSciIO follows the sizes in a file wherever they lead: before the start of the file, to arrays
of elements without bytes, to images larger than the file. The tags are walked here by their sizes
alone, in the layout of versions 3 and 4.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coreloss.runtime.border import check_claim

ITEM_BYTES = {2: 2, 3: 4, 4: 2, 5: 4, 6: 4, 7: 8, 8: 1, 9: 1, 10: 1, 11: 8, 12: 8}
"""Bytes of numbers by their code."""
INTEGERS = {2: "h", 3: "i", 4: "H", 5: "I", 8: "B", 9: "b", 10: "b", 11: "q", 12: "Q"}
STRUCT, STRING, ARRAY = 15, 18, 20
GROUP, VALUE = 20, 21
DEEPEST = 64
"""Groups within groups."""
ANEW = "export it anew from Digital Micrograph"
MOST_TAGS = 200_000
MOST_ASIDE = 2**23
"""Numbers in arrays that are not of an image; they are read one by one."""


class _Tags:
    """A place in a file, and how its numbers are written."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.at = data, 0
        self.version = self.take(">l")
        if self.version not in (3, 4):
            raise ValueError(
                f"is of version {self.version}; allowed: 3 or 4: it is damaged or of another format"
                "; save it as dm4"
            )
        self.long = ">q" if self.version == 4 else ">l"
        self.take(self.long)
        self.order = "<" if self.take(">l") else ">"
        self.tags = self.aside = 0

    def take(self, layout: str) -> Any:
        """The next number."""
        at = self.at
        self.skip(struct.calcsize(layout))
        return struct.unpack_from(layout, self.data, at)[0]

    def skip(self, n: int, what: str = "a tag") -> None:
        """Pass ``n`` bytes, all of which must be there."""
        if n < 0:
            raise ValueError(f"{what} claims {n} bytes: it is damaged; {ANEW}")
        check_claim(n, len(self.data) - self.at, what)
        self.at += n

    def number(self) -> int:
        return self.take(self.long)


def check_tags(path: Path) -> None:
    """ValueError unless a file of Digital Micrograph holds all that its tags claim."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        tags = _Tags(data)
        tags.skip(2, "the first group")
        _check_group(tags, "", 1)


def _check_group(tags: _Tags, name: str, depth: int) -> dict[str, Any]:
    """The numbers, sizes of arrays and groups in a group, which begins with how many there are."""
    if depth > DEEPEST:
        raise ValueError(f"its tags lie more than {DEEPEST} groups deep: it is damaged; {ANEW}")
    found: dict[str, Any] = {}
    for kind, tag in _headers(tags):
        if kind == GROUP:
            tags.skip(10 if tags.version == 4 else 2, "a group of tags")
            found[tag] = _check_group(tags, tag, depth + 1)
        else:
            found[tag] = _value(tags, tag, in_image=name == "ImageData" and tag == "Data")
    if name == "ImageData":
        _check_image(found)
    return found


def _headers(tags: _Tags) -> Iterator[tuple[int, str]]:
    """Kind and name of every tag of a group; those without a name are numbered."""
    for number in range(tags.number()):
        tags.tags += 1
        if tags.tags > MOST_TAGS:
            raise ValueError(f"holds more than {MOST_TAGS} tags; {ANEW}")
        kind, length = tags.take(">B"), tags.take(">h")
        start = tags.at
        tags.skip(length, "the name of a tag")
        if kind not in (GROUP, VALUE):
            raise ValueError(f"a tag is of kind {kind}; allowed: {GROUP} or {VALUE}; {ANEW}")
        yield kind, tags.data[start : tags.at].decode("latin-1") or str(number)


def _value(tags: _Tags, name: str, *, in_image: bool) -> Any:
    """The number of a tag, or the bytes of what it holds otherwise.

    How many numbers describe it says of which sort it is: 1 for a number, 2 a string, 3 an array.
    """
    if tags.version == 4:
        tags.skip(8)
    if tags.take("4s") != b"%%%%":
        raise ValueError(f"its tag {name!r} does not begin as tags do: it is damaged; {ANEW}")
    described, code = tags.number(), tags.number()
    if described == 1:
        n_bytes = _item_bytes(code, name)
        return tags.take(tags.order + INTEGERS[code]) if code in INTEGERS else tags.skip(n_bytes)
    if (described, code) == (2, STRING):
        item = 1
    elif described > 3 and code == STRUCT:
        item = _structure_bytes(tags, name)
    elif described >= 3 and code == ARRAY:
        item = _element_bytes(tags, name, simple=described == 3)
    else:
        raise ValueError(f"its tag {name!r} is of type {code}: it is damaged; {ANEW}")
    n = 1 if code == STRUCT else tags.number()
    if n < 0 or (n and not item):
        raise ValueError(f"its tag {name!r} claims {n} elements of {item} bytes; {ANEW}")
    tags.aside += 0 if in_image else n * max(item // 8, 1)
    if tags.aside > MOST_ASIDE:
        raise ValueError(f"holds more than {MOST_ASIDE} numbers beside its images; {ANEW}")
    tags.skip(n * item, f"its tag {name!r}")
    return n * item


def _element_bytes(tags: _Tags, name: str, *, simple: bool) -> int:
    """Bytes of an element of an array; how many there are comes after it."""
    code = tags.number()
    if simple:
        return _item_bytes(code, name)
    if code == STRUCT:
        return _structure_bytes(tags, name)
    if code == STRING:
        return max(tags.number(), 0)
    raise ValueError(f"its tag {name!r} is an array of type {code}: it is damaged; {ANEW}")


def _structure_bytes(tags: _Tags, name: str) -> int:
    tags.number()
    total = 0
    for _ in range(tags.number()):
        tags.number()
        total += _item_bytes(tags.number(), name)
    return total


def _item_bytes(code: int, name: str) -> int:
    if code not in ITEM_BYTES:
        raise ValueError(f"its tag {name!r} is of type {code}: it is damaged; {ANEW}")
    return ITEM_BYTES[code]


def _check_image(tags: dict[str, Any]) -> None:
    """ValueError when an image is larger than its data."""
    dimensions = tags.get("Dimensions")
    shape = list(dimensions.values()) if isinstance(dimensions, dict) else []
    if not isinstance(tags.get("Data"), int) or not all(isinstance(n, int) for n in shape):
        return  # nothing that becomes an image
    if any(n <= 0 for n in shape):
        raise ValueError(f"holds an image of shape {tuple(shape)}: it is damaged; {ANEW}")
    check_claim(math.prod(shape), tags["Data"], f"an image of shape {tuple(shape)}")
