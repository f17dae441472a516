"""Names that become paths: none leads out of the folder it is meant for."""

import os
import re
from pathlib import Path

LONGEST = 200
"""bytes of a name; file systems take 255, and what is written beside a file needs a few more"""

_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")  # Windows opens devices instead


def plain_name(name: str, what: str) -> str:
    """The name, if a file or a folder of that name lies in the folder it is put in.

    Args:
      name: of one file or folder, no path.
      what: whose name it is, for the message.

    Raises:
      ValueError: it leads elsewhere ("..", "/"), is empty or too long, begins with a dot, ends with
        a dot or a space, cannot be printed, or is reserved on some system.
    """
    reason = _refused(name)
    if reason is not None:
        raise ValueError(
            f"{what} is {name[:60]!r}, which {reason}; letters, digits, spaces and - _ + . would "
            "fit"
        )
    return name


def check_links(folder: Path) -> None:
    """Refuses a folder to be written in, if a link in it leads out of it.

    Who hands over such a folder could have another file overwritten. The folder itself may be a
    link.

    Raises:
      ValueError: a link leads out.
    """
    home = folder.resolve()
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            if path.is_symlink() and not _target(path).is_relative_to(home):
                raise ValueError(
                    f"{path} is a link that leads out of {folder}, where nothing shall be written; "
                    f"a link to the whole of {folder} would fit"
                )


def _target(link: Path) -> Path:
    """Where a link leads in the end; one that leads round in a circle, itself leads nowhere."""
    try:
        return link.resolve()
    except (OSError, RuntimeError):  # before Python 3.13 a circle is a RuntimeError
        return Path("/")


def _refused(name: str) -> str | None:
    """Why a name is no plain one."""
    if not name:
        return "is empty"
    if not name.isprintable():  # NUL, line ends and halves of characters among them
        return "has characters that cannot be printed"
    if "/" in name or "\\" in name:
        return "is a path"
    if name[0] == "." or name[-1] in ". ":
        return "begins with a dot, or ends with a dot or a space"
    if (size := len(name.encode())) > LONGEST:
        return f"takes {size} bytes, more than {LONGEST}"
    return "is reserved on some systems" if _RESERVED.fullmatch(name) else None
