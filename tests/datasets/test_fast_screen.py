"""What a block's bytes tell of its lines: never less than their decoded texts do."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from ftctl.datasets.fast import screen
from ftctl.datasets.scan import has_long_number, has_private_number, scan_text

numbers = st.text(alphabet="0123456789  ()./-xé\n+,", max_size=30)
names = st.sampled_from(["a", "role", "a\\", '"', ":", '":', ""])


@settings(max_examples=300)
@given(st.lists(numbers, max_size=5), st.booleans(), st.booleans())
def test_no_line_with_a_long_number_is_missed(
    texts: list[str], escaped: bool, slashes: bool
) -> None:
    lines = [json.dumps({"a": text}, ensure_ascii=escaped) for text in texts]
    if slashes:
        lines = [line.replace("/", "\\/") for line in lines]
    due = {i for i, text in enumerate(texts) if has_long_number(text)}
    found = screen.number_lines("\n".join(lines).encode())
    assert due <= found
    if not escaped:
        assert due == found


@given(numbers | st.sampled_from(["4111 1111 1111 1111", "DE89370400440532013000", "sk-"]))
def test_a_private_number_is_what_the_scan_finds_among_numbers(text: str) -> None:
    kinds = {hit.kind for hit in scan_text(text)}
    assert has_private_number(text) == bool(kinds & {"card", "iban", "phone"})


@settings(max_examples=300)
@given(st.lists(st.dictionaries(names.map(lambda n: n.strip("\\")), names | numbers, max_size=4)))
def test_members_are_counted_whatever_the_texts_hold(rows: list[dict[str, str]]) -> None:
    data = "\n".join(json.dumps(row) for row in rows).encode()
    texts = [text for row in rows for pair in row.items() for text in pair]
    if not any(text.startswith(" ") for text in texts):
        assert not screen.spaced(data)
    if not screen.spaced(data):
        assert screen.members(data) >= sum(map(len, rows))
        if not any(text.startswith(":") for text in texts):
            assert screen.members(data) == sum(map(len, rows))


def test_spaces_around_a_name_are_seen() -> None:
    for line in (b'{"a" : 1}', b'{"a"\t:1}', b'{"a"\r:1}', b'{"a":"b" }'):
        assert screen.spaced(line)
    assert not screen.spaced(b'{"a": "said \\"b\\" to c", "d": 1}')
