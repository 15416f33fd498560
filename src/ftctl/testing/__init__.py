"""The conformance kit: one contract for every provider, and vendors that answer on loopback."""

import sys

if "pytest" in sys.modules:  # so that a failing assert of the contract shows its values
    import pytest

    pytest.register_assert_rewrite("ftctl.testing.contract", "ftctl.testing.http_contract")
