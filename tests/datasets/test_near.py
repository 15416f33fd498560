"""Near-duplicates: planted pairs are found, unlike texts aren't, and none is on two sides."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftctl.datasets.check import check
from ftctl.datasets.near import near_rows
from ftctl.datasets.split import split
from ftctl.datasets.stats import stats
from ftctl.errors import DataInvalid

VOCABULARY = [f"word{i}" for i in range(3000)]


def text(chance: random.Random, words: int) -> list[str]:
    return chance.choices(VOCABULARY, k=words)


def edited(chance: random.Random, words: list[str], share: float) -> list[str]:
    new = list(words)
    for place in chance.sample(range(len(new)), max(1, round(share * len(new)))):
        new[place] = chance.choice(VOCABULARY)
    return new


def jaccard(one: str, other: str) -> float:
    a, b = (set(zip(*(t.split()[i:] for i in range(5)), strict=False)) for t in (one, other))
    return len(a & b) / len(a | b)


def firsts_of(file: Path, texts: list[str]) -> list[int]:
    return near_rows(written(file, texts), ("user",))


def test_planted_pairs_are_found_and_others_are_not(tmp_path: Path) -> None:
    chance = random.Random(3)  # noqa: S311
    originals = [text(chance, chance.randrange(40, 200)) for _ in range(300)]
    copies = [edited(chance, words, 0.02) for words in originals[:150]]
    unlike = [edited(chance, words, 0.25) for words in originals[150:]]
    texts = [" ".join(words) for words in [*originals, *copies, *unlike]]
    firsts = firsts_of(tmp_path / "x.jsonl", texts)
    planted = [i for i in range(150) if jaccard(texts[i], texts[300 + i]) >= 0.7]
    assert len(planted) > 100
    assert sum(firsts[300 + i] == i for i in planted) >= 0.95 * len(planted)
    assert sum(firsts[300 + i] == i for i in range(150)) >= 0.85 * 150
    assert firsts[450:] == list(range(450, 600))
    assert firsts[:300] == list(range(300))


def test_case_and_punctuation_make_no_difference(tmp_path: Path) -> None:
    said = " ".join(VOCABULARY[:20])
    texts = ["other", said, said.upper(), said.replace(" ", ", "), "", "", "!", "short", "Short."]
    assert firsts_of(tmp_path / "x.jsonl", texts) == [0, 1, 1, 1, 4, 5, 6, 7, 7]


def test_no_texts_are_no_clusters(tmp_path: Path) -> None:
    with pytest.raises(DataInvalid, match="no line is a chat example"):
        firsts_of(tmp_path / "x.jsonl", [])


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("near") / "x.jsonl"


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(st.text(alphabet="ab é\ud800.", max_size=30), min_size=1, max_size=20))
def test_any_texts_have_a_first_that_comes_no_later(file: Path, texts: list[str]) -> None:
    firsts = firsts_of(file, texts)
    assert len(firsts) == len(texts)
    assert all(first <= place and firsts[first] == first for place, first in enumerate(firsts))
    for place, said in enumerate(texts):
        if said.strip(" ."):
            assert firsts[place] == firsts[texts.index(said)]


def written(path: Path, prompts: list[str]) -> Path:
    system = " ".join(VOCABULARY[:300])
    rows = [
        [
            {"role": "system", "content": system},
            {"role": "user", "content": prompt},
            {"role": "assistant", "content": f"answer {i}"},
        ]
        for i, prompt in enumerate(prompts)
    ]
    path.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture
def clusters() -> list[list[str]]:
    chance = random.Random(4)  # noqa: S311
    found = []
    for _ in range(40):
        words = text(chance, 80)
        found.append([" ".join(words), *(" ".join(edited(chance, words, 0.01)) for _ in range(2))])
    return found


def test_a_cluster_is_on_one_side_of_a_split_whatever_the_order(
    tmp_path: Path, clusters: list[list[str]]
) -> None:
    prompts = [prompt for cluster in clusters for prompt in cluster]
    of = {prompt: number for number, cluster in enumerate(clusters) for prompt in cluster}

    def sides(order: list[str], name: str, *, near: bool) -> list[set[int]]:
        file = written(tmp_path / f"{name}.jsonl", order)
        result = split(file, near=near)
        assert sum(result.rows.values()) == 120
        assert result.groups == (40 if near else 120)
        lines = [path.read_text("utf-8").splitlines() for path in result.files.values()]
        return [{of[json.loads(line)["messages"][1]["content"]] for line in part} for part in lines]

    kept = sides(prompts, "near", near=True)
    assert sum(map(len, kept)) == len(set().union(*kept)) == 40
    assert all(kept)
    assert sides(prompts[::-1], "turned", near=True) == kept
    apart = sides(prompts, "plain", near=False)
    assert sum(map(len, apart)) > 40


def test_stats_count_near_duplicates_apart_from_copies(
    tmp_path: Path, clusters: list[list[str]]
) -> None:
    one = clusters[0]
    rows = [[("user", said), ("assistant", "a")] for said in [*one, one[0], f"{one[0]}!", "b"]]
    file = tmp_path / "x.jsonl"
    lines = [
        json.dumps({"messages": [{"role": role, "content": said} for role, said in row]})
        for row in rows
    ]
    file.write_text("\n".join(lines))
    copies = stats(file, near=True).copies
    assert (copies.exact, copies.normalised, copies.near) == (1, 1, 2)
    assert stats(file).copies.near is None


def test_check_names_near_duplicates_and_near_overlap_with_their_lines(
    tmp_path: Path, clusters: list[list[str]]
) -> None:
    one, two, three = clusters[:3]
    train = written(tmp_path / "train.jsonl", ["b", one[0], two[0], one[1]])
    with train.open("a", encoding="utf-8") as more:
        more.write("{\n" + train.read_text("utf-8").splitlines()[2] + "\n")
    held_out = written(tmp_path / "held-out.jsonl", [three[0], one[2], two[0]])
    found = [
        (Path(issue.file).name, issue.line, issue.rule, issue.message)
        for issue in check([train], validation=held_out, near=True).issues
        if "nearly" in issue.message
    ]
    said = "this prompt, in nearly the same words, is also"
    assert sorted(found) == [
        ("held-out.jsonl", 2, "train-val-overlap", f"{said} train.jsonl:2"),
        ("train.jsonl", 2, "train-val-overlap", f"{said} held-out.jsonl:2"),
        ("train.jsonl", 4, "near-duplicate", "nearly the words of line 2"),
    ]
    plain = check([train], validation=held_out).issues
    assert not any("nearly" in issue.message for issue in plain)


def test_near_finds_nothing_in_a_file_without_chat_examples(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text('{"text": "a"}\n{"text": "a"}\n')
    assert not any("nearly" in issue.message for issue in check([file], near=True).issues)
