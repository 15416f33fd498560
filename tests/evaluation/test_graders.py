"""What each grader calls right, the reasons it gives, and that nothing a model says breaks it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftctl.errors import UsageError
from ftctl.evaluation.examples import Example
from ftctl.evaluation.graders import GRADERS, Grade, get_grader

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def grade(spec: str, answer: str, reference: str) -> Grade:
    example = Example("id", ({"role": "user", "content": "?"},), reference, 1)
    return get_grader(spec).grade(answer, example)


@pytest.mark.parametrize(
    ("spec", "answer", "reference", "score"),
    [
        ("exact", " MIT\n", "MIT", 1),
        ("exact", "mit", "MIT", 0),
        ("exact", "MIT.", "MIT", 0),
        ("exact", "b'MIT'", "MIT", 0),
        ("normalised", "  mIt  License. ", "MIT license", 1),
        ("normalised", "ＭＩＴ！", "MIT", 1),
        ("normalised", "Straße", "STRASSE", 1),
        ("normalised", "?", "!", 0),
        ("normalised", "GPL-2.0", "GPL-2", 0),
        ("normalised", "M.I.T", "MIT", 0),
        ("label", "Positive.", "positive", 1),
        ("label", "positive or negative", "positive", 0),
    ],
)
def test_texts(spec: str, answer: str, reference: str, score: float) -> None:
    assert grade(spec, answer, reference).score == score


@pytest.mark.parametrize(
    ("answer", "reference", "score", "reason"),
    [
        ('{"a": 1}', '{"a": 1}', 1, "1 of 1 fields right"),
        ('{"a": 1.0, "b": "x "}', '{"a": 1, "b": "x"}', 1, "2 of 2 fields right"),
        ('{"a": "1"}', '{"a": 1}', 0, '0 of 1 fields right; wrong: "a"'),
        ('{"a": true}', '{"a": 1}', 0, '0 of 1 fields right; wrong: "a"'),
        ('{"a": 1, "c": 2}', '{"a": 1, "b": 2}', 0.5, 'right; missing: "b"; extra: "c"'),
        ('{"a": [2, 1]}', '{"a": [1, 2]}', 1, ""),
        ('{"a": [1, 1, 2]}', '{"a": [1, 2, 2]}', 0, ""),
        ('{"a": [{"x": 1}, {"x": 2}]}', '{"a": [{"x": 2}, {"x": 1.0}]}', 1, ""),
        ('{"p": {"x": 1, "y": 3}}', '{"p": {"x": 1, "y": 2}}', 0.5, 'wrong: "p.y"'),
        ('{"p.x": 1}', '{"p": {"x": 1}}', 0, 'missing: "p.x"'),
        ('{"p": 5}', '{"p": {"x": 1}}', 0, 'missing: "p.x"; extra: "p"'),
        ('{"a": null}', '{"a": null}', 1, ""),
        ('{"a": 0.1}', '{"a": 0.10000000001}', 1, ""),
        ('{"a": 0.1}', '{"a": 0.1001}', 0, ""),
        ('{"a": NaN}', '{"a": 1}', 0, "isn't JSON: NaN is no JSON number"),
        ('{"a": 1' + "0" * 400 + "}", '{"a": 1.5}', 0, "wrong"),
        ('```json\n{"a": 1}\n```', '{"a": 1}', 0, "isn't JSON"),
        ("[1]", '{"a": 1}', 0, "no object: list"),
        ("", '{"a": 1}', 0, "isn't JSON"),
        ('{"a": ' + "[" * 100_000, '{"a": 1}', 0, "nested too deeply"),
    ],
)
def test_json_fields(answer: str, reference: str, score: float, reason: str) -> None:
    given_score, why = grade("json-fields", answer, reference)
    assert given_score == score
    assert reason in why


def test_lists_that_nest_as_deep_as_json_allows_are_compared_or_refused() -> None:
    deep = '{"a": ' + "[" * 900 + "]" * 900 + "}"
    assert grade("json-fields", deep, deep).score in (0, 1)


@pytest.mark.parametrize("reference", ["", "MIT", "[1]", "{}", "null", '{"a": NaN}'])
def test_json_fields_refuse_a_reference_without_fields(reference: str) -> None:
    assert "JSON object" in get_grader("json-fields").refuses(reference)
    assert get_grader("exact").refuses(reference) == ""


@pytest.mark.parametrize("spec", GRADERS)
@given(answer=st.text() | ANY_JSON.map(json.dumps), reference=st.text())
@settings(max_examples=50)
def test_no_grader_raises_and_every_reason_is_one_short_line(
    spec: str, answer: str, reference: str
) -> None:
    fields = json.dumps({"a": reference, "b": [reference, 1.5]})
    score, reason = grade(spec, answer, fields if spec == "json-fields" else reference)
    assert 0 <= score <= 1
    assert reason.isprintable()
    assert 0 < len(reason) < 2000


@pytest.mark.parametrize("spec", GRADERS)
@pytest.mark.parametrize("answer", ["x" * 2_000_000, "\0" * 1000, "\u202e\n\r\u2028", "NaN", "b''"])
def test_strange_answers_are_wrong_and_say_so_briefly(spec: str, answer: str) -> None:
    score, reason = grade(spec, answer, '{"a": 1}')
    assert score == 0
    assert reason.isprintable()
    assert len(reason) < 160


@given(st.dictionaries(st.text(max_size=5), ANY_JSON, min_size=1, max_size=4))
@settings(max_examples=50)
def test_an_object_has_all_its_own_fields_right(value: dict[str, object]) -> None:
    text = json.dumps(value)
    if get_grader("json-fields").refuses(text) == "":
        assert grade("json-fields", text, text).score == 1


@given(st.text())
def test_a_text_equals_itself(text: str) -> None:
    assert grade("exact", text, text).score == 1
    assert grade("normalised", f" {text}\n", text).score == 1


@pytest.mark.parametrize(
    ("spec", "near"),
    [("exakt", "exact"), ("json_fields", "json-fields"), ("normalized", "normalised")],
)
def test_an_unknown_grader_names_the_nearest(spec: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"did you mean `{near}`") as caught:
        get_grader(spec)
    assert "exact|normalised|label|json-fields" in caught.value.hint


def test_an_unknown_grader_like_none_names_none() -> None:
    with pytest.raises(UsageError, match=r'no grader "zzz"$'):
        get_grader("zzz")
