"""A reader of the pickle stream that cannot execute anything.

The interpreter below knows the instructions that picklers of protocol 2 to 5 write, and builds plain values only.
A global name in the stream is looked up in an exact table of the caller's; it becomes an inert :class:`Known`, never
an import. There is no ``getattr``, ``setattr``, ``__setstate__`` or call of anything that the stream brought. Work,
memory and the size of numbers are bounded by a :class:`Budget`.

Its own because ``torch.load(weights_only=True)`` refuses published snapshots, whose classes are not torch's, and
because ``pickle.Unpickler``, with whatever ``find_class``, allocates the gigabytes that a stream of some bytes claims.
"""

import pickle
import pickletools
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_LONGEST_NAME = 200
_LONGEST_INTEGER = 32  # bytes
_SHOWN = 80
_OPCODES = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}


class UnreadablePickle(Exception):  # noqa: N818 - carries a phrase for the sentence that the user reads
    """The stream holds something that the table does not allow; the message completes "the file ..."."""


class Budget:
    """What reading one file may cost: instructions or visited nodes, and bytes that are copied."""

    def __init__(self, steps: int, size: int) -> None:
        self.steps, self.size = steps, size

    def step(self) -> None:
        """Count one instruction; raises :class:`UnreadablePickle` where there are too many."""
        self.steps -= 1
        if self.steps < 0:
            raise UnreadablePickle("is built of far more parts than a network has")

    def spend(self, size: int) -> None:
        """Count ``size`` bytes before they are copied; raises :class:`UnreadablePickle` where there are too many."""
        self.size -= size
        if self.size < 0:
            raise UnreadablePickle("declares far more data than it holds")


