"""The Dockerfile cannot be built where tests run; its steps are checked against the repository instead."""

import re

from iebench.doctor import BLENDER_LIBRARIES
from wheels import ROOT


def steps() -> list[tuple[str, str]]:
    """Instruction and argument of each step, with continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines if line.strip()]


def test_the_image_has_every_library_that_blender_loads():
    (install,) = [argument for word, argument in steps() if word == "RUN" and "apt-get install" in argument]
    assert set(BLENDER_LIBRARIES.values()) <= set(install.split())
    assert {"python3.11", "python3.11-venv", "python3.11-dev", "gcc", "libc6-dev"} <= set(install.split())


def test_the_image_starts_the_command_line():
    assert ("ENTRYPOINT", '["iebench"]') in steps()
