"""Makes text from other people's datasets safe to print."""


def printable(text: str) -> str:
    r"""Returns the text with every character that is not printable replaced by its escape, such as ``\x1b``.

    Names in another person's index or shard may contain control sequences, which a terminal would execute.
    """
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
