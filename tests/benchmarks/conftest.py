"""The small models and discoveries that the tests of `circuits` use."""

from tests.circuits.conftest import found, tiny, toy

__all__ = ["found", "tiny", "toy"]
