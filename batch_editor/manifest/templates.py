"""Jinja2 templates of manifests: sandboxed, strict about names, bounded in time and size.

Jinja2's sandbox keeps templates from Python's inside but not from filling the memory: `'a' * 10**9` and
`center(10**8)` pass it. So every operation that makes text bigger draws on an allowance of the rendering, filters
and text methods are those listed here, and macros, imports and the like are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, wraps
from itertools import chain
from operator import itemgetter
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, Undefined, UndefinedError, nodes
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from batch_editor.errors import did_you_mean
from batch_editor.manifest.faults import Refused
from batch_editor.manifest.rows import Columns, Row

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


class TemplateFault(Refused):
    """A template can't be compiled or rendered; the message goes on from `template of prompt`."""

    def of(self, name: str) -> Refused:
        """The same with its subject."""
        return Refused(f"template of {name} {self}")


class Template:
    """A compiled template. `names` has those that it uses, and the columns that it takes from `row`."""

    def __init__(self, source: str) -> None:
        self._columns: Columns | None = None
        self._pick: Callable[[Sequence[str]], object] | None = None
        try:
            tree = _ENVIRONMENT.parse(source)
            self.names = frozenset(_names(tree))
            self._form, self._cells = _form(tree)
            self._template = _ENVIRONMENT.from_string(_bounded(tree))
        except TemplateSyntaxError as error:
            raise TemplateFault(f"is not a template: {error.message}") from error
        except (TemplateError, SyntaxError, *_PYTHON) as error:
            raise TemplateFault(f"is not a template: {_reason(error)}") from error

    def of(self, row: Row) -> str:
        """The text that the template makes of a row. Most only put cells between texts, which Python does at once.

        Raises:
            TemplateFault: see `render`.
        """
        if row.columns is not self._columns:
            self._columns = row.columns
            places = None if self._form is None else row.columns.places(self._cells)
            self._pick = itemgetter(*places) if places else None
        if self._pick is not None and self._form is not None:
            text = self._form % self._pick(row.cells)
            if len(text) <= MAX_OUTPUT:
                return text
        return self.render(row.names)

    def render(self, names: Mapping[str, object]) -> str:
        """The text that the template makes of the names.

        Raises:
            TemplateFault: it uses an unknown name, goes beyond its bounds, or fails otherwise.
        """
        _ENVIRONMENT.left = _ALLOWANCE
        parts, size = [], 0
        try:
            for part in self._template.generate(names):
                parts.append(part)
                size += len(part)
                if size > MAX_OUTPUT:
                    raise TemplateFault(f"gives more than {MAX_OUTPUT:,} characters")
        except TemplateFault:
            raise
        except UndefinedError as error:
            raise TemplateFault(_unknown(str(error), names)) from error
        except (TemplateError, *_PYTHON) as error:
            raise TemplateFault(f"fails: {_reason(error)}") from error
        return "".join(parts)


def is_template(text: str) -> bool:
    """Whether the text is rendered; any other stands for itself.

    >>> is_template("Show {{ title }}"), is_template("100% {cotton}")
    (True, False)
    """
    return "{" in text and ("{{" in text or "{%" in text)


