from __future__ import annotations

import time
import tracemalloc
from collections.abc import Mapping

import pytest

from batch_editor.manifest import templates
from batch_editor.manifest.faults import Refused
from batch_editor.manifest.rows import Columns, Row
from batch_editor.manifest.templates import compiled

COLUMNS = Columns(["Title", "Image Src", "sku", "SKU", "Größe", "2nd", "a b", "a-b", "row", "range"])
CELLS = ["Mug", "src", "low", "UP", "groß", "second", "one", "two", "mine", "column"]
NAMES = COLUMNS.namespace(CELLS)
ROW = Row("catalog.csv:2", 1, COLUMNS, CELLS)


def rendered(source: str, names: Mapping[str, object] = NAMES) -> str:
    return compiled(source).render(names)


def refusal(source: str, names: Mapping[str, object] = NAMES) -> str:
    with pytest.raises(Refused) as caught:
        compiled(source).render(names)
    return str(caught.value.with_subject("prompt"))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ Title }}, {{ title }}", "Mug, Mug"),
        ("{{ image_src }}, {{ row['Image Src'] }}", "src, src"),
        ("{{ sku }}, {{ SKU }}", "low, UP"),
        ("{{ größe }}, {{ row['2nd'] }}", "groß, second"),
        ("{{ row['a b'] }}{{ row['a-b'] }}{{ row['row'] }}", "onetwomine"),
        ("{{ title|upper ~ '-' ~ 7 }}", "MUG-7"),
        ("{{ title|replace('u', 'a') }}{{ title.replace('M', 'b') }}", "Magbug"),
        ("{{ '%03d' % 7 }} {{ '%.1f'|format(2.25) }} {{ '7'.zfill(3) }}", "007 2.2 007"),
        ("{{ missing|default('none') }}", "none"),
        ("{% for part in 'a,b'.split(',') %}{{ loop.index }}{{ part }}{% endfor %}", "1a2b"),
        ("{% set x = title %}{% if x == 'Mug' %}yes{% endif %}\n", "yes\n"),
        ("{{ ['a', 'b']|join('/') }} {{ [1, 2]|sum * 3 }}", "a/b 9"),
        ("{% for a, b in [('x', 1), ('y', 2)] %}{{ a }}{{ b }}{% endfor %}{{ {'Mug': 'Tasse'}[title] }}", "x1y2Tasse"),
        ("{% for a in 'ab' %}{% for b in [1, 2] %}{{ a }}{{ b }}{% else %}-{% endfor %}{% endfor %}", "a1a2b1b2"),
        ("{% for a in 'a b'.split() %}{{ a.upper() }}{{ a.replace('a', 'c') }}{% endfor %}", "AcBb"),
        ("{% if title in ('Mug', 'Cup') %}{{ '%-5s|' % title }}{{ title.center(99)|trim }}{% endif %}", "Mug  |Mug"),
        ("{{ '<b>' }}{{ 7 % 4 }}{{ '3'|int + 1 }}{{ range }}", "<b>34column"),
    ],
)
def test_a_template_sees_columns_and_common_filters(source: str, text: str) -> None:
    assert rendered(source) == text


@pytest.mark.parametrize(
    "source",
    [
        "{{ Title }}, {{ title }}: 100 % of {{ row['Image Src'] }}%s",
        "{{ sku }}{{ SKU }}{{ größe }}{{ row['2nd'] }}{{ row['row'] }}\n",
        "{# nothing #}{% raw %}{{ title }}{% endraw %}",
        "{{ title }}{{ title|upper }}",
        "{{ 'text' }}{{ 7 }}",
    ],
)
def test_filling_in_and_rendering_give_the_same(source: str) -> None:
    assert compiled(source).render_row(ROW) == rendered(source)


@pytest.mark.parametrize("source", ["{{ titel }}", "{{ row['Imge Src'] }}", "{{ row }}", "{{ self }}", "{{ a_b }}"])
def test_filling_in_refuses_what_rendering_refuses(source: str) -> None:
    with pytest.raises(Refused) as caught:
        compiled(source).render_row(ROW)
    assert str(caught.value.with_subject("prompt")) == refusal(source)


