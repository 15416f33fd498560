"""A GGUF file that is cut off or isn't one is refused in a sentence that names it."""

from pathlib import Path

import pytest

from ftctl.errors import UsageError
from ftctl.local_backend.base_models import find_base

pytestmark = pytest.mark.medium


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no GGUF at all",
        b"GGUF",
        b"GGUF\x03\0\0\0" + b"\0" * 16,  # whole, and empty
        b"GGUF\x03\0\0\0" + b"\xff" * 16,  # more tensors than can be
    ],
)
def test_a_damaged_gguf_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "cut.gguf"
    file.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        find_base(str(file), tmp_path / "home")
    assert caught.value.message.startswith(f"{file}: no model can be read from it")
    assert "download it again" in caught.value.hint
    assert list((tmp_path / "home" / "cache" / "models").iterdir()) == []
