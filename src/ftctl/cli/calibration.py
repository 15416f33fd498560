"""`ftctl advise --calibration`: how past quotes held."""

from ftctl.cli.render import Output


def show_calibration(out: Output) -> None:
    """A line for each quantity and provider, or that there is nothing to judge by yet."""
    from ftctl.api.calibrating import calibration

    found = calibration()
    if out.json:
        out.document(found.model_dump(mode="json", by_alias=True))
        return
    if not found.coverage:
        out.plain("No job here has come to its end with a quote: there is nothing to judge by yet.")
        return
    out.plain(
        f"Of jobs that succeeded here, what came to lie within its quoted range: {found.target:.0%}"
        " of them is what a range from P10 to P90 means."
    )
    out.table(
        ("quantity", "provider", "jobs", "held", "95 % interval", "below", "above", "was ÷ likely"),
        [
            (
                one.quantity.replace("_", " "),
                one.provider,
                str(one.jobs),
                f"{one.share:.0%}",
                f"{one.interval[0]:.0%} to {one.interval[1]:.0%}",
                str(one.below),
                str(one.above),
                f"{one.ratio:.2f}",
            )
            for one in found.coverage
        ],
    )
