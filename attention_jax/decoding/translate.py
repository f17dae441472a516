"""Lines of text in, translated lines out, through a few compiled programs of fixed shapes."""

import functools
import math
import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Int

from attention_jax.data.tokens import END
from attention_jax.decoding.beam import beam, gather_rows, repeat_rows
from attention_jax.decoding.eight_bits import quantized
from attention_jax.decoding.greedy import greedy
from attention_jax.decoding.slots import Slots, slots

BUCKETS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""tokens that sources are filled up to, each at most half as much again as the one before"""
WORTH = 16
"""batches that a program for shorter sources must serve, to be worth its compilation"""
MOST_THREADS = 8
"""unless asked for more: each holds a state of its own"""


class Codec(Protocol):
    """What a translator needs of a tokenizer: token ids without marks, and text from ids."""

    def encode_all(self, texts: Iterable[str], /) -> Sequence[Sequence[int]]:
        """The token ids of each text, without marks."""
        ...

    def decode(self, ids: Any, /) -> str:
        """The text of token ids up to the first END."""
        ...


@dataclass(frozen=True)
class DecodingConfig:
    """How translations are searched for.

    Attributes:
      beams: live hypotheses a row; 1 is greedy search.
      penalty: the length penalty's exponent, 0 for none (Wu et al. 2016, equation 14).
      max_length: the most tokens of a translation, its end mark included.
      rows: how many lines are decoded side by side.
      too_long: what to do with a line that has more tokens than the source side holds: "error"
        refuses it, "truncate" drops the tokens that do not fit.
      threads: each decodes its share of the rows; None for one a core on CPUs, else one.
      weights: "int8" rounds the matrices to eight bits, each output of them with its own scale: on
        CPUs faster, and a little less exact (experiments/benchmarks/README.md says by how much).
    """

    beams: int = 1
    penalty: float = 0.6
    max_length: int = 64
    rows: int = 64
    too_long: Literal["error", "truncate"] = "error"
    threads: int | None = None
    weights: Literal["float", "int8"] = "float"

    def __post_init__(self):
        for name in ("beams", "max_length", "rows"):
            size = getattr(self, name)
            if size < 1:
                raise ValueError(f"{name} is {size}; it must be at least 1")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads is {self.threads}; None, or at least 1, would fit")
        if self.weights not in ("float", "int8"):
            raise ValueError(f'weights is {self.weights!r}; "float" or "int8" would fit')
        if not 0 <= self.penalty < math.inf:
            raise ValueError(f"penalty is {self.penalty}; a finite number from 0 up would fit")
        if self.too_long not in ("error", "truncate"):
            raise ValueError(f'too_long is {self.too_long!r}; "error" or "truncate" would fit')


class Translator:
    """A trained model, ready for text; it compiles its programs for the first lines that need them.

    There is one for each bucket of source lengths that is worth it (`by_bucket`); translators of
    the same structure and config share them.

    Args:
      graph: the model's structure, from `nnx.split(model, nnx.Param)`. The model has
        `start(source [B, S], length) -> cache` and
        `step(cache, tokens [B]) -> (logits [B, V], cache)`; beam search uses its
        `reorder(cache, rows [B]) -> cache` and `widen(cache, beams) -> cache` if it has them.
      params: the parameters, from the same split.
      tokenizer: encodes text without marks and decodes up to END.
      config: how to search.
      source_length: tokens a source line may have, its end mark included.

    Raises:
      ValueError: source_length is below 2.
    """

    def __init__(
        self,
        graph: nnx.GraphDef,
        params: Any,
        tokenizer: Codec,
        config: DecodingConfig,
        source_length: int,
    ):
        if source_length < 2:
            raise ValueError(
                f"source_length is {source_length}; it must be at least 2, a token and the end mark"
            )
        if config.weights == "int8":
            params = quantized(graph, params)
        self._graph, self._params = graph, jax.device_put(params)
        self._tokenizer = tokenizer
        self._config = config
        self._source_length = source_length

    def translate(self, lines: Iterable[str]) -> list[str]:
        """The translations of lines, in their order; an empty line stays empty.

        Lines of similar length are decoded side by side; one that has ended makes room for the
        next. All lines are read and checked before the first is translated.

        Raises:
          ValueError: a line has too many tokens (and `too_long` is "error"), its number counted
            from 1; `lines` is a single string; something in it is no string.
        """
        # A model may write a line break; one line in is one line out.
        return [
            "" if tokens is None else " ".join(self._tokenizer.decode(tokens.tolist()).splitlines())
            for tokens in self.search(self._encode(lines))
        ]

    def prepare(self, lines: Iterable[str]) -> None:
        """Compiles what these lines need, so that translating them is not the first to wait for it.

        Raises:
          ValueError: as `translate`.
        """
        self._plan(self._encode(lines))

    def _encode(self, lines: Iterable[str]) -> list[list[int]]:
        """Each line's tokens with END, or nothing for an empty line."""
        if isinstance(lines, str):
            raise ValueError("lines is one string; a list of strings would fit")
        texts: list[str] = []
        for number, line in enumerate(lines, start=1):
            if not isinstance(line, str):
                raise ValueError(f"line {number} is {line!r}; a string would fit")
            texts.append(line.strip())
        limit = self._source_length
        sources: list[list[int]] = []
        long: list[tuple[int, int]] = []
        pairs = zip(texts, self._tokenizer.encode_all(texts), strict=True)
        for number, (text, ids) in enumerate(pairs, start=1):
            if len(ids) >= limit:
                long.append((number, len(ids) + 1))
            # A tokenizer may give a token, for a space, even where there is no text.
            sources.append([*ids[: limit - 1], END] if text and ids else [])
        if long and self._config.too_long == "error":
            number, count = long[0]
            more = f" ({len(long) - 1} more lines are too long)" if len(long) > 1 else ""
            raise ValueError(
                f"line {number} has {count} tokens with its end mark; at most {limit} fit{more}: "
                'split it, or truncate (too_long="truncate", on the command line --truncate)'
            )
        return sources

    def search(self, sources: Sequence[Sequence[int]]) -> list[np.ndarray | None]:
        """The tokens found for each source of tokens, None for an empty one.

        They end with END and are filled up with PAD. A source holds its own end mark, if the model
        is used to one.

        Raises:
          ValueError: a source has more tokens than the source side holds.
        """
        longest = max(map(len, sources), default=0)
        if longest > self._source_length:
            raise ValueError(
                f"a source has {longest} tokens; at most {self._source_length} would fit"
            )
        found: list[np.ndarray | None] = [None] * len(sources)
        threads = threads_for(self._config.threads)
        for program, indices in self._plan(sources):
            # Dealt out like cards, so that each thread has as much to do, whoever is fast.
            hands = [indices[at::threads] for at in range(min(threads, len(indices)))]
            with ThreadPoolExecutor(threads) as pool:
                work = [[sources[index] for index in hand] for hand in hands]
                results = pool.map(partial(program.search, self._params), work)
                for hand, tokens in zip(hands, results, strict=True):
                    for index, row in zip(hand, tokens, strict=True):
                        found[index] = row
        return found

    def _plan(self, sources: Sequence[Sequence[int]]) -> list[tuple[Slots, list[int]]]:
        """Which sources go through which programs, the longest first; all programs are ready."""
        config = self._config
        filled = [index for index, ids in enumerate(sources) if ids]
        filled.sort(key=lambda index: -len(sources[index]))
        groups = by_bucket([len(sources[i]) for i in filled], self._source_length, config.rows)
        rows = -(-config.rows // threads_for(config.threads))
        sizes = {"rows": rows, "length": config.max_length, "beams": config.beams}
        plan, at = [], 0
        for length, count in groups:
            one = slots(self._graph, source=length, penalty=config.penalty, **sizes)
            plan.append((one, filled[at : at + count]))
            at += count
        with ThreadPoolExecutor(max(1, min(len(plan), 4))) as pool:
            list(pool.map(lambda one: one[0].compiled(self._params), plan))
        return plan


def by_bucket(lengths: Sequence[int], longest: int, rows: int) -> list[tuple[int, int]]:
    """How sources are grouped: (tokens that a source is filled up to, how many sources), in order.

    A program for shorter sources must first be compiled. So there is one for each bucket that
    holds as many as `WORTH` batches; fewer go with the longer ones before them.

    Args:
      lengths: of the sources, the longest first.
      longest: the most tokens a source may have.
      rows: of a batch.
    """
    sizes = [size for size in BUCKETS if size < longest] + [longest]
    groups: list[list[int]] = []
    for length in lengths:
        size = sizes[bisect_left(sizes, length)]
        if groups and groups[-1][0] == size:
            groups[-1][1] += 1
        else:
            groups.append([size, 1])
    kept: list[tuple[int, int]] = []
    for size, count in groups:
        if kept and count < WORTH * rows:
            kept[-1] = kept[-1][0], kept[-1][1] + count
        else:
            kept.append((size, count))
    return kept


def threads_for(asked: int | None) -> int:
    """How many threads search: those asked for, else on CPUs one for each core it may use."""
    if asked is not None:
        return asked
    return min(len(os.sched_getaffinity(0)), MOST_THREADS) if jax.default_backend() == "cpu" else 1


@functools.lru_cache(maxsize=8)
def searcher(graph: nnx.GraphDef, config: DecodingConfig) -> Callable[[Any, Any], Any]:
    """The jitted search (params, source) -> tokens; models of one structure share it.

    A source is whatever `start` of the model takes, with `config.rows` rows: tokens, or pictures.
    """

    @jax.jit
    def search(params: Any, source: Array) -> Int[Array, "B T"]:
        model = nnx.merge(graph, params)
        cache = model.start(source, config.max_length)
        sizes = {"rows": config.rows, "length": config.max_length}
        if config.beams == 1:
            return greedy(model.step, cache, **sizes)
        tokens, _ = beam(
            model.step,
            cache,
            **sizes,
            beams=config.beams,
            penalty=config.penalty,
            hypotheses=1,
            reorder=getattr(model, "reorder", gather_rows),
            widen=getattr(model, "widen", repeat_rows),
        )
        return tokens[:, 0]

    return search
