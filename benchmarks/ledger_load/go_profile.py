"""CPU profiles of Go programs: fetched from their ``/debug/pprof``, decoded without a Go toolchain.

The format is pprof's ``profile.proto`` (github.com/google/pprof, proto/profile.proto), gzip-compressed; Go's runtime
writes names of functions into it. Of the message only the fields that are read are described here.
"""

from __future__ import annotations

import gzip
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "perftools.profiles"
_MESSAGES: Mapping[str, Mapping[str, tuple[int, int | str, bool]]] = {
    "ValueType": {"type": (1, _Field.TYPE_INT64, False), "unit": (2, _Field.TYPE_INT64, False)},
    "Sample": {"location_id": (1, _Field.TYPE_UINT64, True), "value": (2, _Field.TYPE_INT64, True)},
    "Line": {"function_id": (1, _Field.TYPE_UINT64, False)},
    "Location": {"id": (1, _Field.TYPE_UINT64, False), "line": (4, "Line", True)},
    "Function": {"id": (1, _Field.TYPE_UINT64, False), "name": (2, _Field.TYPE_INT64, False)},
    "Profile": {
        "sample_type": (1, "ValueType", True),
        "sample": (2, "Sample", True),
        "location": (4, "Location", True),
        "function": (5, "Function", True),
        "string_table": (6, _Field.TYPE_STRING, True),
    },
}
_SECONDS_TO_CONNECT = 10.0


@dataclass(frozen=True)
class Stack:
    """CPU seconds spent in one stack of functions, the innermost first."""

    functions: Sequence[str]
    seconds: float


def fetch(address: str, seconds: int) -> list[Stack]:
    """Profile the program whose pprof server listens at ``host:port`` for ``seconds`` from now on."""
    url = f"http://{address}/debug/pprof/profile?seconds={seconds}"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(url, timeout=seconds + _SECONDS_TO_CONNECT) as answer:
        return decode(answer.read())


def decode(compressed: bytes) -> list[Stack]:
    """The stacks of a CPU profile with samples in nanoseconds; raises ``ValueError`` for any other."""
    profile = _Profile.FromString(gzip.decompress(compressed))
    names = profile.string_table
    units = [names[kind.unit] for kind in profile.sample_type]
    if "nanoseconds" not in units:
        raise ValueError(f"not a CPU profile: its samples are in {units}")
    column = units.index("nanoseconds")
    functions = {function.id: names[function.name] for function in profile.function}
    inlined = {location.id: [functions[line.function_id] for line in location.line] for location in profile.location}
    return [
        Stack(tuple(_flat(inlined[each] for each in sample.location_id)), sample.value[column] / 1e9)
        for sample in profile.sample
    ]


def _flat(parts: Iterable[list[str]]) -> Iterator[str]:
    for part in parts:
        yield from part


def _profile_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="pprof_profile.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, is_repeated) in fields.items():
            label = _Field.LABEL_REPEATED if is_repeated else _Field.LABEL_OPTIONAL
            if isinstance(kind, str):
                type_name = f".{_PACKAGE}.{kind}"
                message.field.add(name=field, number=number, type=_Field.TYPE_MESSAGE, type_name=type_name, label=label)
            else:
                message.field.add(name=field, number=number, type=kind, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Profile"))


_Profile = _profile_class()
