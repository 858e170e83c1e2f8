"""Jinja2, confined: sandboxed, strict about names, bounded in what it makes.

Jinja2's sandbox keeps templates from Python's inside but not from filling the memory or taking for ever: `'a' * 10**9`
and `center(10**8)` pass it. So filters and text methods are those listed here, what makes much of nothing (`range`,
`**`, a text times a number) and macros, imports and the like are refused, and the rest is bounded, see `limits`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from itertools import chain
from typing import Any, cast

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, Undefined, UndefinedError, nodes
from jinja2.filters import FILTERS
from jinja2.meta import find_undeclared_variables
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from batch_editor.manifest import limits
from batch_editor.manifest.odd_cells import Cells, OddCell, OddList, OddText, cells_among, cells_of, marked

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
# NameError is for 1e309, which Jinja2 writes into its code as `inf`, AssertionError for its `truncate(1)`.
_PYTHON = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, NameError, RuntimeError),
    *(TypeError, ValueError),
)


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
            self._render = _ENVIRONMENT.from_string(_bounded(tree)).root_render_func
        except TemplateSyntaxError as error:
            raise JinjaFault(f"is not a template: {error.message}") from error
        except (TemplateError, SyntaxError, *_PYTHON) as error:
            raise JinjaFault(f"is not a template: {_reason(error)}") from error

    def render(self, names: dict[str, object]) -> tuple[str, Cells]:
        """The text that it makes of the names, and the odd cells that come out in it.

        Raises:
            UndefinedName: it uses one that is not among them.
            JinjaFault: it goes beyond its bounds, or fails otherwise.
        """
        _ENVIRONMENT.begin()
        parts, size = [], 0
        try:
            # Not `generate`, which copies all names and all globals first, of which there are none.
            for part in self._render(Context(_ENVIRONMENT, names, None, {})):
                parts.append(part)
                size += len(part)
                if size > limits.MAX_OUTPUT:
                    raise JinjaFault(f"gives more than {limits.MAX_OUTPUT:,} characters")
        except UndefinedError as error:
            raise UndefinedName(str(error), tuple(_ENVIRONMENT.used)) from error
        except (TemplateError, *_PYTHON) as error:
            raise JinjaFault(f"fails: {_reason(error)}", tuple(_ENVIRONMENT.used)) from error
        return "".join(parts), tuple(_ENVIRONMENT.shown)


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja2's sandbox with bounds.

    `shown` (odd cells that came out) and `used` (those that something was made of) belong to the rendering that goes
    on: manifests are rendered one at a time.
    """

    intercepted_binops = frozenset(["+", "-", "*", "/", "//", "%"])
    intercepted_unops = frozenset(["+", "-"])

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True, finalize=self.put_out)
        self.begin()
        self._methods = frozenset(_METHODS.split())
        self.globals = {}
        self.filters = {name: self._bounded(name, FILTERS[name]) for name in _FILTERS.split()}
        self.filters |= {"default": FILTERS["default"], "d": FILTERS["default"]}
        self.filters |= {"replace": self.replaced, "join": self.joined, "format": self.formatted}

    def begin(self) -> None:
        """Begin a rendering."""
        self.shown: dict[OddCell, None] = {}
        self.used: dict[OddCell, None] = {}

    def put_out(self, value: object) -> object:
        """What `{{ … }}` puts into the text."""
        if type(value) is str:  # most are
            return value
        if cells := cells_of(value):
            self.shown.update(dict.fromkeys(cells))
        return _scalar(value)

    def looped(self, value: Any) -> Any:
        """What a loop goes over; compiled into each without an `else`. Over nothing it puts a blank cell out."""
        if isinstance(value, (OddText, OddList)) and not len(value):
            self.shown.update(dict.fromkeys(value.cells))
        return self.short(value)

    def short(self, value: Any) -> Any:
        """What a loop with an `else` goes over."""
        limits.check_turns(value)
        return value

    def listed(self, items: Any) -> Any:
        """A list, tuple or mapping that is written in a template; compiled around each."""
        limits.check_depth(items)
        return items

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

    def concatenated(self, *values: object) -> str:
        """The operator `~`; compiled into its place."""
        return self.joined(values)

    def joined(self, values: object, separator: object = "") -> str:
        """The filter `join`, which measures before it makes the text."""
        items, between = [str(_scalar(value)) for value in _flat(values)], str(_scalar(separator))
        limits.check_length(sum(map(len, items)) + len(between) * len(items))
        made: str = self.made_of(between.join(items), [*_flat(values), separator])
        return made

    def replaced(self, value: object, old: object, new: object, count: int = -1) -> str:
        """The filter and method `replace`, likewise."""
        text, sought, given = str(_scalar(value)), str(_scalar(old)), str(_scalar(new))
        found = text.count(sought)
        limits.check_length(len(text) + found * max(0, len(given) - len(sought)))
        made: str = self.made_of(text.replace(sought, given, count), [value, new] if found else [value])
        return made

    def formatted(self, form: str, *values: object) -> str:
        """The filter `format` and `%` of a text, without widths beyond 99."""
        if _WIDE.search(form):
            raise limits.BeyondLimit("a width beyond 99 in a text format")
        made: str = self.made_of(form % tuple(map(_scalar, values)), [form, *values])
        limits.check_length(len(made))
        return made

    def wrap_str_format(self, value: object) -> None:
        """No `str.format`: `is_safe_attribute` then refuses it."""

    def is_safe_attribute(self, obj: object, attr: str, value: object) -> bool:
        """Of a text, the methods listed above; of other things, what the sandbox says."""
        if isinstance(obj, str) and attr not in self._methods:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """A call; methods of a text are bounded."""
        for name in ("_loop_vars", "_block_vars"):  # for functions that are given the context: there are none
            kwargs.pop(name, None)
        owner = getattr(obj, "__self__", None)
        if owner is self:  # compiled into its place by `_Bounds`
            return obj(*args)
        if not isinstance(owner, str):
            return super().call(context, obj, *args, **kwargs)
        if obj.__name__ == "replace":
            return self.replaced(owner, *args, **kwargs)
        limits.check_widths(obj.__name__, args, kwargs)
        made = obj(*args, **kwargs)
        if isinstance(made, str):
            limits.check_length(len(made))
        return self.made_of(made, [owner, *args, *kwargs.values()])

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Two operands; refused where the result would be big."""
        if operator == "%" and isinstance(left, str):
            return self.formatted(left, *(right if isinstance(right, tuple) else (right,)))
        if operator == "*":
            limits.check_factors(left, right)
        elif isinstance(left, (list, tuple)):
            raise limits.BeyondLimit(f"{operator} of lists")
        made = super().call_binop(context, operator, left, right)
        if isinstance(made, str):
            limits.check_length(len(made))
        return self.made_of(made, [left, right])

    def call_unop(self, context: Context, operator: str, arg: Any) -> Any:
        """A sign."""
        return self.made_of(super().call_unop(context, operator, arg), [arg])

    def getitem(self, obj: Any, argument: Any) -> Any:
        """An item, which a list that was made of a blank cell may lack."""
        if cells := cells_of(obj):
            self.used.update(dict.fromkeys(cells))
        return super().getitem(obj, argument)

    def _bounded(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The filter with a bound of what comes out, and widths.

        It makes something of its arguments, of a list only if it's a sum: else it picks items, or puts them in order.
        """
        first = 1 if hasattr(function, "jinja_pass_arg") else 0

        @wraps(function)
        def bounded(*args: object, **kwargs: object) -> object:
            for value in args[first:]:
                if not isinstance(value, str):
                    _check_items(value)
            limits.check_widths(name, args[first + 1 :], kwargs)  # before them stands what is filtered: any number
            made = function(*args, **kwargs)
            if isinstance(made, str):
                limits.check_length(len(made))
            operands = chain.from_iterable(map(_flat, args[first:])) if name == "sum" else args[first:]
            return self.made_of(list(made) if isinstance(made, Iterator) else made, [*operands, *kwargs.values()])

        return bounded


