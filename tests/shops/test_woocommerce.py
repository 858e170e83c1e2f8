from __future__ import annotations

import pytest

from batch_editor.shops import Format, Without
from tests.shops.reading import read, read_rows

SITE = "https://shop.example/wp-content/uploads"
HEADER = "ID,Type,SKU,Name,Published,Short description,Description,Categories,Tags,Images,Parent,Position"


def test_the_links_of_a_cell_are_the_product_s_pictures() -> None:
    reading = read(
        rf"""{HEADER}
44,simple,mug,Mug,1,Small,"<p>Stoneware</p>\n<p>0.3 l</p>",Kitchen,,"{SITE}/a.jpg, {SITE}/b.jpg, {SITE}/a.jpg",,0
45,"simple, downloadable, virtual",,Album,-1,Music only,,Music,,{SITE}/c.jpg,,0
46,grouped,set,Set,1,,,,,,,0"""
    )
    assert reading["sku title image position body"] == [
        ("mug", "Mug", f"{SITE}/a.jpg", "1", "Stoneware\n0.3 l"),
        ("mug", "Mug", f"{SITE}/b.jpg", "2", "Stoneware\n0.3 l"),
        ("", "Album", f"{SITE}/c.jpg", "1", "Music only"),
    ]
    assert reading.ids == ["mug-1", "mug-2", "45-1"]
    assert reading.column("Position") == ["0", "0", "0"]
    assert reading.export.in_words() == (
        "WooCommerce export, 3 rows: 3 products, 3 pictures, 1 row without one (no image link: 1), 1 repeated link"
        " taken once"
    )


@pytest.mark.parametrize("parent", ["hoodie", "id:45", "ID: 45"])
def test_a_variation_gives_what_no_row_of_its_product_gave_before(parent: str) -> None:
    reading = read(
        f"""{HEADER}
45,variable,hoodie,Hoodie,1,,Warm,Clothing,winter,"{SITE}/front.jpg, {SITE}/blue.jpg",,0
46,simple,other,Other,1,,,,,{SITE}/front.jpg,,0
79,variation,hoodie-red,Hoodie - Red,1,,,,,{SITE}/red.jpg,{parent},1
80,variation,hoodie-red-xl,"Hoodie - Red, XL",1,,,,,{SITE}/red.jpg,{parent},2
81,variation,,Hoodie - Blue,1,,,,,"{SITE}/blue.jpg, {SITE}/blue-back.jpg",{parent},3
82,variation,hoodie-none,Hoodie - None,1,,,,,,{parent},4"""
    )
    assert reading["sku image title body Categories Tags"] == [
        ("hoodie", f"{SITE}/front.jpg", "Hoodie", "Warm", "Clothing", "winter"),
        ("hoodie", f"{SITE}/blue.jpg", "Hoodie", "Warm", "Clothing", "winter"),
        ("other", f"{SITE}/front.jpg", "Other", "", "", ""),
        ("hoodie-red", f"{SITE}/red.jpg", "Hoodie - Red", "Warm", "Clothing", "winter"),
        ("", f"{SITE}/blue-back.jpg", "Hoodie - Blue", "Warm", "Clothing", "winter"),
    ]
    assert reading.ids == ["hoodie-1", "hoodie-2", "other-1", "hoodie-red-1", "81-2"]
    assert reading.column("Type") == ["variable", "variable", "simple", "variation", "variation"]
    assert reading.tally.products == 2
    assert reading.tally.without == {Without.REPEATED: 1, Without.VARIANT: 1}


def test_a_variation_may_stand_before_its_product() -> None:
    reading = read(
        f"""{HEADER}
79,variation,tee-red,Tee - Red,1,,,,,{SITE}/red.jpg,tee,1
45,variable,tee,Tee,1,,,,,"{SITE}/front.jpg, {SITE}/red.jpg",,0"""
    )
    assert reading["sku image"] == [("tee-red", f"{SITE}/red.jpg"), ("tee", f"{SITE}/front.jpg")]
    assert reading.tally.products == 1


