"""Checks the order of the samples in a shard by their keys."""

import re
from collections.abc import Iterator

_KEY = re.compile(r"(?P<object>.+)-(?P<view>\d{3,})")


class SampleOrder:
    """A check of the order of samples: all views of an object follow each other, from view 0 on.

    Only keys are checked, so that a sample whose other data are broken does not make later samples look misplaced.

    Attributes:
        samples: Number of samples so far.
        objects: Key of the first sample of each object so far.
    """

    def __init__(self, views_per_object: int) -> None:
        self.samples = 0
        self.objects: dict[str, str] = {}
        self._views = views_per_object
        self._object = ""
        self._view = -1
        self._key = ""

    def follow(self, key: str) -> Iterator[tuple[str, str]]:
        """Checks the next sample, and yields what is wrong as pairs of a sample's key and a message."""
        self.samples += 1
        match = _KEY.fullmatch(key)
        if match is None:
            yield key, "its key is not that of a view"
            return
        owner, view = match["object"], int(match["view"])
        if owner != self._object:
            yield from self.end()
            if owner in self.objects:
                yield key, "its object's views do not stand together"
            self.objects.setdefault(owner, key)
            self._view = -1
        if view != self._view + 1:
            yield key, f"view {view} stands where view {self._view + 1} should"
        if view >= self._views:
            yield key, f"an object has views 0 to {self._views - 1}"
        self._object, self._view, self._key = owner, view, key

    def end(self) -> Iterator[tuple[str, str]]:
        """Yields a message if views of the last object are missing at its end."""
        if self._object and self._view < self._views - 1:
            yield self._key, f"its object ends here and should have {self._views} views"
