from __future__ import annotations

import time
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_editor.shops import text_of_html


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        ("  Plain \t text \n\n second line ", "Plain text\nsecond line"),
        ("Wool & silk\r\n5 < 6", "Wool & silk\n5 < 6"),
        ("<p>One</p><p>Two</p>", "One\nTwo"),
        ("<p>One\nline</p>\n\n<p> Two </p>", "One line\nTwo"),
        ("One<br>Two<BR/>Three<br />Four", "One\nTwo\nThree\nFour"),
        ("<ul>\n<li>red</li>\n<li>blue</li>\n</ul>", "red\nblue"),
        ("A <b>bold</b> <i class='x'>mug</i>", "A bold mug"),
        ("<table><tr><td>Size</td><td>S</td></tr><tr><td>Fit</td><td>slim</td></tr></table>", "Size S\nFit slim"),
        ("caf&eacute; &#8211; 5&nbsp;&euro; &lt;b&gt;", "café – 5 € <b>"),
        ("<style>p{color:red}</style><p>Mug</p><script>if (a < b) alert('<p>')</script>", "Mug"),
        ("<!-- wp:paragraph --><p>Mug</p><!-- /wp:paragraph -->", "Mug"),
        ("<p>5 < 6 & 7 > 6</p>", "5 < 6 & 7 > 6"),
        ("<p title='a > b'>Mug</p>", "Mug"),
        ("<p>Unclosed <b>mug", "Unclosed mug"),
        ("<p>Mug</p", "Mug"),
        ("dish&shy;washer<wbr>-safe", "dishwasher-safe"),
        ('<div data-x="1"><span style="color: red">R</span>ed</div>', "Red"),
    ],
)
def test_html_is_read_as_it_is_read_aloud(html: str, text: str) -> None:
    assert text_of_html(html) == text


class Parser(HTMLParser):
    """What the standard library makes of HTML, blanks and line breaks apart."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""

    def handle_data(self, data: str) -> None:
        self.text += data


TEXTS = st.sampled_from(["mug", "5 < 6", "a > b", " ", "R&amp;D", "&#8364;", "&lt;b&gt;", "caf\u00e9", "&nosuch;"])
OPENINGS = [
    "<p>",
    "<b>",
    "<BR/>",
    "<td class='a'>",
    '<a href="b?c=1&amp;d=2" rel=x>',
    "<i\ntitle='a > b'>",
    "<!-- <p> -->",
]


@given(
    st.lists(st.one_of(TEXTS, st.sampled_from([*OPENINGS, "</p>", "</b >", "<hr>", "<!DOCTYPE html>"]))).map("".join)
)
@pytest.mark.slow
def test_the_text_is_that_which_the_standard_library_s_parser_finds(html: str) -> None:
    parser = Parser()
    parser.feed(html)
    parser.close()
    assert "".join(text_of_html(html).split()) == "".join(parser.text.split())


@pytest.mark.parametrize(
    "piece", ["<", "<!", "<!--", "</", "<p ", "<a b='", "&", "<script>", "<p a=b ", "<p \"'", "</script", "<style "]
)
def test_no_text_is_slow(piece: str) -> None:
    begun = time.process_time()
    text_of_html(piece * (100_000 // len(piece)))
    assert time.process_time() - begun < 2
