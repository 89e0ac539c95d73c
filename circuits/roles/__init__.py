"""What the heads of a circuit do: measured on prompts, and named by what was measured."""

from circuits.roles.answers import AnswerAttention, DirectEffects, read_answers
from circuits.roles.naming import ROLES, Role, RoleRule, name_heads
from circuits.roles.reading import HeadReading, read_heads
from circuits.roles.repeats import RepeatScores, repeat_scores

__all__ = [
    "ROLES",
    "AnswerAttention",
    "DirectEffects",
    "HeadReading",
    "RepeatScores",
    "Role",
    "RoleRule",
    "name_heads",
    "read_answers",
    "read_heads",
    "repeat_scores",
]
