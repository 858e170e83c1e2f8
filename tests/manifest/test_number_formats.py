from __future__ import annotations

from datetime import datetime

import pytest

from batch_editor.manifest.number_formats import shower_of, text_shower_of

EPOCH = datetime(1899, 12, 30)  # as openpyxl has it


@pytest.mark.parametrize(
    ("code", "raw", "text"),
    [
        ("General", "1E+12", "1000000000000"),
        ("General", "123456789012345", "123456789012345"),
        ("General", "19.989999999999998", "19.99"),
        ("General", "-0.5", "-0.5"),
        ("General", "1E-3", "0.001"),
        ("0.00E+00", "1230000000000", "1230000000000"),
        ("@", "12", "12"),
        ("00000", "123", "00123"),
        ("0", "1E+12", "1000000000000"),
        ("0.00", "1.005", "1.01"),
        ("0.00", "-3", "-3.00"),
        ("0.00", "-0.001", "0.00"),
        ("#,##0", "1234567", "1,234,567"),
        ("#,##0", "12", "12"),
        ("#,##0.00\\ [$€-407]", "1234.5", "1,234.50 €"),
        ('_-* #,##0.00\\ "kr"_-;-* #,##0.00\\ "kr"_-;_-* "-"??\\ "kr"_-;_-@_-', "0", "- kr"),
        ('"$"#,##0.00;[Red]("$"#,##0.00)', "-5", "($5.00)"),
        ("0%", "0.125", "13%"),
        ("0.0%", "0.125", "12.5%"),
        ("0,", "1234567", "1235"),
        ("000-00-0000", "123456789", "123-45-6789"),
        ("(000) 000-0000", "5551234567", "(555) 123-4567"),
        ('"No. "0', "3", "No. 3"),
        ('General" kg"', "1.5", "1.5 kg"),
        ("0.##", "12.5", "12.5"),
        ("#.##", "0.3", ".3"),
        ("# ?/?", "0.5", "0.5"),
        ("[<100]0;0.0", "12", "12"),
        (";;;", "100", ""),
        ("yyyy-mm-dd", "46353", "2026-11-27"),
        ("dd/mm/yyyy", "46353", "27/11/2026"),
        ("dd\\.mm\\.yy", "46353", "27.11.26"),
        ("[$-409]mmmm d, yyyy;@", "46353", "November 27, 2026"),
        ("ddd d mmm", "46353", "Fri 27 Nov"),
        ("mm-dd-yy", "46353", "2026-11-27"),
        ("[$-F800]dddd, mmmm dd, yyyy", "46353", "2026-11-27"),
        ("m/d/yy h:mm", "46353.25", "2026-11-27 06:00"),
        ("hh:mm", "0.75", "18:00"),
        ("h:mm AM/PM", "0.75", "6:00 PM"),
        ("mm:ss", "0.5006944", "01:00"),
        ("[h]:mm", "1.5", "36:00"),
        ("yyyy-mm-dd", "59", "1900-02-28"),
        ("yyyy-mm-dd", "61", "1900-03-01"),
        ("yyyy-mm-dd", "-5", "-5"),
        ("yyyy-mm-dd", "1E+20", "100000000000000000000"),
        ("0.00", "nonsense", "nonsense"),
    ],
)
def test_a_number_is_the_text_that_a_sheet_shows(code: str, raw: str, text: str) -> None:
    assert shower_of(code, EPOCH)(raw) == text


def test_a_text_may_have_a_format_as_well() -> None:
    show = text_shower_of('0;0;0;"SKU-"@')
    assert show is not None
    assert show("12") == "SKU-12"
    assert text_shower_of("@") is None
    assert text_shower_of("General") is None
