"""Text from elsewhere on its way to a terminal."""


def printable(text: str) -> str:
    """The text with whatever is no printable character as its escape.

    Names out of an index or a shard from elsewhere may hold anything; a terminal would obey some of it.
    """
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
