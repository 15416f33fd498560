"""Label tasks that `ftctl data export --to label-studio` wrote, by Label Studio's own package.

`python label_studio_session.py TASKS LABELS OUT`, which may be said again, in its
environment. The package checks tasks, predictions and annotations against the labelling interface;
its converter writes both exports.
"""

import json
import sys
from pathlib import Path

from label_studio_sdk.converter import Converter
from label_studio_sdk.label_interface import LabelInterface

PEOPLE = {"ann": 1, "bob": 2}
CONTROLS = {"text": "textarea", "choices": "choices", "selected": "pairwise"}


def annotation(number: int, label: dict[str, object]) -> dict[str, object]:
    """What the server keeps of one person's work on one task."""
    cancelled = label["status"] == "discarded"
    value = label["value"]
    results = [
        {
            "id": f"r{number}",
            "from_name": label["question"],
            "to_name": "show_left" if label["key"] == "selected" else "show_prompt",
            "type": CONTROLS[str(label["key"])],
            "value": {label["key"]: value if label["key"] == "selected" else [value]},
        }
    ]
    return {
        "id": number,
        "completed_by": PEOPLE[str(label["annotator"])],
        "result": [] if cancelled else results,
        "was_cancelled": cancelled,
        "ground_truth": False,
        "created_at": f"2026-11-0{number}T08:00:00.000000Z",
        "updated_at": f"2026-11-0{number}T09:00:00.000000Z",
        "lead_time": 4.2,
        "task": int(str(label["row"])) + 1,
    }


def label_all(file: Path, labels: Path, out: Path) -> None:
    """Check, label, and write both exports."""
    config = file.with_name(f"{file.stem}.config.xml").read_text()
    interface = LabelInterface(config)
    interface.validate()
    tasks = json.loads(file.read_text())
    for number, task in enumerate(tasks, 1):
        assert interface.validate_task({"data": task["data"]}), task  # 2.1.2 fails on predictions
        for prediction in task.get("predictions", ()):
            assert interface.validate_prediction(prediction, return_errors=True) == [], prediction
        task |= {"id": number, "annotations": []}
    for number, label in enumerate(json.loads(labels.read_text()), 1):
        made = annotation(number, label)
        if made["result"]:
            assert interface.validate_annotation(made), made
        tasks[label["row"]]["annotations"].append(made)
    converted(config, tasks, out)


def main() -> None:
    """Label what is given, and write both exports of tasks with every kind of control."""
    paths = [Path(word) for word in sys.argv[1:]]
    for start in range(0, len(paths), 3):
        label_all(*paths[start : start + 3])
    kinds = Path(__file__).with_name("label_studio_kinds.json")
    every = json.loads(kinds.read_text())
    converted(every["config"], every["tasks"], paths[2] / "kinds")


def converted(config: str, tasks: list[object], out: Path) -> None:
    """Both exports of these tasks."""
    out.mkdir(parents=True)
    given = out / "given.json"
    given.write_text(json.dumps(tasks))
    converter = Converter(config, project_dir=str(out))
    for way, name in (("JSON", "tasks"), ("JSON_MIN", "min")):
        converter.convert(str(given), str(out / name), way, is_dir=False)
        (out / name / "result.json").rename(out / f"{name}.json")
        (out / name).rmdir()
    given.unlink()


main()
