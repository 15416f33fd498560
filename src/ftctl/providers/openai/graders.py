"""What gives the reward in reinforcement fine-tuning: checked by shape before anything is sent.

Shapes: OpenAI's SDK 3.57; `multi` holds its graders by name, as OpenAI's guide shows it. `lambda`
is Amazon Bedrock's alone.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from ftctl.errors import Unsupported, UsageError
from ftctl.providers.openai.profiles import Profile

_Text = Annotated[str, StringConstraints(min_length=1)]
_Metric = Literal["cosine", "fuzzy_match", "bleu", "gleu", "meteor", "rouge_l"]
_Rouge = Literal["rouge_1", "rouge_2", "rouge_3", "rouge_4", "rouge_5"]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _StringCheck(_Shape):
    type: Literal["string_check"]
    name: _Text
    input: str
    reference: str
    operation: Literal["eq", "ne", "like", "ilike"]


class _TextSimilarity(_Shape):
    type: Literal["text_similarity"]
    name: _Text
    input: str
    reference: str
    evaluation_metric: _Metric | _Rouge


class _Python(_Shape):
    type: Literal["python"]
    name: _Text
    source: _Text
    image_tag: str | None = None


class _ScoreModel(_Shape):
    type: Literal["score_model"]
    name: _Text
    model: _Text
    input: list[dict[str, Any]] = Field(min_length=1)
    range: list[float] | None = Field(None, min_length=2, max_length=2)
    sampling_params: dict[str, Any] | None = None


class _LabelModel(_Shape):
    type: Literal["label_model"]
    name: _Text
    model: _Text
    input: list[dict[str, Any]] = Field(min_length=1)
    labels: list[str] = Field(min_length=1)
    passing_labels: list[str] = Field(min_length=1)


_Part = Annotated[
    _StringCheck | _TextSimilarity | _Python | _ScoreModel | _LabelModel,
    Field(discriminator="type"),
]


class _Multi(_Shape):
    type: Literal["multi"]
    name: _Text
    graders: dict[str, _Part] = Field(min_length=1)
    calculate_output: _Text


class _Function(_Shape):
    function: Annotated[str, StringConstraints(pattern=r"^arn:aws[a-z-]*:lambda:")]


class _Lambda(_Shape):
    model_config = ConfigDict(serialize_by_alias=True, validate_by_alias=True)

    type: Literal["lambda"]
    function: _Function = Field(alias="lambda")


_Grader: TypeAdapter[Any] = TypeAdapter(
    Annotated[
        _StringCheck | _TextSimilarity | _Python | _ScoreModel | _Multi | _Lambda,
        Field(discriminator="type"),
    ]
)


def grader_of(options: Mapping[str, str], profile: Profile) -> dict[str, Any]:
    """The grader that a job names, as it is sent.

    A text that is no JSON but begins with `arn:` names the function of a `lambda` grader.

    Raises:
        UsageError: there is none, or it isn't one; with the place of the mistake.
        Unsupported: a kind that the vendor doesn't take.
    """
    text = options.get("grader", "").strip()
    kinds = ", ".join(sorted(profile.graders))
    if not text:
        raise UsageError(
            f"rft at {profile.who} needs a grader, which gives the reward",
            hint=f"--set grader=@FILE with a JSON object; its `type` is one of {kinds}",
        )
    if text.startswith("arn:"):
        text = json.dumps({"type": "lambda", "lambda": {"function": text}})
    try:
        given: dict[str, Any] = json.loads(text)
        _Grader.validate_python(given)
    except ValueError as error:  # pydantic's is one, too
        raise UsageError(
            f"the grader {_mistake(error)}", hint=f"a JSON object whose `type` is one of {kinds}"
        ) from None
    if given["type"] not in profile.graders:
        raise Unsupported(
            f"{profile.who} takes no {given['type']} grader; it takes {kinds}",
            hint="--set grader=@FILE",
        )
    return given


def _mistake(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return "isn't JSON"
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"][1:]))
    return f"is wrong at {place}: {first['msg'].lower()}" if place else first["msg"].lower()
