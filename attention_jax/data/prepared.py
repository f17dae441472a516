"""Sets that TFDS prepares once in the cache folder and reads back, without TensorFlow."""

import contextlib
import difflib
import hashlib
import io
import queue
import re
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attention_jax.data.lines import DataError, escaped
from attention_jax.data.pair import Pair
from attention_jax.data.text import HELD_OUT, Splits, split_pairs, without_blanks

WITHOUT_TENSORFLOW = (
    "para_crawl",
    "opus",
    "tatoeba",
    "ted_hrlr_translate",
    "ted_multi_translate",
)
"""Translation sets of TFDS that can be prepared without TensorFlow."""

_WITH_TENSORFLOW = re.compile(r"(wmt\w*|flores\w*|samsum|xsum|cnn_dailymail)(/.*)?")
_NAME = re.compile(r"[a-z][a-z0-9_]*(/[\w.-]+)?")
Row = dict[str, list[Any]]
"""The fields of a row, each a list of bytes or of integers."""

_PATIENCE = 5.0  # seconds for a host to answer


def phrasebook(cache: Path, source: str, target: str) -> tuple[Splits, list[str]]:
    """The built-in English-Spanish phrasebook; made on first use."""
    if {source, target} != {"en", "es"}:
        raise DataError(
            f"the phrasebook is English (en) and Spanish (es), not {source!r} and {target!r}."
        )
    import tensorflow_datasets as tfds

    from attention_jax.data import phrasebook as phrasebook_package
    from attention_jax.data.phrasebook import Phrasebook

    # A changed grammar gets a new folder: nobody reads an old phrasebook unawares.
    grammar = Path(phrasebook_package.__file__ or "").parent
    code = b"".join(path.read_bytes() for path in sorted(grammar.glob("*.py")))
    folder = cache / "phrasebook" / hashlib.sha256(code).hexdigest()[:12]
    builder = Phrasebook(data_dir=folder, file_format="array_record")
    if not builder.info.splits:
        with _alone(folder, "phrasebook"):
            builder = Phrasebook(data_dir=folder, file_format="array_record")
            if not builder.info.splits:
                _say(f"Making the phrasebook, once, in {folder}")
                tfds.disable_progress_bar()
                _prepare(builder)
                tfds.enable_progress_bar()
    splits = {
        split: [_phrase(row, source, target) for row in rows_of(builder, split)]
        for split in builder.info.splits
    }
    return splits, []


def translations(
    name: str, cache: Path, source: str, target: str, limit: int | None
) -> tuple[Splits, list[str]]:
    """A TFDS translation set, from the cache folder or downloaded into it.

    A set that has only a train split is split by `split_pairs`.

    Raises:
      DataError: TFDS cannot prepare it here; the message says why and what to do.
    """
    if _WITH_TENSORFLOW.fullmatch(name):
        raise DataError(
            f"{name} needs TensorFlow to be prepared, which this package does without. Sets that "
            f"do not: {', '.join(WITHOUT_TENSORFLOW)}. Or save it as line-aligned text and name "
            "that folder."
        )
    folder = cache / "tfds"
    there = newest(name, folder)
    if there is None:
        with _alone(folder, name):
            there = newest(name, folder) or _download(name, folder)
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(there)
    splits: Splits = {}
    notes: list[str] = []
    only = set(builder.info.splits) == {"train"}
    for split in builder.info.splits:
        most = None
        if split == "train" and limit is not None:
            most = limit + 2 * HELD_OUT * only  # what `split_pairs` may take away again
        found = [_pair(row, source, target, name) for row in rows_of(builder, split, most)]
        splits[split], dropped = without_blanks(found, f"{name}, {split}")
        notes += dropped
    if only:
        splits = split_pairs(splits["train"], name)
        notes.append(f"{name} has only a train split; validation and test are taken from it")
    if not {"train", "validation"} <= set(splits):
        found = ", ".join(splits)
        raise DataError(f"{name} has the splits {found}; train and validation would fit.")
    return splits, notes


def is_known(name: str, cache: Path) -> bool:
    """Whether the name is that of a TFDS set, one to be refused with its reason included."""
    known = name.split("/")[0] in WITHOUT_TENSORFLOW or _WITH_TENSORFLOW.fullmatch(name)
    return bool(known) or newest(name, cache / "tfds") is not None


def newest(name: str, folder: Path) -> Path | None:
    """The newest prepared version of a set, found without asking TFDS for its builder."""
    if not _NAME.fullmatch(name):
        return None
    found = [path.parent for path in (folder / name).glob("*/dataset_info.json")]
    found = [path for path in found if re.fullmatch(r"\d+\.\d+\.\d+", path.name)]
    return max(found, key=lambda path: [int(n) for n in path.name.split(".")], default=None)


