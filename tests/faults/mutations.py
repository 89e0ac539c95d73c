"""Good files made bad: one to three changes of a text, of its JSON, or of bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

ESCAPES = "\x1b]0;owned\x07\x1b[31m\u202e"
_DEEP = 100_000
STRANGE: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    3,
    0.5,
    -0.0,
    1e308,
    10**9,
    2**63,
    -(2**63) - 1,
    10**30,
    float("nan"),
    float("inf"),
    "",
    "x",
    "0",
    "1e9",
    "../../escaped",
    "__import__('os').system('touch escaped')",
    ESCAPES,
    "\ud800",
    "\x00",
    "é" * 10_000,
    [],
    {},
    [1, "a", None],
    [[[[]]]],
    {"a": {"b": []}},
    {"__class__": "os.system"},
    list(range(1000)),
)
"""Values of every kind, in the place of those that a file has."""
_NUMBER_OF_MANY_DIGITS = "7" * 5000


def changed_json(random: Random, text: str) -> bytes:
    """A JSON text with some of its values, keys or bytes replaced."""
    if random.random() < 0.15:
        return changed_bytes(random, text.encode())
    data = json.loads(text)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        data = _changed(random, data)
    written = json.dumps(data, ensure_ascii=random.random() < 0.5).encode(errors="surrogatepass")
    if random.random() < 0.05:
        deep = b"[" * _DEEP + b"]" * _DEEP
        return written.replace(b"1", random.choice((deep, _NUMBER_OF_MANY_DIGITS.encode())), 1)
    return written


def changed_lines(random: Random, text: str) -> bytes:
    """Lines of JSON, one of them changed, left out, doubled or moved."""
    lines = text.splitlines()
    place = random.randrange(len(lines))
    how = random.random()
    if how < 0.1:
        del lines[place]
    elif how < 0.2:
        lines.insert(random.randrange(len(lines) + 1), lines[place])
    elif how < 0.3:
        random.shuffle(lines)
    else:
        changed = changed_json(random, lines[place])
        return b"\n".join(
            changed if number == place else line.encode() for number, line in enumerate(lines)
        )
    return "\n".join(lines).encode() + b"\n"


def changed_text(random: Random, text: str) -> bytes:
    """A text with some of its words replaced, or its bytes."""
    if random.random() < 0.5:
        return changed_bytes(random, text.encode())
    words = text.split(" ")
    for _ in range(random.choice((1, 2, 5))):
        words[random.randrange(len(words))] = str(random.choice(STRANGE))
    return " ".join(words).encode(errors="surrogatepass")


def changed_bytes(random: Random, content: bytes) -> bytes:
    """Bytes cut off, flipped, doubled, or with others among them."""
    place = random.randrange(len(content)) if content else 0
    other = random.randbytes(random.choice((1, 4, 64)))
    ways: tuple[Callable[[], bytes], ...] = (
        lambda: content[:place],
        lambda: content[place:],
        lambda: content[:place] + other + content[place + len(other) :],
        lambda: content[:place] + other + content[place:],
        lambda: content + content,
        lambda: b"\xef\xbb\xbf" + content,
        lambda: content.replace(b"\n", b"\r\n"),
        lambda: content[:place] + b"\x00" * 8 + content[place:],
        lambda: b"",
        lambda: other,
        lambda: b"[" * _DEEP,
        lambda: b'{"a":' * _DEEP,
    )
    return random.choice(ways)()


def changed_tensors(random: Random, content: bytes) -> bytes:
    """A safetensors file whose header is changed, or its bytes."""
    if random.random() < 0.3:
        return changed_bytes(random, content)
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    how = random.random()
    names = [name for name in header if name != "__metadata__"]
    if how < 0.2:
        one, other = random.choice(names), random.choice(names)
        header[one], header[other] = header[other], header[one]
    elif how < 0.4:
        header[random.choice(names)]["dtype"] = random.choice(("F64", "I8", "BF16", "BOOL", "X", 1))
    elif how < 0.6:
        one = header[random.choice(names)]
        one["shape"] = random.choice((one["shape"][::-1], [1, *one["shape"]], [-1], [2**40, 2**40]))
    else:
        header = _changed(random, header)
    written = json.dumps(header).encode()
    length = random.choice((len(written), len(written), len(written), 2**62))
    return length.to_bytes(8, "little") + written + content[8 + size :]


def _changed(random: Random, data: Any) -> Any:
    """One place of some data, chosen at random, changed."""
    if not isinstance(data, dict | list) or not data or random.random() < 0.1:
        return random.choice(STRANGE)
    places = list(data) if isinstance(data, dict) else list(range(len(data)))
    place = random.choice(places)
    how = random.random()
    copied: Any = dict(data) if isinstance(data, dict) else list(data)
    if how < 0.1:
        del copied[place]
    elif how < 0.2:
        other = random.choice(places)
        copied[place], copied[other] = data[other], data[place]
    elif how < 0.25:
        copied[place] = [data[place]]
    elif how < 0.3 and isinstance(data, dict):
        copied[random.choice(("", "x", ESCAPES, place.upper()))] = copied.pop(place)
    elif how < 0.35 and isinstance(data, list):
        copied.append(data[place])
    else:
        copied[place] = _changed(random, data[place])
    return copied