class Buildable(ABC):
    """An inert record that takes the state which the stream gives it after it was made."""

    @abstractmethod
    def build(self, state: Any) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What a name of the table stands for: ``call`` gets the arguments of a reduction, ``new`` those of a class.

    Both are the reader's own functions of plain values; None where the name is not used that way.
    """

    name: str
    call: Callable[[tuple[Any, ...]], Any] | None = None
    new: Callable[[], Any] | None = None


def shown(value: object) -> str:
    """A text of the stream for a message: short, on one line. Other values by their type only."""
    return repr(value[:_SHOWN])[1:-1][:_SHOWN] if isinstance(value, str) else f"a {type(value).__name__}"


class _Mark:
    pass


_MARK = _Mark()


class Interpreter:
    """Reads one pickle from ``data`` at ``position``; afterwards ``position`` is behind it.

    ``persistent`` turns a persistent id into an inert record; without it such ids are refused.
    """

    def __init__(
        self,
        data: memoryview,
        table: Mapping[tuple[str, str], Known],
        budget: Budget,
        persistent: Callable[[Any], Any] | None = None,
    ) -> None:
        self._data, self._table, self._budget, self._persistent = data, table, budget, persistent
        self.position = 0
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def read(self) -> Any:
        """The value of the next pickle. Raises :class:`UnreadablePickle`."""
        self._stack, self._memo = [], {}
        while True:
            self._budget.step()
            if self.position >= len(self._data):
                raise UnreadablePickle("is cut short or damaged")
            opcode = self._data[self.position]
            self.position += 1
            if opcode == pickle.STOP[0]:
                if len(self._stack) != 1 or self._stack[0] is _MARK:
                    raise UnreadablePickle("is a damaged pickle")
                return self._stack.pop()
            handler = _HANDLERS.get(opcode)
            if handler is None:
                what = _OPCODES.get(opcode, f"{opcode}, which is none")
                raise UnreadablePickle(f"contains the pickle instruction {what}, and no snapshot does")
            handler(self)

    # Bytes and numbers ---------------------------------------------------------------------------

    def _take(self, size: int) -> memoryview:
        if size > len(self._data) - self.position:
            raise UnreadablePickle("is cut short or damaged")
        part = self._data[self.position : self.position + size]
        self.position += size
        return part

    def number(self, code: str) -> Any:
        """One number in :mod:`struct`'s ``code``."""
        try:
            (value,) = struct.unpack_from(code, self._data, self.position)
        except struct.error:
            raise UnreadablePickle("is cut short or damaged") from None
        self.position += struct.calcsize(code)
        return value

    def _line(self) -> str:
        window = bytes(self._data[self.position : self.position + _LONGEST_NAME])
        end = window.find(b"\n")
        if end < 0:
            raise UnreadablePickle("is cut short or damaged")
        self.position += end + 1
        return self._decoded(window[:end])

    def _decoded(self, raw: bytes | memoryview) -> str:
        try:
            return str(raw, "utf-8")
        except UnicodeDecodeError:
            raise UnreadablePickle("contains a text that is no text") from None

    # The stack -----------------------------------------------------------------------------------

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise UnreadablePickle("is a damaged pickle")
        return self._stack.pop()

    def _top(self, kind: type) -> Any:
        if not self._stack or not isinstance(self._stack[-1], kind):
            raise UnreadablePickle("is a damaged pickle")
        return self._stack[-1]

    def _marked(self) -> list[Any]:
        for index in range(len(self._stack) - 1, -1, -1):
            if self._stack[index] is _MARK:
                items = self._stack[index + 1 :]
                del self._stack[index:]
                return items
        raise UnreadablePickle("is a damaged pickle")

    def _last(self, count: int) -> tuple[Any, ...]:
        return tuple([self._pop() for _ in range(count)][::-1])

    # Instructions --------------------------------------------------------------------------------

    def text(self, code: str) -> None:
        size = self.number(code)
        part = self._take(size)
        self._budget.spend(size)
        self.push(self._decoded(part))

    def raw(self, code: str) -> None:
        self.push(self._take(self.number(code)))

    def integer(self, code: str) -> None:
        size = self.number(code)
        if not 0 <= size <= _LONGEST_INTEGER:
            raise UnreadablePickle("contains an absurdly long number")
        self.push(int.from_bytes(self._take(size), "little", signed=True))

    def protocol(self) -> None:
        version = self.number("<B")
        if not 2 <= version <= 5:
            raise UnreadablePickle(f"is a pickle of protocol {version}")

    def frame(self) -> None:
        if self.number("<Q") > len(self._data) - self.position:
            raise UnreadablePickle("is cut short or damaged")

    def find(self, module: Any, name: Any) -> None:
        known = self._table.get((module, name)) if type(module) is type(name) is str else None
        if known is None:
            raise UnreadablePickle(f"asks for {shown(module)}.{shown(name)}")
        self.push(known)

    def global_line(self) -> None:
        module, name = self._line(), self._line()
        self.find(module, name)

    def global_stack(self) -> None:
        module, name = self._last(2)
        self.find(module, name)

    def reduce(self) -> None:
        known, arguments = self._last(2)
        if not isinstance(known, Known) or known.call is None or type(arguments) is not tuple:
            raise UnreadablePickle(f"calls {self._named(known)}")
        self.push(known.call(arguments))

    def new(self, keywords: bool) -> None:
        parts = self._last(3 if keywords else 2)
        if not isinstance(parts[0], Known) or parts[0].new is None or any(parts[1:]):
            raise UnreadablePickle(f"makes {self._named(parts[0])}")
        self.push(parts[0].new())

    @staticmethod
    def _named(value: Any) -> str:
        return f"{value.name} in an unexpected way" if isinstance(value, Known) else shown(value)

    def build(self) -> None:
        state = self._pop()
        target = self._top(Buildable)
        target.build(state)

    def append(self, items: list[Any]) -> None:
        self._top(list).extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self._top(dict)
        if len(items) % 2 or not all(type(key) in (str, int) for key in items[::2]):
            raise UnreadablePickle("has a dictionary whose keys are not names")
        target.update(zip(items[::2], items[1::2], strict=True))

    def add_items(self, items: list[Any]) -> None:
        target = self._top(set)
        target.update(names(items))

    def persistent(self) -> None:
        if self._persistent is None:
            raise UnreadablePickle("refers to data outside itself")
        self.push(self._persistent(self._pop()))

    def put(self, index: int) -> None:
        self._memo[index] = self._top(object)

    def get(self, index: int) -> None:
        if index not in self._memo:
            raise UnreadablePickle("is a damaged pickle")
        self.push(self._memo[index])

    def tuple_of_marked(self) -> None:
        self.push(tuple(self._marked()))

    def memoize(self) -> None:
        self.put(len(self._memo))


