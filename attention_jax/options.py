"""Options from config dataclasses, and what a user can put right said in one line.

ATTENTION_JAX_TRACEBACK=1 shows the whole traceback instead of the line.
"""

import contextlib
import difflib
import errno
import io
import itertools
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from attention_jax.training.signals import Stopped

TRACEBACK = "ATTENTION_JAX_TRACEBACK"


def answered(program: str, work: Callable[[], int | None], *, stopped: str = "stopped") -> int:
    """Does the work of a command; returns the exit code, and says in a line why it is not 0.

    Args:
      program: its name, in front of the line.
      work: gives an exit code, None for 0.
      stopped: what to say after Ctrl-C.
    """
    try:
        return work() or 0
    except SystemExit as done:  # of the parser, which has said why
        return done.code if isinstance(done.code, int) else 2
    except Stopped as asked:
        return complain(program, str(asked), asked.code)
    except KeyboardInterrupt:
        return complain(program, stopped, 130)
    except BrokenPipeError:
        # Whoever read the output has gone; Python would complain once more while it closes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError) as error:
        if os.environ.get(TRACEBACK):
            raise
        return complain(program, _one_line(error), 2)


def complain(program: str, message: str, code: int) -> int:
    """Says a line on standard error; gives the code back."""
    print(f"{program}: {message}", file=sys.stderr)
    return code


def parse(what: Any, program: str, words: Sequence[str], **settings: Any) -> Any:
    """The options of a function or a dataclass, by tyro.

    Args:
      what: whose fields, or arguments, are the options.
      program: how help calls it.
      words: of the command line.
      settings: more for `tyro.cli`.

    Raises:
      SystemExit: after help.
      ValueError: the parser's boxed message as one line.
    """
    import tyro

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(what, prog=program, args=words, **settings)
    except SystemExit as done:
        if not done.code:
            raise
        raise ValueError(_unboxed(said.getvalue(), program)) from None


def _unboxed(text: str, program: str) -> str:
    """What stands in the parser's box, without the suggestions but the first."""
    rows = [row.strip(" │╭╮╰╯─") for row in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()[1:]]
    words = re.sub(r"-{5,}", "", " ".join(row for row in rows if row)).strip()  # boxes in ASCII
    said, _, rest = words.partition("Perhaps you meant:")
    near = _nearest(said, re.findall(r"--[\w.-]+", rest))
    missing = re.search(r"Missing from .*?: (--[\w.-]+)", said)
    said = re.split("Argument helptext:|For full helptext", said)[0].strip()
    said = said.removeprefix("Error parsing ").removeprefix("experiment.")
    if missing and "Unrecognized" not in said:
        said = f"{missing[1]} is missing"
    if near:
        return f"{said}; perhaps you meant {near}"
    return f"{said} ({program} --help tells more)"


def _nearest(said: str, options: Sequence[str]) -> str | None:
    """That of the options which is most like the first one in a message."""
    given = re.search(r"--[\w.-]+", said)
    near = difflib.get_close_matches(given[0], options, n=1, cutoff=0.0) if given else []
    return near[0] if near else None


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        full = error.errno == errno.ENOSPC and "disk" not in error.strerror
        return f"{place}{'the disk is full' if full else error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def value_of(words: Sequence[str], option: str) -> str | None:
    """The value of an option that other options' defaults hang on, before anything is parsed."""
    for word, following in itertools.zip_longest(words, words[1:]):
        if word == option:
            return following
        if word.startswith(option + "="):
            return word.removeprefix(option + "=")
    return None