@lru_cache(maxsize=10_000)
def compiled(source: str) -> Template:
    """The template of this source, compiled once.

    Raises:
        TemplateFault: it isn't one.
    """
    return Template(source)


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja2's sandbox with an allowance.

    `left` belongs to the rendering that goes on: manifests are rendered one at a time.
    """

    intercepted_binops = frozenset(["+", "*", "**", "%"])

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True, finalize=_scalar)
        self.left = _ALLOWANCE
        self._methods = frozenset(_METHODS.split())
        self.globals = {"range": _range}
        self.filters = {name: self._metered(FILTERS[name]) for name in _FILTERS.split()}
        self.filters |= {"default": FILTERS["default"], "d": FILTERS["default"]}
        self.filters |= {"replace": self.replaced, "join": self.joined, "format": self.formatted}

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
        return str(separator).join(items)

    def replaced(self, value: object, old: object, new: object, count: int = -1) -> str:
        """The filter and method `replace`, likewise."""
        text, old, new = str(_scalar(value)), str(_scalar(old)), str(_scalar(new))
        self.spend(len(text) + (text.count(old) * len(new)))
        return text.replace(old, new, count)

    def formatted(self, form: str, *values: object) -> str:
        """The filter `format` and `%` of a text, without widths beyond 99."""
        if _WIDE.search(form):
            raise SecurityError("a width in a text format")
        made = form % tuple(map(_scalar, values))
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
            return super().call(context, obj, *args, **kwargs)
        if obj.__name__ == "replace":
            return self.replaced(owner, *args, **kwargs)
        self.spend(len(owner))
        return self._metered(obj, method=True)(*args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """`+`, `*`, `**` and `%`, refused where the result would be big."""
        if operator == "%" and isinstance(left, str):
            return self.formatted(left, *(right if isinstance(right, tuple) else (right,)))
        if operator == "*" and isinstance(left, str) and isinstance(right, int):
            self.spend(len(left) * max(right, 0))
        elif operator in ("*", "**"):
            if not (_is_moderate(left) and _is_moderate(right, 16 if operator == "**" else _MAX_NUMBER)):
                raise SecurityError(f"{operator} of something else than numbers, or of too big ones")
        elif isinstance(left, (str, list, tuple)):
            self.spend(len(left) + (len(right) if isinstance(right, (str, list, tuple)) else 0))
        return super().call_binop(context, operator, left, right)

    def _metered(self, function: Callable[..., Any], *, method: bool = False) -> Callable[..., Any]:
        """The filter or method at the cost of what goes in and comes out, for arguments of moderate size."""
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
            return list(made) if isinstance(made, Iterator) else made

        return metered


class _Bounds(NodeTransformer):
    """Puts the meters where Jinja2 has no hook: into loops and `~`."""

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        if isinstance(node, _REFUSED_NODES) or (isinstance(node, nodes.For) and (node.test or node.recursive)):
            raise SecurityError("it may use if, for and set, without conditions on a loop")
        visited: nodes.Node = super().generic_visit(node, *args, **kwargs)
        return visited

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802  # the visitor's naming
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_call("turn", [], node), lineno=node.lineno))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _call("concatenated", node.nodes, node)


def _form(tree: nodes.Template) -> tuple[str | None, list[tuple[str, bool]]]:
    """A template of names and texts alone, as a `%` form and the cells that go into it; None if it has more.

    A cell is known by its name in templates, or (True) by its column's own as `row["Image Src"]`.
    """
    form, cells = "", []
    for node in chain.from_iterable(each.nodes if isinstance(each, nodes.Output) else [each] for each in tree.body):
        match node:
            case nodes.TemplateData(data=str(text)):
                form += text.replace("%", "%%")
                continue
            case nodes.Name(name=str(name)) if name not in ("row", "self"):  # which Jinja2 has a meaning for
                cells.append((name, False))
            case nodes.Getitem(node=nodes.Name(name="row"), arg=nodes.Const(value=str(name))):
                cells.append((name, True))
            case _:
                return None, []
        form += "%s"
    return form, cells


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


def _unknown(message: str, names: Mapping[str, object]) -> str:
    """Jinja2's words for an undefined name, in a manifest's terms."""
    if match := re.fullmatch(r"'(.*)' is undefined", message):
        known = [name for name in names if name != "row"]
    elif match := re.fullmatch(r"'dict object' has no attribute '(.*)'", message):
        row = names.get("row")
        known = list(row) if isinstance(row, Mapping) else []
    else:
        return f"fails: {message}"
    return f"uses {match[1]!r}, which is no column{did_you_mean(match[1], known)}"


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


_ENVIRONMENT = _Environment()
