"""The errors a user can cause, each with one message form and an exit code.

``Expected <name> to be <what>, found <value>. Available: […]. <what to do>`` and, for a file, ``path:line: …``.
The command line prints the message alone and exits with ``exit_code``; a traceback means a defect of ours.
"""

from collections.abc import Iterable
from pathlib import Path


class BioutilsError(Exception):
    """The work failed: a file is bad, a disk is full, a notebook stopped."""

    exit_code = 1


class UsageError(BioutilsError):
    """The call is wrong: an unknown name, a value of the wrong type, a missing option."""

    exit_code = 2


class DataError(BioutilsError):
    """A file does not hold what its format promises. Says where, and what to do."""

    def __init__(self, message: str, *, path: Path | str | None = None, line: int | None = None):
        place = "" if path is None else f"{path}:{line}: " if line is not None else f"{path}: "
        super().__init__(place + message)
        self.path, self.line = path, line


def expected(name: str, what: str, found: object, *, available: Iterable[str] | None = None, remedy: str = "") -> str:
    """The one message form.

    >>> expected("aspect", "a GO aspect", "proces", available=["biological_process"])
    "Expected aspect to be a GO aspect, found 'proces'. Available: ['biological_process']."
    """
    message = f"Expected {name} to be {what}, found {found!r}."
    if available is not None:
        message += f" Available: {list(available)}."
    return f"{message} {remedy}".rstrip()
