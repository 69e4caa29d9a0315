"""The errors whose message is meant for the person at the keyboard."""


class IebenchError(Exception):
    """Something failed; the message is one sentence that says what to do. The CLI exits with 1."""

    exit_code = 1


class UsageError(IebenchError):
    """What was asked for cannot be, whatever the state of the data. The CLI exits with 2."""

    exit_code = 2