def test_a_template_serves_rows_of_other_columns() -> None:
    template = compiled("{{ title }} for {{ price }}")
    first, second = Columns(["title", "price"]), Columns(["price", "Title"])
    assert template.render_row(Row("a.csv:2", 1, first, ["Mug", "5"])) == "Mug for 5"
    assert template.render_row(Row("a.csv:3", 2, second, ["6", "Cup"])) == "Cup for 6"
    assert template.render_row(Row("a.csv:4", 3, first, ["Pot", "7"])) == "Pot for 7"


def test_a_long_cell_is_bounded_when_filled_in() -> None:
    row = Row("a.csv:2", 1, Columns(["title"]), ["x" * 60_000])
    with pytest.raises(Refused, match="gives more than 100,000 characters"):
        compiled("{{ title }}{{ title }}").render_row(row)


def test_a_name_that_two_columns_would_have_is_left_out() -> None:
    assert refusal("{{ a_b }}").startswith("template of prompt uses 'a_b', which is no column")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ titel }}", "uses 'titel', which is no column (did you mean title?)"),
        ("{{ row['Imge Src'] }}", "uses 'Imge Src', which is no column (did you mean Image Src?)"),
        ("{{ title", "is not a template: unexpected end of template, expected 'end of print statement'."),
        ("{{ title|uper }}", "is not a template: No filter named 'uper'."),
        ("{{ none }}", "fails: nothing (none) where text belongs"),
        ("{{ row }}", "fails: a dict where text belongs"),
        ("{{ 1 / 0 }}", "fails: division by zero"),
        ("{{ title ~ 1e309 }}", "fails: name 'inf' is not defined"),
        ("{{ title + 1 }}", 'fails: can only concatenate str (not "int") to str'),
        ("{{ title.nothing }}", "fails: 'str object' has no attribute 'nothing'"),
        ("{{ title|truncate(1) }}", "fails: expected length >= 3, got 1"),
        (
            "{{ range(3)|join }}",
            "is not a template: it may not use range(): loop over a list, or over what split() makes of a cell",
        ),
        ("{{ 2 ** 3 }}", "is not a template: it may not use **: write the number out"),
        ("{{ '-' * 3 }}", "fails: * of a text; it takes two numbers"),
        ("{{ 3 * title }}", "fails: * of a text; it takes two numbers"),
        ("{{ [1] * 3 }}", "fails: * of what is no number; it takes two numbers"),
        ("{{ 2000000000 * 2 }}", "fails: * of a number beyond 1,000,000,000"),
        ("{{ [1] + [2] }}", "fails: + of lists"),
        ("{{ title|center(100) }}", "fails: center(100); at most 99 is taken"),
        ("{{ title.ljust(100) }}", "fails: ljust(100); at most 99 is taken"),
        ("{{ title.zfill(100) }}", "fails: zfill(100); at most 99 is taken"),
        ("{{ 5|round(-100) }}", "fails: round(-100); at most 99 is taken"),
        ("{{ '%100d' % 1 }}", "fails: a width beyond 99 in a text format"),
        ("{{ [[[1]]] }}", "fails: lists in lists in lists; at most 2 deep is taken"),
        (
            "{% for a in 'ab' %}{% for b in 'ab' %}{% for c in 'ab' %}{% endfor %}{% endfor %}{% endfor %}",
            "is not a template: it has a loop in a loop in a loop; at most 2 deep is taken",
        ),
    ],
)
def test_a_template_that_fails_gives_its_reason(source: str, message: str) -> None:
    assert refusal(source) == f"template of prompt {message}"


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''['__class__'] }}",
        "{{ title|attr('__class__') }}",
        "{{ self.__init__.__globals__ }}",
        "{{ range.__self__ }}",
        "{{ '{0.__class__}'.format(title) }}",
        "{{ '{x}'.format_map(row) }}",
        "{{ row.update({}) }}",
        "{{ row.__class__ }}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% extends 'x' %}",
        "{{ lipsum() }}{{ cycler() }}{{ joiner() }}{{ namespace() }}",
    ],
)
@pytest.mark.fault(101)
def test_nothing_of_python_can_be_reached(source: str) -> None:
    refusal(source)


