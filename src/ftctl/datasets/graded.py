"""What a grader reads of each row of a file for reinforcement tuning."""

from collections.abc import Iterator
from pathlib import Path

from ftctl.datasets.read import LineReader
from ftctl.datasets.rules.json_text import parse_line
from ftctl.datasets.rules.rft import GraderFields
from ftctl.datasets.rules.types import Finding


def grader_findings(file: Path, grader: str) -> Iterator[tuple[int, Finding]]:
    """`rft-grader-field`, with the line of each finding.

    Args:
        file: The prompts.
        grader: As JSON text, whose templates name fields as `{{item.FIELD}}`.

    Raises:
        UsageError: the file can't be read.
    """
    fields = GraderFields(grader)
    for finding in fields.of_templates():
        yield 1, finding
    with LineReader(file) as lines:
        for line in lines if fields.names else ():
            row = parse_line(line.data).value if line.whole else None
            if isinstance(row, dict):
                for finding in fields.of_row(row):
                    yield line.number, finding
