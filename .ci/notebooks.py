"""Runs the notebooks' texts and writes the executed pairs: notebooks/*.py to notebooks/*.ipynb.

    python .ci/notebooks.py [NAME ...]

A notebook that fails, or that has something to complain of on standard error, is not written.
"""

import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

from attention_jax.data import DataConfig, load_corpus

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def execute(path: Path) -> nbformat.NotebookNode:
    """The notebook of a text, executed, with nothing in it that another run would not give."""
    found = jupytext.read(path)
    NotebookClient(found, timeout=600, kernel_name="python3").execute(cwd=str(FOLDER))
    found.metadata = nbformat.from_dict(KERNEL | {"jupytext": {"formats": "ipynb,py:percent"}})
    for number, cell in enumerate(found.cells):
        cell.id = f"cell-{number}"
        cell.metadata = nbformat.NotebookNode()
        for output in cell.get("outputs", ()):
            if output.get("name") == "stderr":
                raise ValueError(f"{path.name}, cell {number} complains: {output['text'][:400]}")
    return found


def main(names: list[str]) -> None:
    """Executes those named, or all."""
    load_corpus(DataConfig())  # it says so when it makes a corpus, and no notebook shall
    texts = sorted(FOLDER.glob("*.py"))
    for path in texts:
        known = {path.stem, path.stem.split("_")[0]}
        if names and not any(Path(name).stem in known for name in names):
            continue
        started = time.monotonic()
        found = execute(path)
        target = path.with_suffix(".ipynb")
        draft = target.with_name(f".{target.name}.part")
        nbformat.write(found, draft)
        draft.replace(target)
        size = target.stat().st_size / 1024
        print(f"{target.name}: {time.monotonic() - started:.0f} s, {size:,.0f} KiB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
