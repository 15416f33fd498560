"""Failing asserts of the shipped contract show their values, as those of our own tests do."""

import pytest

pytest.register_assert_rewrite("ftctl.testing.contract", "ftctl.testing.http_contract")
