from .effects import EffectTable, SweptEffects
from .known import KnownEffects
from .paths import effect_table, path_effects

__all__ = [
    "EffectTable",
    "KnownEffects",
    "SweptEffects",
    "effect_table",
    "path_effects",
]
