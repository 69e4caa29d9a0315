"""Defines the errors whose message is meant for the user."""


class IebenchError(Exception):
    """An error whose message is one sentence that tells the user what to do. The command line exits with 1."""

    exit_code = 1


class UsageError(IebenchError):
    """An error in what the user asked for, such as a wrong option or folder. The command line exits with 2."""

    exit_code = 2


def first_line(error: object) -> str:
    """Returns the first line of another package's error message, or the name of the error's class if it is empty."""
    return (str(error).strip() or type(error).__name__).split("\n")[0]
