"""Which examples go through the model together: packs that fill a token budget, or like lengths."""

from collections.abc import Sequence


def packs(sizes: Sequence[int], budget: int, most: int | None = None) -> list[list[int]]:
    """Sort things into packs by best fit decreasing, the heaviest pack first.

    Each thing, the largest first, goes where it leaves least room, into a new pack where it fits
    nowhere. What is larger than the budget gets a pack of its own. The same sizes always give the
    same packs. O(n log n), and for each thing a look at a row of `budget` bits.

    Args:
        sizes: Of the things, in tokens; each at least 1.
        budget: What a pack may hold.
        most: How many things a pack may hold; any number when None.

    Returns:
        The places of the things in `sizes`, pack by pack.
    """
    found: list[list[int]] = []
    rooms = 0  # bit r is set where some pack that takes more has room for r tokens
    with_room: dict[int, list[list[int]]] = {}
    for place in sorted(range(len(sizes)), key=lambda place: (-sizes[place], place)):
        size = sizes[place]
        fitting = rooms >> size
        if fitting:
            room = size + (fitting & -fitting).bit_length() - 1
            pack = with_room[room].pop()
            if not with_room[room]:
                rooms &= ~(1 << room)
        else:
            room, pack = budget, []
            found.append(pack)
        pack.append(place)
        left = room - size
        if left > 0 and len(pack) != most:
            with_room.setdefault(left, []).append(pack)
            rooms |= 1 << left
    return sorted(found, key=lambda pack: (-sum(sizes[place] for place in pack), pack))


def runs(sizes: Sequence[int], budget: int, most: int | None = None) -> list[list[int]]:
    """Put like sizes side by side, each counted as the largest beside it; the largest come first.

    Args:
        sizes: As of `packs`; of the padded rows.
        budget: What the rows may hold together, padding included.
        most: How many rows there may be; any number when None.
    """
    found: list[list[int]] = []
    for place in sorted(range(len(sizes)), key=lambda place: (-sizes[place], place)):
        run = found[-1] if found else []
        full = (len(run) + 1) * sizes[run[0]] > budget if run else True
        if full or len(run) == most:
            found.append([place])
        else:
            run.append(place)
    return found