def names(items: Any) -> list[str]:
    """``items`` if it is a list of texts; sets hold nothing else, so that hashing stays cheap."""
    if type(items) is not list or not all(type(item) is str for item in items):
        raise UnreadablePickle("has a set of something other than names")
    return items


def _one(reader: Interpreter) -> list[Any]:
    return [reader._pop()]


def _pair(reader: Interpreter) -> list[Any]:
    return list(reader._last(2))


_HANDLERS: dict[int, Callable[[Interpreter], None]] = {
    opcode[0]: handler
    for opcode, handler in (
        (pickle.PROTO, Interpreter.protocol),
        (pickle.FRAME, Interpreter.frame),
        (pickle.MARK, lambda r: r.push(_MARK)),
        (pickle.NONE, lambda r: r.push(None)),
        (pickle.NEWTRUE, lambda r: r.push(True)),
        (pickle.NEWFALSE, lambda r: r.push(False)),
        (pickle.BININT, lambda r: r.push(r.number("<i"))),
        (pickle.BININT1, lambda r: r.push(r.number("<B"))),
        (pickle.BININT2, lambda r: r.push(r.number("<H"))),
        (pickle.LONG1, lambda r: r.integer("<B")),
        (pickle.LONG4, lambda r: r.integer("<i")),
        (pickle.BINFLOAT, lambda r: r.push(r.number(">d"))),
        (pickle.SHORT_BINUNICODE, lambda r: r.text("<B")),
        (pickle.BINUNICODE, lambda r: r.text("<I")),
        (pickle.BINUNICODE8, lambda r: r.text("<Q")),
        (pickle.SHORT_BINBYTES, lambda r: r.raw("<B")),
        (pickle.BINBYTES, lambda r: r.raw("<I")),
        (pickle.BINBYTES8, lambda r: r.raw("<Q")),
        (pickle.EMPTY_TUPLE, lambda r: r.push(())),
        (pickle.TUPLE1, lambda r: r.push(r._last(1))),
        (pickle.TUPLE2, lambda r: r.push(r._last(2))),
        (pickle.TUPLE3, lambda r: r.push(r._last(3))),
        (pickle.TUPLE, Interpreter.tuple_of_marked),
        (pickle.EMPTY_LIST, lambda r: r.push([])),
        (pickle.APPEND, lambda r: r.append(_one(r))),
        (pickle.APPENDS, lambda r: r.append(r._marked())),
        (pickle.EMPTY_DICT, lambda r: r.push({})),
        (pickle.SETITEM, lambda r: r.set_items(_pair(r))),
        (pickle.SETITEMS, lambda r: r.set_items(r._marked())),
        (pickle.EMPTY_SET, lambda r: r.push(set())),
        (pickle.ADDITEMS, lambda r: r.add_items(r._marked())),
        (pickle.GLOBAL, Interpreter.global_line),
        (pickle.STACK_GLOBAL, Interpreter.global_stack),
        (pickle.REDUCE, Interpreter.reduce),
        (pickle.NEWOBJ, lambda r: r.new(keywords=False)),
        (pickle.NEWOBJ_EX, lambda r: r.new(keywords=True)),
        (pickle.BUILD, Interpreter.build),
        (pickle.BINPERSID, Interpreter.persistent),
        (pickle.BINPUT, lambda r: r.put(r.number("<B"))),
        (pickle.LONG_BINPUT, lambda r: r.put(r.number("<I"))),
        (pickle.MEMOIZE, Interpreter.memoize),
        (pickle.BINGET, lambda r: r.get(r.number("<B"))),
        (pickle.LONG_BINGET, lambda r: r.get(r.number("<I"))),
    )
}
