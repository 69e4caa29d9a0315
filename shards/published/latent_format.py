"""Reads and writes the ``.npy`` files of latents byte for byte, from their header and the values."""

import io
import math
from dataclasses import dataclass

import numpy as np

from shards.errors import IebenchError


@dataclass(frozen=True)
class LatentFormat:
    """The format that all ``.npy`` files of latents in a dataset share.

    Attributes:
        header: Bytes of the file before the values, as one character for each byte.
        dtype: Floating-point type of the values in the file.
        count: Number of values.
    """

    header: str
    dtype: np.dtype
    count: int

    @classmethod
    def default(cls, count: int) -> "LatentFormat":
        """Returns the format in which NumPy saves an array of ``count`` float64 values."""
        stream = io.BytesIO()
        np.save(stream, np.zeros(count))
        return cls.parse(stream.getvalue()[: -8 * count])

    @classmethod
    def parse(cls, data: bytes) -> "LatentFormat":
        """Reads the format from the header at the beginning of a file.

        Raises:
            IebenchError: The file is not an array of floating-point numbers.
        """
        stream = io.BytesIO(data)
        try:
            version = np.lib.format.read_magic(stream)
            reader = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }.get(version)
            if reader is None:
                raise IebenchError(
                    f"it is of npy version {version[0]}.{version[1]}, and 1.0 and 2.0 are read"
                )
            shape, _, dtype = reader(stream)
        except (ValueError, SyntaxError, RecursionError, MemoryError, OverflowError):
            raise IebenchError("it is no .npy file that can be read") from None
        if dtype.hasobject:
            raise IebenchError("it holds pickled objects, which are never read")
        if dtype.kind != "f" or dtype.itemsize > 8:
            raise IebenchError(f"it holds {dtype.name}, and latents are float16, float32 or float64")
        return cls(data[: stream.tell()].decode("latin-1"), dtype, math.prod(shape))

    def __str__(self) -> str:
        return f"{self.count} {self.dtype.name}"

    def read(self, data: bytes) -> tuple[float, ...]:
        """Returns the exact values in a file.

        Raises:
            IebenchError: The file is cut short or has another format.
        """
        if not data.startswith(self.header.encode("latin-1")):
            other = LatentFormat.parse(data)
            difference = f"{other}, not {self}" if str(other) != str(self) else "another header"
            raise IebenchError(f"it is written otherwise than the other files of latents: {difference}")
        size = len(self.header) + self.count * self.dtype.itemsize
        if len(data) != size:
            raise IebenchError(f"it has {len(data)} bytes and should have {size}")
        values = np.frombuffer(data, self.dtype, offset=len(self.header))
        return tuple(values.astype(np.float64).tolist())

    def write(self, values: tuple[float, ...]) -> bytes:
        """Returns the bytes of a file with these values.

        Raises:
            IebenchError: The number of values is wrong, or the file's type cannot store them exactly.
        """
        stored = np.array(values, np.float64).astype(self.dtype)
        if len(values) != self.count or stored.astype(np.float64).tolist() != list(values):
            raise IebenchError(f"the latents cannot be written as {self}")
        return self.header.encode("latin-1") + stored.tobytes()
