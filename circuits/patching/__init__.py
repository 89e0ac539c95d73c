"""Path patching: the effect of a sender head on a receiver, along the path between them alone."""

from circuits.patching.effects import EffectTable, SweptEffects
from circuits.patching.known import KnownEffects
from circuits.patching.paths import effect_table, path_effects

__all__ = ["EffectTable", "KnownEffects", "SweptEffects", "effect_table", "path_effects"]
