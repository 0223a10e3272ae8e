"""What ends an agent: faults of its own organisation, which trying again does not mend and nobody else can cause."""

from __future__ import annotations

from collections.abc import Callable, Collection

from fedledger.errors import FedledgerError


class OwnFaults:
    """Steps until one raises such a fault; ``keep_stepping`` would try whatever is raised again."""

    def __init__(self, step: Callable[[], float | None], codes: Collection[str]) -> None:
        """Args: codes: of the errors that end the agent."""
        self._step = step
        self._codes = codes
        self._found: FedledgerError | None = None

    def step(self) -> float | None:
        """As the agent's own; None when there is such a fault."""
        try:
            return self._step()
        except FedledgerError as error:
            if error.code not in self._codes:
                raise
            self._found = error
            return None

    def raise_found(self) -> None:
        """Raise the fault that has ended the agent, if one has."""
        if self._found is not None:
            raise self._found
