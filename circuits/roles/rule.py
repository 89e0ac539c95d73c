"""When a head gets a name: the settings of it."""

from __future__ import annotations

from dataclasses import dataclass

from circuits.runtime.settings import Checked, setting


@dataclass(frozen=True)
class RoleRule(Checked):
    """When a head gets a name.

    Raises:
        SettingError: A share is not above 0 and at most 1.

    >>> RoleRule(attention=0.5).direct
    0.05
    """

    attention: float = setting(
        0.4,
        "Share of its attention that a head gives, on average, to what a name says it looks at.",
        above=0,
        most=1,
        metavar="SHARE",
    )
    direct: float = setting(
        0.05,
        "Share of the model's logit difference that a head writes by itself, if a name says that "
        "it writes.",
        above=0,
        most=1,
        metavar="SHARE",
    )
