"""What the rows of a source are edited as: their pictures, ids and titles, and what of it was found."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from batch_editor.endpoints import Endpoint
from batch_editor.errors import UsageError
from batch_editor.files import find_file
from batch_editor.init.columns import Guess, fits, guess_columns, links_and_files, may_be_id
from batch_editor.init.draft import expression_of, jinja_text
from batch_editor.init.source import Source, relative
from batch_editor.manifest.link_cells import STARTS_LINK
from batch_editor.manifest.odd_cells import oddity_of
from batch_editor.manifest.table import columns_said
from batch_editor.shops import Export, Seen
from batch_editor.text import escape_bytes, many, quoted

# By so many rows it shows what the columns are.
_SAMPLE = 10_000
# Folders beside a table that are looked in for its pictures.
_FOLDERS_MOST = 200
_AMOUNT = re.compile(r"[\d\W]+")  # a price makes no good example
_WORD = re.compile(r"[^\W\d_]{3,}")
_PICTURE = "picture"  # the matrix over numbered columns


@dataclass(slots=True)
class Subject:
    """What a job of the source is about. `link`, `title` and `example` are expressions of a template.

    images: columns of the links; more than one are the values of `matrix`. item: the template of a picture.
    """

    said: str
    columns: tuple[str, ...]
    link: str
    item: str
    images: tuple[str, ...]
    example: str
    id: str | None = None
    output: str | None = None
    title: str | None = None
    is_title_blank: bool = False
    has_blank_links: bool = False
    parameters: tuple[str, ...] = ()
    matrix: str = ""
    notes: list[str] = field(default_factory=list)


def subject_of(source: Source, endpoint: Endpoint, folder: Path) -> Subject:
    """What a manifest in that folder makes of the source.

    Raises:
        UsageError: there are no pictures in it, or it can't be read.
    """
    if source.has_pictures:
        return _pictures(source, folder)
    if source.format is not None:
        return _shop(source, folder)
    return _table(source, endpoint, folder)


def _pictures(source: Source, folder: Path) -> Subject:
    """A job for each picture, called by its name where no other is called so, else by its path."""
    base = f"{escape_bytes(relative(source.folder, folder))}/".removeprefix("./")
    stems, paths = Seen(), Seen()
    unique_stem = unique_path = True
    count = 0
    for _, cells, _ in source.rows():
        count += 1
        path, _, stem, _ = cells
        unique_stem = stems.add(stem.strip()) and unique_stem
        unique_path = paths.add(path.rpartition(".")[0].strip()) and unique_path
    name = f"path.removeprefix({jinja_text(base)})" if base else "path"
    name = f"{{{{ {name}.rpartition('.')[0] }}}}" if unique_path else f"{{{{ {name} }}}}"
    place = escape_bytes(f"{source.folder} and the folders below" if source.is_deep else source.path)
    subject = Subject(
        f"{many(count, 'picture')} in {place}",
        source.columns,
        link="path",
        item="{{ path }}",
        images=("path",),
        example="stem != 'cover'",
    )
    subject.id = "{{ stem }}" if unique_stem else name
    subject.output = None if unique_stem else name
    return subject


def _shop(source: Source, folder: Path) -> Subject:
    """A job for each picture of the shop's products."""
    assert source.format is not None
    export = Export(source.format, source.columns)
    columns = export.columns
    handle, title, image = map(columns.index, ("handle", "title", "image"))
    has_blank_handle, titles, blank_titles = False, 0, 0
    files: list[str] = []
    sample: list[Sequence[str]] = []
    has_links = False
    for picture in export.pictures((line, cells) for line, cells, problem in source.rows() if problem is None):
        cells = picture.cells
        has_blank_handle = has_blank_handle or not cells[handle]
        titles += oddity_of(cells[title]) is None
        blank_titles += oddity_of(cells[title]) is not None
        is_link = STARTS_LINK.match(cells[image]) is not None
        has_links = has_links or is_link
        if len(sample) < _SAMPLE:
            sample.append(cells)
            files += [] if is_link else [cells[image]]
    if not export.tally.rows and (fault := source.first_fault()):
        raise UsageError(fault)
    if not export.tally.pictures:
        raise UsageError(f"{source.path}: {export.in_words()}; there is nothing to edit")
    place = _place_of(files, source, folder)
    subject = Subject(
        export.in_words(),
        columns,
        link="image",
        item=_item("image", place, has_links=has_links),
        images=("image",),
        example="position == '1'",
        title="title" if titles else None,
        is_title_blank=blank_titles > 0,
    )
    if not has_blank_handle:
        subject.output = "{{ handle }}/{{ position }}"
    if not titles:
        subject.notes.append("No product has a title, so that the prompt names none.")
    return subject


