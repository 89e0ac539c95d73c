from __future__ import annotations

import pytest

from circuits.errors import InputError, SettingError
from circuits.runtime.sizes import MOST_HEADS, check_sizes, parse_bytes


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [("512MB", 512 * 10**6), ("4GiB", 4 << 30), ("1.5 kB", 1500), ("7", 7), ("2 gb", 2 * 10**9)],
)
def test_sizes_as_people_write_them(text: str, n_bytes: int) -> None:
    assert parse_bytes(text) == n_bytes


@pytest.mark.parametrize("text", ["", "much", "4 apples", "GB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(SettingError, match=f"a size such as 512MB or 4GiB, got {text!r}"):
        parse_bytes(text)


def test_what_a_model_can_be() -> None:
    check_sizes(1, 1)
    check_sizes(126, 128)
    check_sizes(1, MOST_HEADS)
    for sizes in ((0, 1), (1, 0), (-1, -1), (1, MOST_HEADS + 1), (10**9, 1)):
        with pytest.raises(InputError, match=f"got {sizes[0]} x {sizes[1]}: from 1 x 1 to"):
            check_sizes(*sizes)
