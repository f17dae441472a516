"""The phrasebook as a TFDS data set, written as ArrayRecord files, without TensorFlow."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from attention_jax.data.pair import Pair
from attention_jax.data.phrasebook.grammar import pairs


class Phrasebook(tfds.core.GeneratorBasedBuilder):
    """English sentences, their Spanish translations, and which words translate which.

    Rows have "en" and "es", and "alignment", int32 [links, 2]: the English and the Spanish word of
    each link, counted from 0 over `text.split()`. Make it with `file_format="array_record"`; the
    formats that TFDS takes by default need TensorFlow.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            description=self.__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "en": tfds.features.Text(),
                    "es": tfds.features.Text(),
                    "alignment": tfds.features.Tensor(shape=(None, 2), dtype=np.int32),
                }
            ),
            supervised_keys=("en", "es"),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict]]]:
        del dl_manager  # nothing is downloaded
        return {name: _rows(made) for name, made in pairs().items()}

    def _generate_examples(self) -> None:
        raise NotImplementedError("the splits come from _split_generators")


def _rows(made: list[Pair]) -> Iterator[tuple[int, dict]]:
    for number, pair in enumerate(made):
        links = np.array(pair.alignment, np.int32).reshape(-1, 2)
        yield number, {"en": pair.source, "es": pair.target, "alignment": links}