BIG = "x" * 50_000
BOMBS = [
    "{{ 'a' * 10 ** 9 }}",
    "{{ 2 ** 1000000000 }}",
    "{{ 10 ** 9 * 10 ** 9 * 10 ** 9 }}",
    "{{ [1] * 10 ** 9 }}",
    "{{ 'a'|center(1000000000) }}",
    "{{ 'a'.center(1000000000) }}",
    "{{ 'a'.ljust(1000000000) }}",
    "{{ 'a'.zfill(1000000000) }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '%*d' % (1000000000, 1) }}",
    "{{ '%1000000000d'|format(1) }}",
    "{{ '{:>1000000000}'.format(1) }}",
    "{{ range(10 ** 12)|list }}",
    "{{ title.replace('', big).replace('x', big) }}",
    "{{ big|replace('x', big) }}",
    "{{ big|list|join(big) }}",
    "{{ big.join(big) }}",
    "{{ big ~ big ~ big }}",
    "{% for a in range(1000) %}" * 3 + "{% endfor %}" * 3,
    "{% for a in title.split() %}" * 3 + "{% endfor %}" * 3,
    "{% for a in big %}{% for b in big %}{% endfor %}{% endfor %}",
    "{% for a in big %}{% else %}{% endfor %}",
    "{{ 10|round(-1000000000) }}",
    "{% set a = 9 %}" + "{% set a = a * a %}" * 40 + "{{ a }}",
    "{% set a = (1,) %}{% set b = (1,) %}" + "{% set a = (a, a) %}{% set b = (b, b) %}" * 40 + "{{ a == b }}",
    "{% set a = 1 %}{% set b = 1 %}" + "{% set a = {1: a, 2: a} %}{% set b = {1: b, 2: b} %}" * 40 + "{{ a == b }}",
    "{% set a = [1] %}" + "{% set a = a + a %}" * 40 + "{{ a|length }}",
    "{{ (big ~ big)|upper ~ big }}",
    "{% for a in big %}{% for b in big %}{{ a }}{% endfor %}{% endfor %}",
    "{% for a in big recursive %}{{ loop(big) }}{% endfor %}",
    "{% for a in big if a == 'y' %}{% endfor %}",
    "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
    "{% set a = big %}" + "{% set a = a ~ a %}" * 40 + "{{ a }}",
    "{% set a = big %}" + "{% set a = a + a %}" * 40 + "{{ a }}",
    "{% set a = (1,) %}" + "{% set a = (a, a) %}" * 40 + "{{ a|upper }}",
    "{% set a %}" + "{{ big }}" * 1000 + "{% endset %}",
    "{{ " + "(" * 2000 + ")" * 2000 + " }}",
]  # fmt: skip


@pytest.mark.parametrize("source", BOMBS, ids=range(len(BOMBS)))
@pytest.mark.fault(101)
def test_no_template_takes_long_or_fills_the_memory(source: str) -> None:
    names: dict[str, object] = {"title": "Mug", "big": BIG}
    tracemalloc.start()
    start = time.process_time()
    refusal(source, names)
    elapsed_s = time.process_time() - start
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert elapsed_s < 2
    assert peak < 32 * 2**20


def test_a_text_that_is_made_on_the_way_is_bounded() -> None:
    said = "template of prompt fails: it makes a text of more than 100,000 characters"
    for made in ("big ~ big ~ 1", "big + big + 1|string", "[big, big]|join('-')", "big|replace('x', 'xxx')"):
        assert refusal(f"{{{{ ({made})|length }}}}", {"big": BIG}) == said


def test_the_most_turns_that_a_template_can_take_are_quick() -> None:
    names: dict[str, object] = {"words": " ".join(["a"] * 1000)}
    loops = (
        "{% for a in words.split() %}{% for b in words.split() %}{% if a != b %}x{% endif %}{% endfor %}{% endfor %}"
    )
    began = time.process_time()
    assert rendered(loops, names) == ""
    assert time.process_time() - began < 5
    assert refusal("{% for a in words %}{% endfor %}", names) == (
        "template of prompt fails: a loop over 1,999 items; at most 1,000 are taken"
    )


def test_what_a_template_gives_is_bounded() -> None:
    assert refusal("{{ big }}{{ big }}x", {"big": BIG}) == "template of prompt gives more than 100,000 characters"


def test_a_template_is_compiled_once() -> None:
    templates.compiled.cache_clear()
    for _ in range(3):
        rendered("{{ title }}!")
    assert templates.compiled.cache_info().misses == 1
