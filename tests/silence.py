"""A render's progress, told to nobody."""

from render.catalog import ObjectRef


class Silence:
    def start(self, total: int, done: int) -> None: ...

    def advance(self, views: int) -> None: ...

    def failed(self, item: ObjectRef, reason: str) -> None: ...
