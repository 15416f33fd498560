"""A Hugging Face dataset that another trainer has tokenized, such as Axolotl's.

`save_to_disk` writes Arrow streams and a `state.json` that names them in order; they are mapped
into memory, not read.
"""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftctl.datasets.render import Rendered
from ftctl.datasets.show.pick import Row
from ftctl.datasets.show.tokens import Look, example_of
from ftctl.datasets.show.types import Example
from ftctl.errors import DataInvalid, ExtraMissing, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

_IGNORED = -100  # torch's cross entropy leaves labels of this value out
_MOST_IDS = 1_000_000  # of an example; more are no example


def find_prepared(folder: Path) -> Path:
    """The folder that holds the Arrow files: the one named, or the only one in it.

    Raises:
        UsageError: there is none, or several.
    """
    if any(folder.glob("*.arrow")):
        return folder
    inner = sorted({file.parent for file in folder.glob("*/*.arrow")})
    if len(inner) == 1:
        return inner[0]
    if inner:
        names = ", ".join(place.name for place in inner[:10])
        raise UsageError(
            f"{folder}: {len(inner)} datasets are in it: {names}", hint=f"name one: {inner[0]}"
        )
    raise UsageError(
        f"{folder}: no prepared dataset (*.arrow) is in it",
        hint="name a JSONL file, or the folder that Axolotl or save_to_disk wrote",
    )


def prepared_rows(folder: Path, first: int, look: Look) -> Iterator[Row]:
    """The examples of a prepared dataset from the `first`, 1-based, on.

    Raises:
        ExtraMissing: pyarrow isn't installed.
        UsageError: it has no token ids and labels, or can't be read.
    """
    try:
        import pyarrow as pa
    except ImportError:
        raise ExtraMissing("arrow", "reading a prepared dataset") from None
    number = 1
    for file in _files(folder):
        try:
            for batch in _batches(file):
                _require_columns(file, batch.schema.names)
                for i in range(max(0, first - number), batch.num_rows):
                    make = functools.partial(_example, number + i, batch, i, look)
                    yield Row(number + i, make)
                number += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise UsageError(
                f"{file}: it can't be read, it may be cut off ({error})",
                hint="prepare the dataset again",
            ) from None


def _files(folder: Path) -> list[Path]:
    """Its Arrow files in order; a name that leads elsewhere isn't followed."""
    try:
        state = json.loads((folder / "state.json").read_bytes())
        named = [folder / Path(item["filename"]).name for item in state["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError):
        named = []
    return named or sorted(folder.glob("*.arrow"))


def _batches(file: Path) -> Iterator["pa.RecordBatch"]:
    import pyarrow as pa

    with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as batches:
        yield from batches


def _require_columns(file: Path, names: list[str]) -> None:
    missing = [name for name in ("input_ids", "labels") if name not in names]
    if missing:
        raise UsageError(
            f"{file.parent}: no column {' or '.join(missing)}, so this isn't a prepared dataset "
            f"(it has {', '.join(names[:10])})",
            hint="name the folder that the trainer wrote after tokenizing",
        )


def _example(number: int, batch: "pa.RecordBatch", place: int, look: Look) -> Example:
    ids, labels = (_numbers(batch, name, place) for name in ("input_ids", "labels"))
    if len(ids) != len(labels):
        raise DataInvalid(f"{len(ids):,} input_ids, but {len(labels):,} labels")
    mask = [int(label != _IGNORED) for label in labels]
    remarks = []
    if mask[:1] == [1]:
        remarks.append("the first token has a label, but nothing stands before it to predict it")
    if not any(mask):
        remarks.append("no token is trained on")
    return example_of(number, Rendered(ids, mask), look, remarks)


def _numbers(batch: "pa.RecordBatch", name: str, place: int) -> list[int]:
    value = batch.column(name)[place]
    size = len(value) if hasattr(value, "__len__") and value.is_valid else 0
    if size > _MOST_IDS:
        raise DataInvalid(f"{name} holds {size:,} numbers; up to {_MOST_IDS:,} are shown")
    numbers: Any = value.as_py()
    if not isinstance(numbers, list) or not all(isinstance(number, int) for number in numbers):
        raise DataInvalid(f"{name} is no list of whole numbers")
    return numbers
