"""What a model file may hold, checked before the library that runs it sees the bytes.

ONNX Runtime follows references to other files, loads operators by domain and trusts shapes. Here the file's
wire format is walked without any of that: what a text encoder does not need is refused with the reason.

Source: the messages and field numbers of onnx.proto, IR version 13, of the project ONNX.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from embedcli.encode.trust_tensor import TensorWalk
from embedcli.encode.wire import BYTES, VARINT, Field, Message
from embedcli.errors import DamagedModelError, ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

DOMAINS = frozenset(
    {"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc"}
)
"""Operators that ONNX Runtime itself brings. `ai.onnx.preview.training` is not for encoders."""

_REFUSED_OPERATORS = {
    "EPContext": "hands the graph to a file of a hardware vendor",
    "PythonOp": "runs Python code",
    "PythonOpGrad": "runs Python code",
}
MAX_DEPTH = 24
"""Graphs within attributes within graphs; encoders with branches have three or four."""

MAX_NODES = 1_000_000
"""Nodes after all functions are put in place: short functions that call each other twice grow as 2^n."""

_MAX_PARTS = 2_000_000
_ORT_MARK = b"ORTM"

_Function = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class GraphFacts:
    """What the walk of a graph met.

    Attributes:
        inputs: Names of the graph's inputs that are no initializers.
        outputs: Names of its outputs.
        operators: How many nodes of each type, those within branches and functions counted in.
        opset: Version of the standard operators; 0 if the file names none.
        initializer_bytes: Bytes of constant tensors, by dtype.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    operators: Mapping[str, int]
    opset: int
    initializer_bytes: Mapping[str, int]


def check_graph(content: bytes | memoryview, name: str) -> GraphFacts:
    """Return what an ONNX file holds, having refused what is not safe to run.

    Refused are: data in other files, wherever they lie; operators that are not ONNX Runtime's own; functions
    that call themselves or grow beyond bounds; shapes that are negative or absurd; tensors whose bytes do not
    match their shape; files that are cut, or no ONNX. Time is linear in the number of nodes; tensors are
    not copied.

    Args:
        content: The file.
        name: What the message calls it.

    Raises:
        DamagedModelError: The file is cut, contradicts itself or is no ONNX graph.
        ModelError: It asks for something that is not allowed; the message says what.
    """
    view = memoryview(content)
    if bytes(view[4:8]) == _ORT_MARK:
        raise ModelError(f"{name}: in ONNX Runtime's own format, which cannot be checked; ONNX is needed")
    try:
        return _Walk(Message(view, name, max_parts=_MAX_PARTS)).model(len(view))
    except RecursionError:
        raise DamagedModelError(f"{name}: graphs are nested too deeply") from None


