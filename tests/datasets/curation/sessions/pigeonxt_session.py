"""Label files that `ftctl data export --to pigeonxt` wrote, with PigeonXT's own package.

`python pigeonxt_session.py FILE LABELS OUT`, in PigeonXT's environment. Nobody sits at a notebook:
the buttons that it makes are collected, and clicked.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import ipywidgets
import pandas as pd

pigeon = importlib.import_module("pigeonXT.annotate")
made: list[Any] = []


def collected(name: str) -> None:
    """Let the package's widgets of this name be found again."""
    original = getattr(ipywidgets, name)

    def make(*args: object, **options: object) -> object:
        made.append(original(*args, **options))
        return made[-1]

    if name == "ToggleButton":  # the package asks what is one

        class Toggle(original):  # type: ignore[misc,valid-type]
            def __init__(self, *args: object, **options: object) -> None:
                super().__init__(*args, **options)
                made.append(self)

        setattr(pigeon, name, Toggle)
    else:
        setattr(pigeon, name, make)


def button(name: str) -> Any:  # a widget
    """The button that says this."""
    return next(one for one in made if getattr(one, "description", "") == name)


def label(file: Path, said: dict[int, Any], task: str, **options: object) -> pd.DataFrame:
    """Go through the rows, and say what is to be said of them."""
    made.clear()
    frame = pigeon.annotate(
        pd.read_csv(file, keep_default_na=False), task_type=task, id_column="ftctl_id", **options
    )
    for row in range(len(frame)):
        if row not in said:
            button("next").click()
        elif task == "classification":
            button(said[row]).click()
        elif task == "captioning":
            next(one for one in made if isinstance(one, ipywidgets.Textarea)).value = said[row]
            button("submit").click()
        else:
            for name in said[row]:
                button(name).value = True
            button("submit").click()
    return frame


def main() -> None:
    """Three kinds of task on the same rows, written as pandas writes them."""
    file, labels, out = map(Path, sys.argv[1:])
    out.mkdir()
    for name in ("Button", "ToggleButton", "Textarea"):
        collected(name)
    said = json.loads(labels.read_text())
    rows = {kind: {int(row): value for row, value in said[kind].items()} for kind in said}
    answers = label(file, rows["answer"], "captioning", value_column="answer")
    answers.to_csv(out / "answer.csv", index=False)
    quality = label(file, rows["quality"], "classification", options=["good", "bad"])
    quality.to_csv(out / "quality.csv")
    quality.to_json(out / "quality.json")
    quality.to_json(out / "quality.records.json", orient="records")
    topics = label(file, rows["topics"], "multilabel-classification", options=["urgent", "rude"])
    topics.to_csv(out / "topics.csv")
    topics.to_json(out / "topics.jsonl", orient="records", lines=True)


main()
