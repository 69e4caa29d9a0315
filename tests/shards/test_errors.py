"""What a person is told of other packages' errors."""

from shards.errors import first_line


def test_an_error_is_told_by_its_first_line_or_else_by_its_class():
    assert first_line(ValueError("\nno such file\nin /data")) == "no such file"
    assert first_line(EOFError()) == "EOFError"