def _download(name: str, folder: Path) -> Path:
    import tensorflow_datasets as tfds

    dataset, _, chosen = name.partition("/")
    configs = list(tfds.builder_cls(dataset).builder_configs)
    if configs and chosen not in configs:
        near = difflib.get_close_matches(chosen, configs, n=3, cutoff=0.3) or configs[:5]
        found = f"no {chosen!r}" if chosen else "many parts; name one"
        raise DataError(
            f"{dataset} has {found}. Nearest: {', '.join(f'{dataset}/{one}' for one in near)} "
            f"({len(configs)} in all)."
        )
    builder = tfds.builder(name, data_dir=folder, file_format="array_record")
    # Offline, TFDS tries again for minutes before it says so.
    hosts = sorted({urlsplit(url).netloc for url in builder.url_infos or ()} - {""})
    if hosts and not _any_answers(hosts[:3]):
        raise DataError(
            f"{name} is not in {folder} yet, and its host {hosts[0]} does not answer. Connect this "
            f"machine, or copy {folder / name} from one that has prepared it. Without a network, "
            'corpus "phrasebook" and your own files work.'
        )
    _say(f"Preparing {name}, once, in {folder}")
    _prepare(builder)
    return Path(builder.data_dir)


def _prepare(builder: Any) -> None:
    """Downloads and writes a set, and counts what was written."""
    try:
        # TFDS prints to stdout, which belongs to what the program answers; its bars go to stderr.
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare(file_format="array_record")
    except Exception as error:  # whatever the network, a disk or a builder raises
        raise DataError(
            f"{builder.info.full_name} could not be prepared in {builder.data_dir}: "
            f"{type(error).__name__}: {error}"
        ) from error
    for split, info in builder.info.splits.items():
        if len(builder.as_data_source(split)) != info.num_examples:
            raise DataError(
                f"{builder.data_dir} holds fewer {split} rows than the {info.num_examples:,} "
                "written. Delete it and try again."
            )


def rows_of(builder: Any, split: str, most: int | None = None) -> Iterator[Row]:
    """The rows of a split, or the first of them, in the order written.

    TFDS writes a row as a `tf.train.Example`. Its own decoding goes through NumPy arrays and takes
    several times as long, which counts for sets of millions of rows.
    """
    import tensorflow_datasets as tfds
    from tensorflow_datasets.proto import tf_example_pb2

    messages: Any = tf_example_pb2  # made at run time; nothing declares what it holds
    try:
        raw = tfds.decode.DeserializeMethod.RAW_BYTES
        rows = builder.as_data_source(split, deserialize_method=raw)
        total = len(rows) if most is None else min(most, len(rows))
        for start in range(0, total, 4_096):
            for record in rows.__getitems__(range(start, min(start + 4_096, total))):
                fields = messages.Example.FromString(record).features.feature
                yield {
                    name: list(value.bytes_list.value) or list(value.int64_list.value)
                    for name, value in fields.items()
                }
    except Exception as error:  # whatever the reader says of a damaged or missing file
        raise DataError(
            f"the {split} split in {builder.data_dir} cannot be read: {error}. Delete that folder; "
            "it will be made again."
        ) from error


def _phrase(row: Row, source: str, target: str) -> Pair:
    """A phrasebook row; its alignment is one list of English, Spanish, English, Spanish ..."""
    links = zip(row["alignment"][::2], row["alignment"][1::2], strict=True)
    if source == "es":
        links = sorted((other, one) for one, other in links)
    return Pair(_text(row[source]), _text(row[target]), tuple(links))


def _pair(row: Row, source: str, target: str, name: str) -> Pair:
    """A row in any of the three layouts that TFDS has for translations."""
    if "translations/language" in row:
        languages = [language.decode() for language in row["translations/language"]]
        sides = {
            language: [sentence]
            for language, sentence in zip(languages, row["translations/translation"], strict=True)
        }
        # Talks that lack a language are dropped as empty sides.
        sides = {source: sides.get(source, [b""]), target: sides.get(target, [b""])}
    elif "source_sentence" in row:
        sides = {
            _text(row["source_language"]): row["source_sentence"],
            _text(row["target_language"]): row["target_sentence"],
        }
    else:
        sides = row
    if source not in sides or target not in sides:
        raise DataError(
            f"{name} has {' and '.join(sorted(sides))}, not {source!r} and {target!r}; "
            "set source and target to them."
        )
    return Pair(_text(sides[source]).strip("\r\n"), _text(sides[target]).strip("\r\n"))


def _text(field: Sequence[Any]) -> str:
    """A text field; an empty one may be written as no value at all."""
    raw = field[0] if field else b""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"a text of the set is not valid UTF-8 at byte {error.start + 1}: {escaped(raw)}"
        ) from None


def _any_answers(hosts: Sequence[str]) -> bool:
    """Whether one of the hosts answers at all, through whatever proxy is set."""
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()
    # In threads that may be left behind: a name look-up keeps to no timeout.
    for host in hosts:
        threading.Thread(target=lambda host=host: answers.put(_answers(host)), daemon=True).start()
    end = time.monotonic() + _PATIENCE
    for _ in hosts:
        try:
            if answers.get(timeout=max(0.0, end - time.monotonic())):
                return True
        except queue.Empty:
            return False
    return False


def _answers(host: str) -> bool:
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    try:
        urlopen(Request(f"https://{host}/", method="HEAD"), timeout=_PATIENCE).close()
    except HTTPError:  # a refusal is an answer
        return True
    except (OSError, ValueError, HTTPException):
        return False
    return True


@contextlib.contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    """Lets one process at a time prepare a set; the others wait and find it done."""
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name.replace('/', '-')}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