def _table(source: Source, endpoint: Endpoint, folder: Path) -> Subject:
    """A job for each row that has a picture, or for each picture of numbered columns."""
    columns = source.columns
    sample = [cells for _, cells, problem in islice(source.rows(), _SAMPLE) if problem is None]
    own = [
        name
        for index, name in enumerate(columns)
        if name in endpoint.parameters
        if name != endpoint.images and fits(endpoint.parameters[name], [cells[index] for cells in sample])
    ]
    guess = guess_columns(columns, sample, images=endpoint.images, parameters=own)
    if not sample and (fault := source.first_fault()):
        raise UsageError(fault)
    if not guess.pictures:
        raise UsageError(f"{source.path}: {_why_none(guess, columns, sample)}")
    facts = _Facts(columns, guess)
    for _, cells, problem in source.rows():
        if problem is None:
            facts.add(cells)
    is_several = len(guess.pictures) > 1
    matrix = _free(_PICTURE, columns)
    link = f"row[{matrix}]" if is_several else expression_of(guess.pictures[0], columns)
    place = _place_of(guess.files, source, folder)
    takes_one = endpoint.images is not None and endpoint.parameters[endpoint.images].type == "link"
    item = _item(link, place, has_links=facts.has_links, takes_first=takes_one and facts.has_several)
    subject = Subject(
        f"Table, {many(facts.rows, 'row')}: {facts.with_picture:,} with a picture",
        columns,
        link,
        item,
        guess.pictures,
        example=_example(columns, sample, guess, own),
        has_blank_links=facts.has_blank_links,
        parameters=tuple(own),
        matrix=matrix,
    )
    if facts.ids:
        name = expression_of(facts.ids[0], columns)
        subject.id = f"{{{{ {name} }}}}-{{{{ {matrix} }}}}" if is_several else f"{{{{ {name} }}}}"
    if facts.titles:
        subject.title = expression_of(facts.titles[0], columns)
        subject.is_title_blank = facts.blank[facts.titles[0]] > 0
    subject.notes += _notes(source, guess, facts, has_prompt=endpoint.prompt in own)
    return subject


def _notes(source: Source, guess: Guess, facts: _Facts, *, has_prompt: bool) -> Iterator[str]:
    if source.resembles:
        yield f"Read as it stands; {source.resembles}."
    if not guess.is_sure:
        yield f"The links in {guess.pictures[0]} may be no pictures': plan --check-inputs looks at each."
    if guess.others:
        yield f"More pictures: {', '.join(guess.others)}. Only those of {', '.join(guess.pictures)} are edited."
    if facts.has_several:
        yield "Where a cell has several links they go into one request, as several pictures to make one of."
    if not facts.ids:
        yield f"No column names each row by something of its own{facts.why_no_id}, so that jobs are numbered."
    if not facts.titles and not has_prompt:
        yield "No column with titles was found, so that the prompt names none."


