"""A small adapter, as a vendor that returns weights offers it; loose, or packed in one archive."""

import io
import json
import tarfile
from collections.abc import Mapping


def small_adapter() -> dict[str, bytes]:
    """Its files, by name: one tensor of zeros and the settings."""
    tensor = {"dtype": "F32", "shape": [8], "data_offsets": [0, 32]}
    header = json.dumps({"base_model.model.lora_A.weight": tensor}).encode()
    config = json.dumps({"peft_type": "LORA", "r": 16, "lora_alpha": 32}).encode()
    weights = len(header).to_bytes(8, "little") + header + bytes(32)
    return {"adapter_model.safetensors": weights, "adapter_config.json": config}


def pack(files: Mapping[str, bytes]) -> bytes:
    """A tar packed with zstd; the same files give the same bytes.

    Args:
        files: What it holds, by name.
    """
    import zstandard

    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return zstandard.ZstdCompressor().compress(plain.getvalue())
