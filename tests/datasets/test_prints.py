"""Lines of examples are remembered by runs, and told as they were."""

from hypothesis import given
from hypothesis import strategies as st

from ftctl.datasets.prints import Numbers

lines = st.lists(st.integers(1, 30), unique=True).map(sorted)


@given(st.lists(lines, max_size=4))
def test_numbers_come_back_as_they_went_in(parts: list[list[int]]) -> None:
    whole = Numbers()
    for place, part in enumerate(parts):
        numbers = Numbers()
        for number in part:
            numbers.append(number)
        whole.extend(numbers, 30 * place)
    due = [30 * place + number for place, part in enumerate(parts) for number in part]
    assert [whole[place] for place in range(len(whole))] == due
