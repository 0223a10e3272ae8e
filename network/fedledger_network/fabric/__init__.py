"""A consortium on Hyperledger Fabric: Fabric's own programs, found and run, never bundled or built."""

from fedledger_network.fabric.config import FabricConfig, Ordering
from fedledger_network.fabric.errors import FabricError, FabricTimeout
from fedledger_network.fabric.network import FabricNetwork, ProgramStatus
from fedledger_network.fabric.programs import Programs, find_programs

__all__ = [
    "FabricConfig",
    "FabricError",
    "FabricNetwork",
    "FabricTimeout",
    "Ordering",
    "ProgramStatus",
    "Programs",
    "find_programs",
]
