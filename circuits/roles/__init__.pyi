from .answers import AnswerAttention, DirectEffects, read_answers
from .head_reading import HeadReading, read_heads
from .naming import ROLES, Role, name_heads
from .repeats import RepeatScores, repeat_scores
from .rule import RoleRule

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
