from __future__ import annotations

import pytest

from circuits.errors import SettingError
from circuits.roles import RoleRule


def test_thresholds_are_shares():
    assert RoleRule(direct=1.0, attention=0.01) != RoleRule()
    with pytest.raises(SettingError, match=r"^direct must be above 0 and at most 1, got 1\.5$"):
        RoleRule(direct=1.5)
    with pytest.raises(SettingError, match=r"^attention must be above 0 and at most 1, got 0"):
        RoleRule(attention=0.0)
