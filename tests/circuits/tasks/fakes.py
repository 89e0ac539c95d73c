import re


class PieceTokenizer:
    """Splits text by a regular expression; a piece's id is its place in the order of appearance."""

    def __init__(self, pattern=r" ?\w+|\W", pad=None, eos=None, prefix=()):
        self.pattern = pattern
        self.pad_token_id = pad
        self.eos_token_id = eos
        self.prefix = list(prefix)
        self.ids = {}

    def __call__(self, text):
        pieces = re.findall(self.pattern, text)
        return {"input_ids": self.prefix + [self._id(piece) for piece in pieces]}

    def _id(self, piece):
        return self.ids.setdefault(piece, 10 + len(self.ids))
