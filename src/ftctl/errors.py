"""Every failure ftctl reports, in one tree.

FtctlError                   what happened, where, why, and what to do next
├── UsageError               2  the question was put wrongly: unknown name, unreadable file
├── DataInvalid              1  the dataset breaks a rule of the provider
├── JobFailed                1  the job ran and did not succeed
├── IllegalMove              1  a job can't go from this state to that one
├── NotFoundHere             1  no such job in the store
├── Interrupted            130  a person left off; what goes on elsewhere is said
├── Refused                  3  stopped before anything was spent or sent
│   ├── ProviderClosed          the route takes no new jobs on this day
│   ├── PrivacyForbids          the policy keeps these rows where they are
│   ├── OverMaxCost             the quote is above the limit
│   ├── CredentialsMissing      no key, or the vendor refused it
│   ├── CannotListen            the service's address is taken
│   ├── ExtraMissing            an optional part of ftctl isn't installed
│   └── Unsupported             this machine or route can't do it
├── StoreError               1  our own records can't be read or written
└── ProviderError            5  the other side failed; safe to run again
    ├── AuthError            3
    ├── NoBalance            3  the account has no credit
    ├── InvalidRequest       1  the vendor said no
    ├── NotFound             1  the vendor knows no such thing
    ├── Retired              1  the vendor answered that the route is gone
    ├── RateLimited          5
    └── Unavailable          5
"""


class FtctlError(Exception):
    """What happened, as one sentence for a person.

    Args:
        message: What happened and where (file:line, JSON path, job id).
        hint: What to do next; a command where there is one.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def kind(self) -> str:
        """The class name in snake case, the `kind` of the JSON error document."""
        name = type(self).__name__
        return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")


class UsageError(FtctlError):
    """The question was put wrongly: an unknown name, an unreadable file."""

    exit_code = 2


class DataInvalid(FtctlError):
    """The dataset breaks a rule of the provider."""


class JobFailed(FtctlError):
    """The job ran and did not succeed."""


class IllegalMove(FtctlError):
    """A job can't go from the state it is in to the one asked for."""


class NotFoundHere(FtctlError):
    """Our store has no such job."""


class Interrupted(FtctlError):
    """A person left off with Ctrl-C; the hint says how to come back."""

    exit_code = 130


class StoreError(FtctlError):
    """Our own records can't be read or written."""


class Refused(FtctlError):
    """Stopped before anything was spent or sent."""

    exit_code = 3


class ProviderClosed(Refused):
    """The route takes no new jobs on this day, for this account."""


class PrivacyForbids(Refused):
    """The policy keeps these rows where they are."""


class OverMaxCost(Refused):
    """The quote's high end is above the limit the user set."""


class CredentialsMissing(Refused):
    """No key was found for the provider."""


class CannotListen(Refused):
    """The service's address is taken, or isn't this machine's."""


class ExtraMissing(Refused):
    """An optional part of ftctl isn't installed."""

    def __init__(self, extra: str, why: str) -> None:
        super().__init__(
            f"{why} needs the extra `{extra}`, which isn't installed.",
            hint=f"pip install 'ftctl[{extra}]'",
        )
        self.extra = extra


class Unsupported(Refused):
    """This machine or this route can't do what was asked."""


class ProviderError(FtctlError):
    """The other side failed; the same command may be run again.

    `code` is the vendor's own word for it, where it gives one; `status` what it answered in HTTP.
    """

    exit_code = 5
    code: str | None = None
    status: int | None = None


class AuthError(ProviderError):
    """The vendor refused the credentials (401, 403)."""

    exit_code = 3


class NoBalance(ProviderError):
    """The account has no credit, or no way to pay (402)."""

    exit_code = 3


class InvalidRequest(ProviderError):
    """The vendor said no to what was asked (400, 409, 422)."""

    exit_code = 1


class NotFound(ProviderError):
    """The vendor knows no such thing (404)."""

    exit_code = 1


class Retired(ProviderError):
    """The vendor answered that the route is gone (410)."""

    exit_code = 1


class RateLimited(ProviderError):
    """The vendor asks us to wait (429); `retry_after_s` where it says how many seconds."""

    retry_after_s: float | None = None


class Unavailable(ProviderError):
    """The vendor or engine can't be reached, or failed (5xx)."""
