"""Jinja2, confined: sandboxed, strict about names, bounded in time and size.

Jinja2's sandbox keeps templates from Python's inside but not from filling the memory: `'a' * 10**9` and
`center(10**8)` pass it. So every operation that makes text bigger draws on an allowance of the rendering, filters
and text methods are those listed here, and macros, imports and the like are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from itertools import chain
from typing import Any, cast

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, Undefined, UndefinedError, nodes
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from batch_editor.manifest.odd_cells import Cells, OddCell, OddList, OddText, cells_among, cells_of, marked

MAX_OUTPUT = 100_000
# Characters that one rendering may produce and look through on the way; a turn of a loop costs a hundred.
# 10,000 turns take 10 ms.
_ALLOWANCE = 1_000_000
_TURN = 100
_MAX_RANGE = 1000
_MAX_NUMBER = 10**9

_FILTERS = (
    "abs capitalize center count first float int last length list lower max min reverse round sort string striptags"
    " sum title trim truncate unique upper urlencode wordcount"
)
_METHODS = (
    "capitalize casefold center count endswith find index isalnum isalpha isdecimal isdigit islower isnumeric isspace"
    " istitle isupper ljust lower lstrip partition removeprefix removesuffix replace rfind rindex rjust rpartition"
    " rsplit rstrip split splitlines startswith strip swapcase title upper zfill"
)
_REFUSED_NODES = (
    *(nodes.AssignBlock, nodes.Block, nodes.CallBlock, nodes.Extends, nodes.FilterBlock, nodes.FromImport),
    *(nodes.Import, nodes.Include, nodes.Macro, nodes.NSRef, nodes.With),
)
# `%1000000000d`, `%*d`, and `%(name)d`, whose key could hide a width.
_WIDE = re.compile(r"%[^%a-zA-Z(]*(?:\*|\d{3})|%\(")
# What rendering raises on top of Jinja2's own errors: whatever Python's operators and conversions do.
# NameError is for 1e309, which Jinja2 writes into its code as `inf`.
_PYTHON = (ArithmeticError, AttributeError, LookupError, MemoryError, NameError, RuntimeError, TypeError, ValueError)


class JinjaFault(Exception):
    """A source can't be compiled or rendered; the message continues `template of prompt`.

    `cells` are odd ones that something had been made of when rendering failed, which may be why.
    """

    def __init__(self, message: str, cells: Cells = ()) -> None:
        super().__init__(message)
        self.cells = cells


class UndefinedName(JinjaFault):
    """A name that is not defined; the message is Jinja2's own."""