class _Walk:
    """One walk over a file."""

    def __init__(self, message: Message) -> None:
        self._message, self._name = message, message.name
        self._operators: Counter[str] = Counter()
        self._tensors = TensorWalk(message)
        self._functions: dict[_Function, list[_Function]] = {}
        self._called: list[_Function] = []

    def model(self, size: int) -> GraphFacts:
        """Walk the file."""
        graphs: list[Field] = []
        opset = 0
        for field in self._message.iter_fields(0, size):
            match field.number, field.wire:
                case 7, 2:
                    graphs.append(field)
                case 8, 2:
                    domain, version = self._opset(field)
                    opset = version if domain in ("", "ai.onnx") else opset
                case 20, 2:
                    raise ModelError(f"{self._name}: holds training steps; an encoder has none")
                case 25, 2:
                    self._function(field)
        if len(graphs) != 1:
            raise self._message.damaged(f"not an ONNX graph: {len(graphs)} graphs in it")
        self._called = []
        inputs, outputs = self._graph(graphs[0], 0)
        self._check_calls()
        return GraphFacts(inputs, outputs, dict(self._operators), opset, dict(self._tensors.bytes))

    def _opset(self, field: Field) -> tuple[str, int]:
        domain, version = "", 0
        for part in self._message.iter_fields(field.start, field.stop):
            if (part.number, part.wire) == (1, BYTES):
                domain = self._message.text(part)
            elif (part.number, part.wire) == (2, VARINT):
                version = part.start
        return domain, version

    def _graph(self, field: Field, depth: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Walk a graph and return the names of its inputs and outputs."""
        if depth > MAX_DEPTH:
            raise self._message.damaged("graphs are nested too deeply")
        inputs, outputs, constants = [], [], set()
        for part in self._message.iter_fields(field.start, field.stop):
            if part.wire != BYTES:
                continue
            match part.number:
                case 1:
                    self._node(part, depth)
                case 5:
                    constants.add(self._tensors.check(part))
                case 11:
                    inputs.append(self._value(part))
                case 12:
                    outputs.append(self._value(part))
                case 13:
                    self._value(part)
                case 15:
                    self._tensors.check_sparse(part)
        return tuple(name for name in inputs if name not in constants), tuple(outputs)

    def _node(self, field: Field, depth: int) -> None:
        kind = domain = overload = ""
        for part in self._message.iter_fields(field.start, field.stop):
            if part.wire != BYTES:
                continue
            match part.number:
                case 4:
                    kind = self._message.text(part)
                case 7:
                    domain = self._message.text(part)
                case 8:
                    overload = self._message.text(part)
                case 5:
                    self._attribute(part, depth)
        if domain not in DOMAINS:
            raise ModelError(
                f"{self._name}: operator {kind!r} of {domain!r} is not one of ONNX Runtime's own",
                hint="such operators are code of somebody else, which is never loaded",
            )
        if kind in _REFUSED_OPERATORS:
            raise ModelError(f"{self._name}: operator {kind!r} is refused: it {_REFUSED_OPERATORS[kind]}")
        self._operators[kind] += 1
        self._called.append(_function_key(domain, kind, overload))

    def _attribute(self, field: Field, depth: int) -> None:
        tensors = graphs = 0
        for part in self._message.iter_fields(field.start, field.stop):
            if part.wire != BYTES:
                continue
            match part.number:
                case 5 | 10:
                    tensors += part.number == 5
                    self._tensors.check(part)
                case 6 | 11:
                    graphs += part.number == 6
                    self._graph(part, depth + 1)
                case 22 | 23:
                    self._tensors.check_sparse(part)
        # A second one is merged into the first by the rules of the format: what would run is neither.
        if tensors > 1 or graphs > 1:
            raise self._message.damaged("an attribute holds the same value twice")

    def _function(self, field: Field) -> None:
        """Walk a function of the file, and note what it calls."""
        name = domain = overload = ""
        self._called = []
        for part in self._message.iter_fields(field.start, field.stop):
            if part.wire != BYTES:
                continue
            match part.number:
                case 1:
                    name = self._message.text(part)
                case 7:
                    self._node(part, 1)
                case 10:
                    domain = self._message.text(part)
                case 11:
                    self._attribute(part, 1)
                case 13:
                    overload = self._message.text(part)
        if domain not in DOMAINS:
            raise ModelError(f"{self._name}: brings a function {name!r} of {domain!r}, which is not allowed")
        key = _function_key(domain, name, overload)
        if key in self._functions:
            raise self._message.damaged(f"function {name!r} is defined twice")
        self._functions[key] = self._called

    def _check_calls(self) -> None:
        """Refuse functions that call themselves, or that would grow beyond bounds when put in place."""
        sizes: dict[_Function, int] = {}
        for start in self._functions:
            stack = [] if start in sizes else [(start, iter(self._functions[start]))]
            path = {start}
            while stack:
                key, calls = stack[-1]
                to = next((to for to in calls if to in self._functions and to not in sizes), None)
                if to is None:
                    sizes[key] = self._size(self._functions[key], sizes)
                    path.discard(key)
                    stack.pop()
                elif to in path:
                    raise ModelError(f"{self._name}: function {to[1]!r} calls itself")
                else:
                    path.add(to)
                    stack.append((to, iter(self._functions[to])))
        if self._size(self._called, sizes) > MAX_NODES:
            raise ModelError(f"{self._name}: more than {MAX_NODES} nodes once its functions are put in place")

    @staticmethod
    def _size(called: list[_Function], sizes: dict[_Function, int]) -> int:
        """Return how many nodes a body has, its functions put in place; beyond the bound, just more."""
        return min(sum(sizes.get(to, 1) for to in called), MAX_NODES + 1)

    def _value(self, field: Field) -> str:
        """Walk the description of an input, output or value, and return its name."""
        name = ""
        for part in self._message.iter_fields(field.start, field.stop):
            if (part.number, part.wire) == (1, BYTES):
                name = self._message.text(part)
            elif (part.number, part.wire) == (2, BYTES):
                self._tensors.check_type(part)
        return name


def _function_key(domain: str, name: str, overload: str) -> _Function:
    """Return what a function is called by: the standard domain has two names."""
    return ("" if domain == "ai.onnx" else domain, name, overload)