class _Bounds(NodeTransformer):
    """Refuses what a template may not have, and puts bounds and the watch on odd cells where Jinja2 has no hook."""

    _loops = 0

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        if isinstance(node, _REFUSED_NODES) or (isinstance(node, nodes.For) and (node.test or node.recursive)):
            raise limits.BeyondLimit("it may use if, for and set, without conditions on a loop")
        visited: nodes.Node = super().generic_visit(node, *args, **kwargs)
        return visited

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802  # the visitor's naming
        """Count the loop, and what it lies in."""
        self._loops += 1
        if self._loops > limits.MAX_LOOPS:
            raise limits.BeyondLimit(f"it has a loop in a loop in a loop; at most {limits.MAX_LOOPS} deep is taken")
        self.generic_visit(node)
        self._loops -= 1
        node.iter = _call("short" if node.else_ else "looped", [cast("nodes.Expr", node.iter)], node)
        return node

    def visit_Pow(self, node: nodes.Pow) -> nodes.Node:  # noqa: N802
        raise limits.BeyondLimit("it may not use **: write the number out")

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802
        if isinstance(node.node, nodes.Name) and node.node.name == "range":
            raise limits.BeyondLimit("it may not use range(): loop over a list, or over what split() makes of a cell")
        return self.generic_visit(node)

    def visit_Tuple(self, node: nodes.Literal) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _call("listed", [node], node) if getattr(node, "ctx", "load") == "load" else node

    visit_List = visit_Dict = visit_Tuple  # noqa: N815

    def visit_And(self, node: nodes.And) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.left = _call("asked", [node.left], node)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _call("concatenated", node.nodes, node)


def names_to_be_given(text: str) -> set[str]:
    """The names that a source, which is a template, has not set itself."""
    return find_undeclared_variables(_ENVIRONMENT.parse(text))


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
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _check_items(value: object) -> None:
    for item in _flat(value):
        _scalar(item)


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


_ENVIRONMENT = _Environment()
