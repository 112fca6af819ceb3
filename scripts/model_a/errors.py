"""The two ways in which a run ends early, each told to the user in one line.

Rules of this room: no other errors. A `BadInput` says what is wrong, the value, and the remedy, and
script 3 leaves with exit 2. A `NothingToFold` is no mistake: the builder raises it so that nothing
is published, and the final model alone is trained.
"""


class BadInput(Exception):
    """A config or a league that cannot be used: what, where, the value in repr, the remedy."""


class NothingToFold(Exception):
    """There are no lists to train and score fold by fold; the message says which are missing."""