class Source:
    """A compiled source. `names` has those that it uses, and the columns that it takes from `row`.

    Raises:
        JinjaFault: it isn't a template.
    """

    def __init__(self, text: str) -> None:
        try:
            tree = _ENVIRONMENT.parse(text)
            self.names = frozenset(_names(tree))
            self._template = _ENVIRONMENT.from_string(_bounded(tree))
        except TemplateSyntaxError as error:
            raise JinjaFault(f"is not a template: {error.message}") from error
        except (TemplateError, SyntaxError, *_PYTHON) as error:
            raise JinjaFault(f"is not a template: {_reason(error)}") from error

    def render(self, names: Mapping[str, object]) -> tuple[str, Cells]:
        """The text that it makes of the names, and the odd cells that come out in it.

        Raises:
            UndefinedName: it uses one that is not among them.
            JinjaFault: it goes beyond its bounds, or fails otherwise.
        """
        _ENVIRONMENT.begin()
        parts, size = [], 0
        try:
            for part in self._template.generate(names):
                parts.append(part)
                size += len(part)
                if size > MAX_OUTPUT:
                    raise JinjaFault(f"gives more than {MAX_OUTPUT:,} characters")
        except UndefinedError as error:
            raise UndefinedName(str(error), tuple(_ENVIRONMENT.used)) from error
        except (TemplateError, *_PYTHON) as error:
            raise JinjaFault(f"fails: {_reason(error)}", tuple(_ENVIRONMENT.used)) from error
        return "".join(parts), tuple(_ENVIRONMENT.shown)


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja2's sandbox with an allowance.

    `left`, `shown` (odd cells that came out) and `used` (those that something was made of) belong to the rendering that
    goes on: manifests are rendered one at a time.
    """

    intercepted_binops = frozenset(["+", "-", "*", "/", "//", "**", "%"])
    intercepted_unops = frozenset(["+", "-"])

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True, finalize=self.put_out)
        self.begin()
        self._methods = frozenset(_METHODS.split())
        self.globals = {"range": _range}
        self.filters = {name: self._metered(FILTERS[name], is_sum=name == "sum") for name in _FILTERS.split()}
        self.filters |= {"default": FILTERS["default"], "d": FILTERS["default"]}
        self.filters |= {"replace": self.replaced, "join": self.joined, "format": self.formatted}

    def begin(self) -> None:
        """Begin a rendering."""
        self.left = _ALLOWANCE
        self.shown: dict[OddCell, None] = {}
        self.used: dict[OddCell, None] = {}

    def put_out(self, value: object) -> object:
        """What `{{ … }}` puts into the text."""
        if cells := cells_of(value):
            self.shown.update(dict.fromkeys(cells))
        return _scalar(value)

    def looped(self, value: object) -> object:
        """What a loop goes over; compiled into each without an `else`. Over nothing it puts a blank cell out."""
        if isinstance(value, (OddText, OddList)) and not len(value):
            self.shown.update(dict.fromkeys(value.cells))
        return value

    def asked(self, value: object) -> object:
        """The left side of `and`, compiled into its place: it comes out only where it is false, and says nothing."""
        return "" if isinstance(value, OddText) and not value else value

    def made_of(self, made: Any, operands: Iterable[object]) -> Any:
        """What an operation made of its operands, which remembers their odd cells."""
        cells = cells_among(operands)
        if not cells:
            return made
        self.used.update(dict.fromkeys(cells))
        return marked(made, cells)

    def spend(self, amount: int) -> None:
        """Draw on the allowance."""
        self.left -= amount
        if self.left < 0:
            raise SecurityError("it takes too long or makes too much text")

    def turn(self) -> None:
        """A turn of a loop; compiled into each."""
        self.spend(_TURN)

    def concatenated(self, *values: object) -> str:
        """The operator `~`; compiled into its place."""
        return self.joined(values)

    def joined(self, values: object, separator: object = "") -> str:
        """The filter `join`, which counts before it makes the text."""
        items = [str(_scalar(value)) for value in _flat(values)]
        self.spend(sum(map(len, items)) + len(str(_scalar(separator))) * len(items))
        made: str = self.made_of(str(separator).join(items), [*_flat(values), separator])
        return made

    def replaced(self, value: object, old: object, new: object, count: int = -1) -> str:
        """The filter and method `replace`, likewise."""
        text, sought, given = str(_scalar(value)), str(_scalar(old)), str(_scalar(new))
        found = text.count(sought)
        self.spend(len(text) + (found * len(given)))
        made: str = self.made_of(text.replace(sought, given, count), [value, new] if found else [value])
        return made

    def formatted(self, form: str, *values: object) -> str:
        """The filter `format` and `%` of a text, without widths beyond 99."""
        if _WIDE.search(form):
            raise SecurityError("a width in a text format")
        made: str = self.made_of(form % tuple(map(_scalar, values)), [form, *values])
        self.spend(len(made))
        return made

    def wrap_str_format(self, value: object) -> None:
        """No `str.format`: `is_safe_attribute` then refuses it."""

    def is_safe_attribute(self, obj: object, attr: str, value: object) -> bool:
        """Of a text, the methods listed above; of other things, what the sandbox says."""
        if isinstance(obj, str) and attr not in self._methods:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """A call; methods of a text are metered."""
        owner = getattr(obj, "__self__", None)
        if not isinstance(owner, str):
            made = super().call(context, obj, *args, **kwargs)
            return self.made_of(made, args) if isinstance(made, range) else made
        if obj.__name__ == "replace":
            return self.replaced(owner, *args, **kwargs)
        self.spend(len(owner))
        return self.made_of(self._metered(obj, method=True)(*args, **kwargs), [owner])

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Two operands; refused where the result would be big."""
        if operator == "%" and isinstance(left, str):
            return self.formatted(left, *(right if isinstance(right, tuple) else (right,)))
        if operator == "*" and isinstance(left, str) and isinstance(right, int):
            self.spend(len(left) * max(right, 0))
        elif operator in ("*", "**"):
            if not (_is_moderate(left) and _is_moderate(right, 16 if operator == "**" else _MAX_NUMBER)):
                raise SecurityError(f"{operator} of something else than numbers, or of too big ones")
        elif isinstance(left, (str, list, tuple)):
            self.spend(len(left) + (len(right) if isinstance(right, (str, list, tuple)) else 0))
        return self.made_of(super().call_binop(context, operator, left, right), [left, right])

    def call_unop(self, context: Context, operator: str, arg: Any) -> Any:
        """A sign."""
        return self.made_of(super().call_unop(context, operator, arg), [arg])

    def getitem(self, obj: Any, argument: Any) -> Any:
        """An item, which a list that was made of a blank cell may lack."""
        if cells := cells_of(obj):
            self.used.update(dict.fromkeys(cells))
        return super().getitem(obj, argument)

    def _metered(
        self, function: Callable[..., Any], *, method: bool = False, is_sum: bool = False
    ) -> Callable[..., Any]:
        """The filter or method at the cost of what goes in and comes out, for arguments of moderate size.

        It makes something of its arguments, of a list only if it's a sum: else it picks items, or puts them in order.
        """
        first = 1 if hasattr(function, "jinja_pass_arg") else 0
        options = 0 if method else first + 1  # before them stands what is filtered, which may be any number

        @wraps(function)
        def metered(*args: object, **kwargs: object) -> object:
            for value in chain.from_iterable(map(_flat, args[first:])):
                self.spend(len(str(_scalar(value))))
            for value in (*args[options:], *kwargs.values()):
                if isinstance(value, int) and abs(value) > MAX_OUTPUT:
                    raise SecurityError(f"a number beyond {MAX_OUTPUT:,}")
            made = function(*args, **kwargs)
            if isinstance(made, str):
                self.spend(len(made))
            operands = chain.from_iterable(map(_flat, args[first:])) if is_sum else args[first:]
            return self.made_of(list(made) if isinstance(made, Iterator) else made, [*operands, *kwargs.values()])

        return metered


