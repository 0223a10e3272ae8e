"""The contract's encoding of messages is RFC 8785's for every JSON value."""

from __future__ import annotations

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.base import MAXIMUM_INTEGER, canonical

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-MAXIMUM_INTEGER, MAXIMUM_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.text(alphabet='"\\/\b\f\n\r\t\x00\x1f\x7f:,[1234567890.eE-')
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=4), inner), max_leaves=20
)


@given(values)
@example({"\ue000": 1, "\U0001f600": 2})
@example([1e21, 1.0, -0.0, 10**15, 10**15 - 1])
@example({"b": [], "a": {}, "": ":1234567890123456.5"})
def test_the_bytes_are_those_of_the_reference_implementation(value: object) -> None:
    assert canonical(value) == rfc8785.dumps(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [MAXIMUM_INTEGER + 1, [-(2**60)], {"a": float("nan")}, {"a": [float("inf")]}])
def test_a_number_without_an_exact_encoding_is_refused(value: object) -> None:
    with pytest.raises(ContractError, match="BAD_MESSAGE"):
        canonical(value)