class _Facts:
    """What all rows of a table show of the columns that were guessed; of those without a picture nothing counts."""

    def __init__(self, columns: Sequence[str], guess: Guess) -> None:
        place = {name: index for index, name in enumerate(columns)}
        self.rows = self.with_picture = 0
        self.has_links = self.has_several = self.has_blank_links = False
        self.blank: Counter[str] = Counter()
        self._images = [place[name] for name in guess.pictures]
        self._ids = guess.ids
        self._seen = {name: Seen() for name in guess.ids}
        self._no_ids: dict[str, str] = {}
        self._titles = guess.titles
        self._place = place

    @property
    def ids(self) -> list[str]:
        """The columns that name every row, each another."""
        return list(self._seen)

    @property
    def why_no_id(self) -> str:
        """Why the likeliest column for ids isn't taken, in brackets; nothing where there is none."""
        return next((f" ({self._no_ids[name]})" for name in self._ids if name in self._no_ids), "")

    @property
    def titles(self) -> list[str]:
        """The columns that say for some row at least what it shows."""
        return [name for name in self._titles if self.blank[name] < self.with_picture]

    def add(self, cells: Sequence[str]) -> None:
        """One more row."""
        self.rows += 1
        links = [cells[index] for index in self._images]
        filled = [link for link in links if oddity_of(link) is None]
        self.has_blank_links = self.has_blank_links or any(not link.strip() for link in links)
        if not filled:
            return
        self.with_picture += 1
        for link in filled:
            self.has_links = self.has_links or "//" in link or "www." in link
            self.has_several = self.has_several or len(links_and_files(link)) > 1
        for name, seen in list(self._seen.items()):
            cell = cells[self._place[name]]
            if not may_be_id(cell):
                self._no_ids[name] = f"{name} is blank in a row, or has no name there"
                del self._seen[name]
            elif not seen.add(cell.strip()):
                self._no_ids[name] = f"{name} has {quoted(cell.strip())} twice"
                del self._seen[name]
        for name in self._titles:
            self.blank[name] += oddity_of(cells[self._place[name]]) is not None


def _why_none(guess: Guess, columns: Sequence[str], sample: Sequence[Sequence[str]]) -> str:
    if not sample:
        return "it has columns and no rows"
    said = columns_said(columns)
    links = f"; {', '.join(guess.links)} has links, but not to pictures" if guess.links else ""
    return f"no column has links to pictures, or names of picture files{links}; {said}"


def _place_of(files: Sequence[str], source: Source, folder: Path) -> str:
    """What stands before the names of local pictures so that they are found from the manifest's folder."""
    if not files:
        return ""
    below = list(islice(_folders(source.folder), _FOLDERS_MOST))
    found = Counter(
        {place: sum(_is_there(each, place) for each in files[:20]) for place in (folder, source.folder, Path(), *below)}
    )
    place, count = found.most_common(1)[0]
    if not count or place == folder or all(Path(each).is_absolute() for each in files):
        return ""
    return f"{relative(place, folder)}/".removeprefix("./")


def _folders(folder: Path) -> Iterable[Path]:
    try:
        return sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
    except OSError:
        return ()


def _is_there(name: str, folder: Path) -> bool:
    try:
        return find_file(name, folder).is_file()
    except (OSError, ValueError):
        return False


def _item(link: str, place: str, *, has_links: bool, takes_first: bool = False) -> str:
    """The template of a picture."""
    if takes_first:
        link = f"{link}.replace('|', ' ').split()[0]"
    if not place:
        return f"{{{{ {link} }}}}"
    if not has_links:
        return f"{place}{{{{ {link} }}}}"
    return f"{{{{ {link} if '//' in {link} else {jinja_text(place)} ~ {link} }}}}"


def _free(name: str, columns: Sequence[str]) -> str:
    while name in columns:
        name += "_"
    return name


def _example(columns: Sequence[str], sample: Sequence[Sequence[str]], guess: Guess, own: Sequence[str]) -> str:
    """A condition that chooses some rows: by a column that has few values."""
    taken = {*guess.pictures, *guess.others, *guess.links, *guess.ids, *guess.titles, *own}
    for index, name in enumerate(columns):
        if name in taken:
            continue
        values = Counter(cells[index].strip() for cells in sample[:1000])
        usual = [value for value, _ in values.most_common() if value.isprintable() and 0 < len(value) <= 30]
        if 2 <= len(values) <= 20 and usual and not _AMOUNT.fullmatch(usual[0]):
            return f"{expression_of(name, columns)} == {jinja_text(usual[0])}"
    # A word of a title, or of a link, that is there.
    for name in (*guess.titles[:1], guess.pictures[0]):
        index = columns.index(name)
        for cells in sample:
            if words := _WORD.findall(cells[index]):
                return f"{jinja_text(words[-1])} in {expression_of(name, columns)}"
    return f"{expression_of(guess.pictures[0], columns)} != ''"
