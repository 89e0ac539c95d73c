"""First names, which several tasks share, and how word lists are written."""

from __future__ import annotations


def word_list(text: str) -> tuple[str, ...]:
    """Return the words of a block of text."""
    return tuple(text.split())


FEMALE_NAMES = word_list(
    """
    Mary Sarah Anna Emma Laura Julia Alice Linda Susan Karen Nancy Lisa Jennifer Jessica Amanda
    Rachel Rebecca Emily Elizabeth Margaret Catherine Katherine Helen Diana Barbara Patricia Maria
    Michelle Nicole Stephanie Melissa Hannah Sophie Sophia Olivia Charlotte Jane Claire Julie Amy
    Angela Christina Victoria Caroline Samantha Andrea Monica Heather Megan Natalie Ruth Martha
    Dorothy Carol Kate Anne Ellen Rose Lucy Ella Eva
    """
)

MALE_NAMES = word_list(
    """
    John James Robert Michael William David Richard Joseph Thomas Charles Daniel Matthew Anthony
    Mark Paul Steven Andrew Kenneth George Kevin Brian Edward Ronald Timothy Jason Jeffrey Ryan
    Jacob Gary Nicholas Eric Jonathan Stephen Larry Justin Scott Brandon Benjamin Samuel Gregory
    Patrick Frank Raymond Jack Dennis Jerry Tyler Aaron Adam Henry Nathan Peter Kyle Walter Simon
    Martin Philip Tom Tim Ben Dan
    """
)
