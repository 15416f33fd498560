"""What an image in a message counts at OpenAI, by its size and the model.

Source: OpenAI's vision guide, read 2026-11.
"""

import base64
import io
import re
from collections.abc import Mapping
from typing import NamedTuple

_FITS_PIXELS = 2048  # a larger image is made smaller first, to fit a square of it
_SHORT_SIDE_PIXELS = 768  # and then so that its short side is no longer
_TILE_PIXELS = 512
_PATCH_PIXELS = 32
_MOST_PATCHES = 1536
_PER_PATCH = 1.62  # of gpt-4.1-mini; unverified
_UNKNOWN_SIZE = (1024, 1024)
_READ_CHARACTERS = 2**20  # of an image that stands in the row: its size stands near the beginning


class ImageBill(NamedTuple):
    """What a model counts for an image.

    Attributes:
        base: Tokens of any image, and all of one of low detail; 0 where patches are counted.
        tile: Tokens of each tile.
        sourced: Whether a source says so of this model.
    """

    base: int
    tile: int
    sourced: bool = True


_BILLS: Mapping[re.Pattern[str], ImageBill] = {
    re.compile(r"gpt-4o-mini(?=-|$)"): ImageBill(2833, 5667),  # what is billed
    re.compile(r"gpt-4\.1-mini(?=-|$)"): ImageBill(0, 0, sourced=False),
    re.compile(r"(?:chatgpt-4o|gpt-4o|gpt-4\.1(?!-nano))(?=-|$)"): ImageBill(85, 170),
}
OTHER_BILL = ImageBill(85, 170, sourced=False)


def image_bill(base_model: str) -> ImageBill:
    """What a base model counts for an image; that of gpt-4o where no source says."""
    return next((bill for name, bill in _BILLS.items() if name.match(base_model)), OTHER_BILL)


def image_tokens(image: object, bill: ImageBill) -> tuple[int, bool]:
    """Tokens of an image, and whether they are sure.

    Args:
        image: The `image_url` of a part.
        bill: What the model counts.
    """
    fields: Mapping[str, object] = image if isinstance(image, dict) else {"url": image}
    detail, url = fields.get("detail"), fields.get("url")
    if detail == "low" and bill.base:
        return bill.base, bill.sourced
    size = _size(url) if isinstance(url, str) else None
    # "auto" leaves it to the model, which sees most images in high detail.
    sure = bill.sourced and size is not None and detail == "high"
    width, height = size or _UNKNOWN_SIZE
    if not bill.base:
        patches = -(-width // _PATCH_PIXELS) * -(-height // _PATCH_PIXELS)
        return round(min(patches, _MOST_PATCHES) * _PER_PATCH), sure
    return bill.base + bill.tile * _tiles(width, height), sure


def _tiles(width: int, height: int) -> int:
    scale = min(1.0, _FITS_PIXELS / max(width, height), _SHORT_SIDE_PIXELS / min(width, height))
    across, down = (-(-round(side * scale) // _TILE_PIXELS) for side in (width, height))
    return max(across, 1) * max(down, 1)


def _size(url: str) -> tuple[int, int] | None:
    """Width and height in pixels of an image that stands in the row; None of any other."""
    head, _, data = url.partition(";base64,")
    if not head.startswith("data:image/"):
        return None
    try:
        from PIL import Image

        content = base64.b64decode(data[:_READ_CHARACTERS])
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
    except Exception:  # noqa: BLE001 - Pillow's readers fail in any way on what is damaged
        return None
    return (width, height) if width > 0 and height > 0 else None
