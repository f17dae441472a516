"""The folder of a report: it appears whole or not at all, and replaces an earlier report alone."""

import json
import math
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

ALWAYS = {"index.html", "report.md", "results.jsonl"}
SOMETIMES = {"heads.jsonl", "pruning.json"}


def replace(folder: Path, fill: Callable[[Path], None]) -> None:
    """Writes a folder beside its place (`fill` is given the new one) and then moves it there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as workshop:
        made, earlier = Path(workshop) / "made", Path(workshop) / "earlier"
        made.mkdir()
        fill(made)
        if folder.exists():
            folder.rename(earlier)
        try:
            made.rename(folder)
        except OSError:
            if earlier.exists():
                shutil.move(earlier, folder)
            raise


def check(folder: Path) -> None:
    """Refuses a folder that holds anything but an earlier report.

    Raises:
      ValueError: it holds other things, or is a file.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(f"found a file at {folder}; a folder's path would fit")
    names = {item.name for item in folder.iterdir()}
    others = sorted(name for name in names - ALWAYS - SOMETIMES if not name.endswith(".png"))
    if names and ALWAYS - names:
        others = sorted(names)
    if others:
        raise ValueError(
            f"found {', '.join(others[:3])} in {folder}, which the report would replace; "
            "an empty or new folder would fit"
        )


def page(path: Path, text: str) -> None:
    """A text for people, with U+FFFD for what no page can show, and what a terminal would obey."""
    path.write_text(_UNSHOWN.sub("\ufffd", text), "utf-8")


_UNSHOWN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def json_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """One record a line."""
    path.write_text("".join(f"{to_json(record)}\n" for record in records), "utf-8")


def to_json(found: Any, indent: int | None = None) -> str:
    """JSON that UTF-8 can write: letters as they are, controls and halves of characters escaped."""
    text = json.dumps(finite(found), ensure_ascii=False, indent=indent)
    return re.sub(r"[\x7f-\x9f\ud800-\udfff]", lambda one: f"\\u{ord(one[0]):04x}", text)


def finite(found: Any) -> Any:
    """The same for JSON: NumPy scalars as numbers, what is not finite as null."""
    if isinstance(found, Mapping):
        return {str(name): finite(inner) for name, inner in found.items()}
    if isinstance(found, list | tuple):
        return [finite(inner) for inner in found]
    if hasattr(found, "tolist"):
        return finite(found.tolist())
    if isinstance(found, float) and not math.isfinite(found):
        return None
    return found if isinstance(found, str | int | float | bool | None) else str(found)