class _Bounds(NodeTransformer):
    """Puts the meters, and the watch on odd cells, where Jinja2 has no hook: into loops, `~` and `and`."""

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        if isinstance(node, _REFUSED_NODES) or (isinstance(node, nodes.For) and (node.test or node.recursive)):
            raise SecurityError("it may use if, for and set, without conditions on a loop")
        visited: nodes.Node = super().generic_visit(node, *args, **kwargs)
        return visited

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802  # the visitor's naming
        self.generic_visit(node)
        if not node.else_:
            node.iter = _call("looped", [cast("nodes.Expr", node.iter)], node)
        node.body.insert(0, nodes.ExprStmt(_call("turn", [], node), lineno=node.lineno))
        return node

    def visit_And(self, node: nodes.And) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.left = _call("asked", [node.left], node)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _call("concatenated", node.nodes, node)


def _names(tree: nodes.Template) -> Iterator[str]:
    yield from (node.name for node in tree.find_all(nodes.Name))
    yield from (node.attr for node in tree.find_all(nodes.Getattr))
    yield from (node.arg.value for node in tree.find_all(nodes.Getitem) if isinstance(node.arg, nodes.Const))


def _bounded(tree: nodes.Template) -> nodes.Template:
    _Bounds().visit(tree)
    return tree.set_environment(_ENVIRONMENT)  # type: ignore[return-value]  # it returns itself


def _call(method: str, args: list[nodes.Expr], at: nodes.Node) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute(method), args, [], None, None, lineno=at.lineno)


def _scalar(value: object) -> object:
    """The value if it can stand in a text; a list's `[...]` in a prompt would be a mistake."""
    if isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Undefined):
        str(value)  # raises, with its name
    raise TypeError(f"{'nothing (none)' if value is None else f'a {type(value).__name__}'} where text belongs")


def _flat(value: object) -> list[object]:
    if isinstance(value, (list, tuple, range)):
        return list(value)
    return [value]


def _is_moderate(value: object, limit: int = _MAX_NUMBER) -> bool:
    return isinstance(value, (int, float)) and abs(value) <= limit


def _range(*args: int) -> range:
    numbers = range(*args)
    if len(numbers) > _MAX_RANGE:
        raise SecurityError(f"a range of more than {_MAX_RANGE:,}")
    return numbers


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


_ENVIRONMENT = _Environment()
