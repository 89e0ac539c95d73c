"""What parts of repeated circuits are called: the settings of it."""

from __future__ import annotations

from dataclasses import dataclass

from circuits.runtime.settings import Checked, setting

_PANEL = "What seeds agree on"


@dataclass(frozen=True)
class InclusionRule(Checked):
    """What parts of repeated circuits are called by how many of these have them.

    Raises:
        SettingError: A share is out of range.

    >>> InclusionRule(core=0.9).consensus
    0.5
    """

    core: float = setting(
        0.95,
        "Share of the seeds whose circuits must have a head, node or edge that is called core.",
        above=0,
        most=1,
        metavar="SHARE",
        panel=_PANEL,
    )
    consensus: float = setting(
        0.5,
        "Share of the seeds whose circuits must have what is in the consensus circuit.",
        above=0,
        most=1,
        metavar="SHARE",
        panel=_PANEL,
    )
    false_discovery_rate: float = setting(
        0.05,
        "Of everything that is not called noise, the share that may be.",
        above=0,
        below=1,
        option="",
    )
    confidence: float = setting(
        0.95, "How sure the interval of a share of seeds is.", above=0, below=1, option=""
    )
