"""Lines of text in, translated lines out, through one compiled program of a fixed shape."""

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Int

from attention_jax.data.tokens import END, PAD
from attention_jax.decoding.beam import beam, gather_rows, repeat_rows
from attention_jax.decoding.greedy import greedy


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
    """

    beams: int = 1
    penalty: float = 0.6
    max_length: int = 64
    rows: int = 64
    too_long: Literal["error", "truncate"] = "error"

    def __post_init__(self):
        for name in ("beams", "max_length", "rows"):
            size = getattr(self, name)
            if size < 1:
                raise ValueError(f"{name} is {size}; it must be at least 1")
        if not 0 <= self.penalty < math.inf:
            raise ValueError(f"penalty is {self.penalty}; a finite number from 0 up would fit")
        if self.too_long not in ("error", "truncate"):
            raise ValueError(f'too_long is {self.too_long!r}; "error" or "truncate" would fit')


class Translator:
    """A trained model, ready for text; it compiles one program, at the first line it translates.

    Translators of the same structure and config share that program.


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
        self._params = params
        self._tokenizer = tokenizer
        self._config = config
        self._source_length = source_length
        self._search = searcher(graph, config)

    def translate(self, lines: Iterable[str]) -> list[str]:
        """The translations of lines, in their order; an empty line stays empty.

        Lines of similar length are decoded together, so that they end together. All lines are read
        and checked before the first is translated.

        Raises:
          ValueError: a line has too many tokens (and `too_long` is "error"), its number counted
            from 1; `lines` is a single string; something in it is no string.
        """
        sources = self._encode(lines)
        translations = [""] * len(sources)
        filled = [index for index, ids in enumerate(sources) if ids]
        filled.sort(key=lambda index: -len(sources[index]))
        rows = self._config.rows
        chunks = [filled[at : at + rows] for at in range(0, len(filled), rows)]
        for chunk, tokens in zip(chunks, self._decode(sources, chunks), strict=True):
            for index, ids in zip(chunk, tokens[: len(chunk)].tolist(), strict=True):
                # A model may write a line break; one line in is one line out.
                translations[index] = " ".join(self._tokenizer.decode(ids).splitlines())
        return translations

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

    def _decode(self, sources: list[list[int]], chunks: list[list[int]]) -> Iterator[np.ndarray]:
        """The tokens of each chunk; the device is always one chunk ahead of the one handed out."""
        running = None
        for chunk in chunks:
            source = np.full((self._config.rows, self._source_length), PAD, np.int32)
            source[:, 0] = END  # rows that hold no line still have something to attend to
            for row, index in enumerate(chunk):
                source[row, : len(sources[index])] = sources[index]
            started = self._search(self._params, source)
            if running is not None:
                yield np.asarray(running)
            running = started
        if running is not None:
            yield np.asarray(running)


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
