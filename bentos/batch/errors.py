"""What ends a batch, by class; each message is a sentence and a way on."""


class BatchError(Exception):
    """The batch cannot begin, or cannot go on; what was written stays."""


class OutputInUse(BatchError):
    """Something is in the output already, or another run works on it."""


class WeightsUnusable(BatchError):
    """The weights cannot be loaded, or are not those that the run began with."""


class PhotoUnreadable(Exception):
    """The bytes of one photo cannot be had.

    Args:
        code: of the failure.
        sentence: what is wrong.
        hint: what would be right.
    """

    def __init__(self, code: str, sentence: str, hint: str) -> None:
        super().__init__(sentence)
        self.code, self.sentence, self.hint = code, sentence, hint
