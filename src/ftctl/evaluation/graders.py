"""What makes an answer right: graders that need no model, each saying why in one line."""

import difflib
import json
import unicodedata
from typing import NamedTuple, Protocol

from typing_extensions import override

from ftctl.errors import UsageError
from ftctl.evaluation.examples import Example
from ftctl.evaluation.json_answers import compare_fields, reference_fields

FINAL_PUNCTUATION = ".,;:!?\u3002\uff0c\uff01\uff1f\u2026"


class Grade(NamedTuple):
    """A score from 0 (wrong) to 1 (right), and the reason in one line."""

    score: float
    reason: str


class Grader(Protocol):
    """Compares an answer with an example's reference.

    Attributes:
        name: The spec it was made from; scores of different names are never compared.
    """

    name: str

    def refuses(self, reference: str) -> str:
        """Why this reference can't be graded against; empty when it can."""

    def grade(self, answer: str, example: Example) -> Grade:
        """Score one answer; never raises, whatever the model said."""


class Exact:
    """Right when answer and reference are the same text, white space around them aside."""

    name = "exact"

    def refuses(self, reference: str) -> str:  # noqa: ARG002 - any text will do
        """Nothing is refused."""
        return ""

    def grade(self, answer: str, example: Example) -> Grade:
        """1 when the texts are the same, else 0."""
        if self.canonical(answer) == self.canonical(example.reference):
            return Grade(1.0, "same")
        if not answer.strip():
            return Grade(0.0, "the answer is empty")
        return Grade(0.0, f"said {short(answer)}, not {short(example.reference)}")

    def canonical(self, text: str) -> str:
        """The form in which two texts are compared."""
        return text.strip()


class Normalised(Exact):
    """Like `exact`, but case, width, runs of white space and a final full stop don't count."""

    name = "normalised"

    @override
    def canonical(self, text: str) -> str:
        """Unicode NFKC, case folded, single spaces, no punctuation at the end."""
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        words = " ".join(folded.split())
        # An answer of nothing but punctuation stays what it is: "?" isn't "!".
        return words.rstrip(FINAL_PUNCTUATION + " ") or words


class Label(Normalised):
    """Right when the answer is the reference's label; the labels are those of the references.

    An answer graded here is compared as `normalised` does. Macro-F1, figures per label and the
    mix-ups are figures of the whole file: `ftctl.evaluation.labels`.
    """

    name = "label"


class JsonFields:
    """The share of the reference's fields that the answer, a JSON object, has right.

    Text must be the same but for white space around it, numbers equal in value, lists hold the
    same members in any order; objects inside are taken field by field. A missing field is told
    from a wrong one; extra fields are reported and cost nothing.
    """

    name = "json-fields"

    def refuses(self, reference: str) -> str:
        """The reference must be a JSON object with at least one field."""
        return "" if reference_fields(reference) else "the reference isn't a JSON object of fields"

    def grade(self, answer: str, example: Example) -> Grade:
        """The share of reference fields that are right."""
        try:
            found = compare_fields(answer, example.reference)
        except ValueError as error:
            return Grade(0.0, str(error))
        parts = [f"{found.right} of {found.total} fields right"]
        for what, names in (
            ("wrong", found.wrong),
            ("missing", found.missing),
            ("extra", found.extra),
        ):
            if names:
                more = f" and {len(names) - 5} more" if len(names) > 5 else ""
                parts.append(f"{what}: {', '.join(short(n) for n in names[:5])}{more}")
        return Grade(found.right / found.total, "; ".join(parts))


_ALL: tuple[Grader, ...] = (Exact(), Normalised(), Label(), JsonFields())
GRADERS: dict[str, Grader] = {grader.name: grader for grader in _ALL}


def get_grader(spec: str) -> Grader:
    """The grader of this name.

    Raises:
        UsageError: there is none; the nearest is named.
    """
    if spec in GRADERS:
        return GRADERS[spec]
    near = difflib.get_close_matches(spec.lower().replace("_", "-"), GRADERS, n=1, cutoff=0.5)
    guess = f"; did you mean `{near[0]}`?" if near else ""
    raise UsageError(
        f"there is no grader {short(spec)}{guess}", hint=f"--grader {'|'.join(GRADERS)}"
    )


def short(text: str, limit: int = 60) -> str:
    """A text as one quoted line of at most `limit` characters and its quotes."""
    start = text[: limit + 1]
    quoted = json.dumps(start, ensure_ascii=not start.isprintable())
    return quoted if len(quoted) <= limit + 2 else quoted[:limit] + '…"'
