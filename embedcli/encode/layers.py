"""The hidden states between the layers of a graph, and graphs that end at one of them.

The file's wire format is read and written as it is: the nodes that lead to the wanted tensors stay byte for
byte, everything else goes, and one node is added that gives the result its name. No ONNX library is needed.

Source: the messages and field numbers of onnx.proto, IR version 13, of the project ONNX.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from embedcli.encode.onnx_ports import TOKEN_VECTORS
from embedcli.encode.wire import BYTES, VARINT, Field, Message
from embedcli.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_OWN_STATE: Final = re.compile(r"layer(\d+)_attention_norm_around")
_ATTENTION: Final = ("Attention", "QAttention")
_ROUNDING: Final = ("QuantizeLinear", "DynamicQuantizeLinear")
_JOINED: Final = "last_hidden_state"
_MAX_PARTS: Final = 2_000_000

# Fields of the messages.
_GRAPH: Final = 7
_NODES, _NAME, _INITIALIZERS, _INPUTS, _OUTPUTS = 1, 2, 5, 11, 12
_LAST_AXIS: Final = 0xFFFF_FFFF_FFFF_FFFF
_INT: Final = 2


@dataclass(frozen=True, slots=True)
class _Node:
    """One node: where it stands in the file, what it takes and gives, and its type."""

    field: Field
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    kind: str


class LayerGraph:
    """A graph with the tensors that stand between its layers.

    Attributes:
        states: Names of the hidden states: that of the embeddings, that after the first layer, and so on, the
            graph's own output last. In graphs of the recipe of `encode.export` those before the last are
            the hidden state less one constant vector, the same for each token of each text: the shift
            of the norm before it, which that recipe folds into the weights that follow. In other graphs they
            are what goes into the attention of each layer.
    """

    def __init__(self, content: bytes, name: str) -> None:
        """Read a graph that `trust.check_graph` let through.

        Args:
            content: The file.
            name: What messages call it.

        Raises:
            DamagedModelError: It is no ONNX graph.
            ModelError: Its layers cannot be told apart, or it has branches.
        """
        self._message = Message(memoryview(content), name, max_parts=_MAX_PARTS)
        graphs: list[Field] = []
        self._around: list[Field] = []
        for field in self._message.iter_fields(0, len(content)):
            (graphs if field.number == _GRAPH else self._around).append(field)
        if len(graphs) != 1:
            raise self._message.damaged(f"not an ONNX graph: {len(graphs)} graphs in it")
        self._parts = [
            part for part in self._message.iter_fields(graphs[0].start, graphs[0].stop) if part.wire == BYTES
        ]
        self._nodes = [self._node(part) for part in self._parts if part.number == _NODES]
        self._makers = {output: node for node in self._nodes for output in node.outputs}
        self.states = (*self._inner_states(), self._output())

    @property
    def layers(self) -> int:
        """How many layers there are."""
        return len(self.states) - 1

    def nodes_before(self, layer: int) -> int:
        """Return how many nodes lead to the hidden state after a layer, 0 for the embeddings."""
        return len(self._needed([self.states[layer]]))

    def ending_at(self, layers: Sequence[int]) -> bytes:
        """Return a graph whose only output is the hidden states after some layers, side by side.

        Args:
            layers: From 0, the embeddings, to `layers`.

        Returns:
            An ONNX file; its output has as many numbers a token as all the states together.
        """
        wanted = [self.states[layer] for layer in layers]
        nodes = self._needed(wanted)
        used = {name for node in nodes for name in node.inputs}
        kept = {node.field for node in nodes}
        graph = bytearray()
        for part in self._parts:
            if (
                (part.number == _NODES and part in kept)
                or (part.number == _INITIALIZERS and self._text_field(part, 8) in used)
                or part.number in (_NAME, _INPUTS)
            ):
                graph += self._copied(part)
        # A tensor of the output's name may be among those that stay.
        output = _JOINED if _JOINED not in {name for node in nodes for name in node.outputs} else "joined"
        graph += _bytes_field(_NODES, _concat(wanted, output))
        graph += _bytes_field(_OUTPUTS, _bytes_field(1, output.encode()))
        around = b"".join(self._copied(field) for field in self._around)
        return around + _bytes_field(_GRAPH, bytes(graph))

    def _node(self, field: Field) -> _Node:
        inputs, outputs, kind = [], [], ""
        for part in self._message.iter_fields(field.start, field.stop):
            match part.number:
                case 1:
                    inputs.append(self._message.text(part))
                case 2:
                    outputs.append(self._message.text(part))
                case 4:
                    kind = self._message.text(part)
                case 5:
                    self._check_attribute(part)
        return _Node(field, tuple(inputs), tuple(outputs), kind)

    def _check_attribute(self, field: Field) -> None:
        """Refuse a graph within the graph: what it takes from around it is named nowhere."""
        for part in self._message.iter_fields(field.start, field.stop):
            if part.wire == BYTES and part.number in (6, 11):
                raise ModelError(f"{self._message.name}: has branches, which cannot be cut between layers")

    def _output(self) -> str:
        names = [self._text_field(part, 1) for part in self._parts if part.number == _OUTPUTS]
        known = [name for name in TOKEN_VECTORS if name in names] or names
        if len(names) != 1 and known is names:
            raise ModelError(f"{self._message.name}: outputs {names}: none is known to be token vectors")
        return known[0]

    def _inner_states(self) -> list[str]:
        """Return the names of the hidden states before the last.

        Raises:
            ModelError: They cannot be told.
        """
        own = {int(match[1]): name for name in self._makers if (match := _OWN_STATE.fullmatch(name))}
        if own and sorted(own) == list(range(len(own))):
            return [own[number] for number in range(len(own))]
        found: list[str] = []
        for node in self._nodes:
            if node.kind not in _ATTENTION or not node.inputs:
                continue
            name = node.inputs[0]
            while name in self._makers and self._makers[name].kind in _ROUNDING:
                name = self._makers[name].inputs[0]
            found.append(name)
        if not found or len(set(found)) != len(found) or not set(found) <= set(self._makers):
            raise ModelError(f"{self._message.name}: its layers cannot be told apart by their operators")
        return found

    def _needed(self, wanted: Iterable[str]) -> list[_Node]:
        """Return the nodes that lead to some tensors, in the order of the file. O(nodes)."""
        found: set[int] = set()
        open_names = list(wanted)
        while open_names:
            node = self._makers.get(open_names.pop())
            if node is not None and node.field.start not in found:
                found.add(node.field.start)
                open_names += node.inputs
        return [node for node in self._nodes if node.field.start in found]

    def _text_field(self, field: Field, number: int) -> str:
        for part in self._message.iter_fields(field.start, field.stop):
            if (part.number, part.wire) == (number, BYTES):
                return self._message.text(part)
        return ""

    def _copied(self, field: Field) -> bytes:
        """Return a field as it stands in the file, its key and length written anew."""
        if field.wire == VARINT:
            return _varint(field.number << 3) + _varint(field.start)
        content = bytes(self._message.content[field.start : field.stop])
        if field.wire == BYTES:
            return _bytes_field(field.number, content)
        return _varint(field.number << 3 | field.wire) + content


def _concat(names: Sequence[str], output: str) -> bytes:
    """Return a node that puts tensors side by side along their last axis."""
    axis = _bytes_field(1, b"axis") + _varint(3 << 3) + _varint(_LAST_AXIS) + _varint(20 << 3) + _varint(_INT)
    inputs = b"".join(_bytes_field(1, name.encode()) for name in names)
    return inputs + _bytes_field(2, output.encode()) + _bytes_field(4, b"Concat") + _bytes_field(5, axis)


def _bytes_field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Return an unsigned integer as a varint."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