@pytest.mark.parametrize(
    ("cell", "links"),
    [
        (f"{SITE}/a.jpg, {SITE}/b.jpg", [f"{SITE}/a.jpg", f"{SITE}/b.jpg"]),
        (f"{SITE}/a.jpg,{SITE}/b.jpg", [f"{SITE}/a.jpg", f"{SITE}/b.jpg"]),
        (f"{SITE}/a.jpg | {SITE}/b.jpg", [f"{SITE}/a.jpg", f"{SITE}/b.jpg"]),
        (f"{SITE}/w_1,h_2/a.jpg, {SITE}/b.jpg", [f"{SITE}/w_1,h_2/a.jpg", f"{SITE}/b.jpg"]),
        (rf"{SITE}/w_1\,h_2/a.jpg, {SITE}/b\, c.jpg", [f"{SITE}/w_1,h_2/a.jpg", f"{SITE}/b, c.jpg"]),
        ("hoodie.jpg, hoodie 2.jpg", ["hoodie.jpg", "hoodie 2.jpg"]),
        (f"{SITE}/a.jpg,", [f"{SITE}/a.jpg"]),
        (f"{SITE}/a.jpg\n{SITE}/b.jpg", [f"{SITE}/a.jpg", f"{SITE}/b.jpg"]),
    ],
)
def test_commas_within_links_stay(cell: str, links: list[str]) -> None:
    reading = read_rows(Format.WOOCOMMERCE, ["SKU", "Name", "Images"], [["mug", "Mug", cell]])
    assert reading.column("image") == links


@pytest.mark.parametrize(
    "header",
    [
        "ID,Typ,Artikelnummer,Name,Sichtbarkeit im Katalog,Beschreibung,Bilder,Übergeordnetes Produkt",
        "ID,Typ,Artikelnummer,Name,Katalogsichtbarkeit,Beschreibung,Bilder,Eltern",
        "ID,Type,UGS,Nom,Visibilité dans le catalogue,Description,Images,Parent",
        "ID,Tipo,SKU,Nombre,Visibilidad en el catálogo,Descripción,Imágenes,Superior",
        "ID,Tipo,SKU,Nome,Visibilità nel catalogo,Descrizione,Immagine,Genitore",
        "ID,Tipo,COD,Nome,Visibilità nel catalogo,Descrizione,Immagine,Genitore",
        "ID,Type,Artikelnummer,Naam,Zichtbaarheid in catalogus,Beschrijving,Afbeeldingen,Hoofd",
        "ID,Tipo,SKU,Nome,Visibilidade no catálogo,Descrição,Imagens,Ascendente",
        "ID,Typ,SKU,Nazwa,Widoczność w katalogu,Opis,Obrazki,Element nadrzędny",
        "ID,Typ,Artikelnummer,Namn,Synlighet i katalog,Beskrivning,Bilder,Förälder",
    ],
)
def test_each_language_is_read_alike(header: str) -> None:
    reading = read(
        f"""{header}
45,variable,tee,Tee,visible,Cotton,"{SITE}/front.jpg, {SITE}/red.jpg",
79,variation,tee-red,Tee - Red,visible,,{SITE}/red.jpg,tee
80,variation,tee-blue,Tee - Blue,visible,,{SITE}/blue.jpg,id:45"""
    )
    assert reading["sku title body position"] == [
        ("tee", "Tee", "Cotton", "1"),
        ("tee", "Tee", "Cotton", "2"),
        ("tee-blue", "Tee - Blue", "Cotton", "1"),
    ]


@pytest.mark.parametrize(
    "tags", ["Tags", "Schlagwörter", "Étiquettes", "Etiquetas", "Tag", "Etichette", "Tagi", "Taggar"]
)
def test_a_variation_takes_its_product_s_tags_in_each_language(tags: str) -> None:
    rows = [["45", "variable", "Tee", "summer", "a.jpg", ""], ["80", "variation", "Tee - Blue", "", "b.jpg", "id:45"]]
    reading = read_rows(Format.WOOCOMMERCE, ["ID", "Type", "Name", tags, "Images", "Parent"], rows)
    assert reading.column(tags) == ["summer", "summer"]


def test_an_apostrophe_against_formulas_is_no_part_of_a_text() -> None:
    reading = read_rows(Format.WOOCOMMERCE, ["SKU", "Name", "Images"], [["'-5", "'+1 mug", "a.jpg"]])
    assert reading["sku title"] == [("-5", "+1 mug")]


def test_a_variation_with_its_product_s_sku_is_known_by_its_id() -> None:
    reading = read(
        f"""{HEADER}
45,variable,tee,Tee,1,,,,,{SITE}/front.jpg,,0
79,variation,tee,Tee - Red,1,,,,,{SITE}/red.jpg,tee,1"""
    )
    assert reading.ids == ["tee-1", "79-1"]
