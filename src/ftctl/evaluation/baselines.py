"""What a fine-tuned model must beat: answers that cost no training of a language model."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ftctl.datasets.render import Message
from ftctl.errors import ExtraMissing, Unsupported, UsageError
from ftctl.evaluation.examples import Example, ExampleFile, message_text
from ftctl.evaluation.runner import Conversation, Target

SYSTEM_ROLES = ("system", "developer")


def most_frequent(train: ExampleFile) -> Target:
    """Always answers with the training examples' most frequent answer; the first of equals."""
    answers = Counter(example.reference.strip() for example in train.examples)
    commonest = answers.most_common(1)[0][0]
    return Target(
        name="most frequent answer",
        fingerprint=f"most-frequent/1 {train.sha256}",
        answer=lambda conversations: [commonest] * len(conversations),
    )


def linear_classifier(train: ExampleFile) -> Target:
    """A linear classifier on tf-idf of words and pieces of words, fitted on the training examples.

    Every different answer is a class, so it fits tasks whose answers repeat.

    Raises:
        ExtraMissing: scikit-learn isn't installed.
        Unsupported: the answers hardly repeat, or all are the same, or the prompts hold no text.
    """
    model = _pipeline()
    answers = [example.reference.strip() for example in train.examples]
    different = len(set(answers))
    if different < 2 or different > len(answers) / 2:
        raise Unsupported(
            f"{train.path}: {different} different answers in {len(answers)} examples are "
            "nothing to classify",
            hint="the linear baseline needs at least 2 answers that repeat; leave it out",
        )
    try:
        model.fit([_question(example.prompt) for example in train.examples], answers)
    except ValueError as error:
        raise Unsupported(
            f"{train.path}: the prompts can't be turned into words ({error})",
            hint="leave the linear baseline out",
        ) from None

    def answer(conversations: Sequence[Conversation]) -> list[str]:
        predicted = model.predict([_question(conversation) for conversation in conversations])
        return [str(label) for label in predicted]

    return Target("linear classifier", f"linear-classifier/1 {train.sha256}", answer)


def few_shot(target: Target, train: ExampleFile, k: int, seed: int = 0) -> Target:
    """The same target, shown k training examples before each question."""

    def answer(conversations: Sequence[Conversation]) -> Sequence[str]:
        return target.answer(few_shot_conversations(train.examples, conversations, k, seed))

    return Target(
        name=f"{target.name}, {k} examples in the prompt",
        fingerprint=f"{target.fingerprint} few-shot/1 {k} {seed} {train.sha256}",
        answer=answer,
    )


def few_shot_conversations(
    train: Sequence[Example], conversations: Sequence[Conversation], k: int, seed: int = 0
) -> list[list[Message]]:
    """Conversations with k training examples as turns before the question.

    Every conversation gets the same k, drawn with the seed. Its own system message stays first;
    those of the examples are left out.

    Raises:
        UsageError: k is negative or more than there are training examples.
    """
    if not 0 <= k <= len(train):
        raise UsageError(
            f"{k} examples can't be drawn from {len(train)}",
            hint=f"ask for 0 to {len(train)} examples in the prompt",
        )
    turns: list[Message] = []
    for example in random.Random(seed).sample(list(train), k):  # noqa: S311 - no secret
        turns += [message for message in example.prompt if not _is_system(message)]
        turns.append({"role": "assistant", "content": example.reference})
    shown = []
    for conversation in conversations:
        system = [message for message in conversation if _is_system(message)]
        rest = [message for message in conversation if not _is_system(message)]
        shown.append([*system, *turns, *rest])
    return shown


def _is_system(message: Message) -> bool:
    return message["role"] in SYSTEM_ROLES


def _question(conversation: Conversation) -> str:
    return "\n".join(message_text(message) for message in conversation if not _is_system(message))


def _pipeline() -> Any:  # noqa: ANN401 - scikit-learn ships no types
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import make_pipeline, make_union
        from sklearn.svm import LinearSVC
    except ImportError:
        raise ExtraMissing("local", "the linear baseline") from None
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\S+")  # noqa: S106
    pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    return make_pipeline(make_union(words, pieces), LinearSVC(random_state=0))
