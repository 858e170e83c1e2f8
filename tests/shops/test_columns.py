from __future__ import annotations

import pytest

from batch_editor.manifest.rows import Columns
from batch_editor.shops import ADDED, Export, Format, ShopError, check, recognize

SHOPIFY_OLD = (
    "Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,Option1 Name,Option1 Value,Variant SKU,"
    "Variant Grams,Variant Price,Variant Barcode,Image Src,Image Position,Image Alt Text,Gift Card,SEO Title,"
    "Google Shopping / MPN,Fabric (product.metafields.custom.fabric),Variant Image,Variant Weight Unit,Status"
)
SHOPIFY_OLDEST = "Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,Variant SKU,Image Src"
SHOPIFY_NEW = (
    "Title,URL handle,Description,Vendor,Product category,Type,Tags,Published on online store,Status,SKU,Barcode,"
    "Option1 name,Option1 value,Option1 Linked To,Price,Product image URL,Image position,Image alt text,"
    "Variant image URL,Gift card,SEO title,Color (product.metafields.shopify.color-pattern)"
)
MATRIXIFY = "ID,Handle,Command,Title,Body HTML,Vendor,Type,Tags,Image Type,Image Src,Image Position,Variant SKU"
WOOCOMMERCE = (
    "ID,Type,SKU,Name,Published,Is featured?,Visibility in catalog,Short description,Description,Tax status,"
    "In stock?,Weight (kg),Regular price,Categories,Tags,Images,Parent,Position,Attribute 1 name,Meta: _edit_lock"
)
GERMAN = (
    "ID,Typ,Artikelnummer,Name,Veröffentlicht,Sichtbarkeit im Katalog,Kurzbeschreibung,Beschreibung,Kategorien,"
    "Schlagwörter,Bilder,Übergeordnetes Produkt,Position"
)
FRENCH = (
    "ID,Type,UGS,Nom,Publié,Mis en avant ?,Visibilité dans le catalogue,Description courte,Description,Catégories,"
    "Tags,Images,Parent"
)
SPANISH = (
    "ID,Tipo,SKU,Nombre,Publicado,¿Está destacado?,Visibilidad en el catálogo,Descripción corta,Descripción,"
    "Categorías,Etiquetas,Imágenes,Superior,Posición"
)
ITALIAN = "ID,Tipo,SKU,Nome,Pubblicato,In primo piano?,Visibilità nel catalogo,Descrizione,Categorie,Immagine,Genitore"
DUTCH = "ID,Type,SKU,Naam,Gepubliceerd,Uitgelicht?,Zichtbaarheid in catalogus,Beschrijving,Afbeeldingen,Hoofd,Positie"
BRAZILIAN = "ID,Tipo,SKU,Nome,Publicado,Em destaque?,Visibilidade no catálogo,Descrição,Categorias,Imagens,Ascendente"
POLISH = "ID,Typ,SKU,Nazwa,Opublikowano,Widoczność w katalogu,Opis,Kategorie,Tagi,Obrazki,Element nadrzędny"
SWEDISH = "ID,Typ,Artikelnummer,Namn,Publicerad,Synlighet i katalog,Beskrivning,Kategorier,Bilder,Förälder"
GOOGLE = "id,title,description,link,image_link,additional_image_link,availability,price,brand,gtin,item_group_id"
META = "id,title,description,availability,condition,price,link,image_link,brand,sale_price,additional_image_link"
SPELLED = "ID,Title,Description,Link,Image Link,Additional image link,Price"

EXPORTS = [
    ("shopify", SHOPIFY_OLD, "it has the columns Handle and Image Src"),
    ("shopify", SHOPIFY_OLDEST, "it has the columns Handle and Image Src"),
    ("shopify", SHOPIFY_NEW, "it has the columns URL handle and Product image URL"),
    ("shopify", MATRIXIFY, "it has the columns Handle and Image Src"),
    ("shopify", "Handle,Variant SKU,Variant Image", "it has the columns Handle and Variant Image"),
    ("woocommerce", WOOCOMMERCE, "it has the columns Name, Images and Visibility in catalog"),
    ("woocommerce", "ID,Type,SKU,Name,Images,Parent", "it has the columns Name, Images and Parent"),
    ("woocommerce", "Type,SKU,Name,Images", "it has the columns Name, Images and SKU"),
    ("woocommerce", GERMAN, "it has the columns Name, Bilder and Sichtbarkeit im Katalog"),
    ("woocommerce", FRENCH, "it has the columns Nom, Images and Visibilité dans le catalogue"),
    ("woocommerce", SPANISH, "it has the columns Nombre, Imágenes and Visibilidad en el catálogo"),
    ("woocommerce", ITALIAN, "it has the columns Nome, Immagine and Visibilità nel catalogo"),
    ("woocommerce", DUTCH, "it has the columns Naam, Afbeeldingen and Zichtbaarheid in catalogus"),
    ("woocommerce", BRAZILIAN, "it has the columns Nome, Imagens and Visibilidade no catálogo"),
    ("woocommerce", POLISH, "it has the columns Nazwa, Obrazki and Widoczność w katalogu"),
    ("woocommerce", SWEDISH, "it has the columns Namn, Bilder and Synlighet i katalog"),
    ("google", GOOGLE, "it has the columns id, title and image_link"),
    ("google", META, "it has the columns id, title and image_link"),
    ("google", SPELLED, "it has the columns id, title and Image Link"),
    ("google", "g:id,g:title,g:image_link", "it has the columns id, title and g:image_link"),
    ("google", "id,title,image_link", "it has the columns id, title and image_link"),
]


@pytest.mark.parametrize(("format", "header", "reason"), EXPORTS)
def test_an_export_is_told_by_its_columns(format: str, header: str, reason: str) -> None:
    found = recognize(header.split(","))
    assert (found.format, found.reason) == (format, reason)
    check(Format(format), header.split(","))


@pytest.mark.parametrize(("format", "header", "_"), EXPORTS)
def test_neither_order_nor_case_of_the_columns_matters(format: str, header: str, _: str) -> None:
    assert recognize([name.upper() for name in reversed(header.split(","))]).format == format


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("id,prompt,image_urls,quality,shelf", ""),
        ("sku,title,photo,season", ""),
        ("handle,title,price", ""),
        ("title,images", ""),
        ("Handle,Title,Image Src,prompt", "it is a Shopify export but for its column prompt"),
        ("id,title,image_link,image_urls", "it is a Google Merchant feed but for its column image_urls"),
        ("Handle,Image Src,prompt,image_urls", "it is a Shopify export but for its columns prompt and image_urls"),
        ("handle,title,image_src", "it resembles a Shopify export, whose columns are called Handle and Image Src"),
        (
            "name,sku,images",
            "it resembles a WooCommerce export, but has no column Type, SKU or Visibility in catalog",
        ),
        ("sku,image_link", "it resembles a Google Merchant feed, but has no column id and title"),
        (
            "Handle,Title,Option1 Name,Option1 Value,SKU,HS Code,COO,Location,Incoming,Available,On hand",
            "it is Shopify's export of the inventory, which has no pictures: export the products instead",
        ),
    ],
)  # fmt: skip
def test_another_table_is_no_export_even_if_it_resembles_one(header: str, reason: str) -> None:
    found = recognize(header.split(","))
    assert (found.format, found.reason) == (None, reason)


@pytest.mark.parametrize(
    ("format", "header", "message"),
    [
        (
            "shopify",
            "Handle,Title,SKU",
            (
                "is no Shopify export: there is no column Image Src (or Product image URL, Variant Image, Variant image"
                " URL); it has Handle, Title, SKU"
            ),
        ),
        (
            "shopify",
            "Handle,Title,SKU,Location,On hand (current)",
            "is Shopify's export of the inventory, which has no pictures: export the products instead",
        ),
        (
            "woocommerce",
            "a,b,c,d,e,f,g,h,i",
            (
                "is no WooCommerce export: there is no column Images (or its name in another language) and SKU, ID or"
                " Name; it has a, b, c, d, e, f, g, h, … (9 columns)"
            ),
        ),
        (
            "google",
            "title,image",
            "is no Google Merchant feed: there is no column image_link and id; it has title, image",
        ),
    ],
)
def test_a_table_that_is_called_an_export_and_is_none_says_what_it_lacks(
    format: str, header: str, message: str
) -> None:
    with pytest.raises(ShopError) as raised:
        Export(Format(format), header.split(","))
    assert str(raised.value) == message


def test_a_format_that_was_asked_for_takes_other_spellings() -> None:
    check(Format.SHOPIFY, ["url_handle", "image_src"])
    check(Format.WOOCOMMERCE, ["sku", "images"])
    check(Format.GOOGLE, ["sku", "image link"])


@pytest.mark.parametrize(("format", "header", "_"), EXPORTS)
def test_the_added_columns_come_first_and_templates_know_each_by_its_name(format: str, header: str, _: str) -> None:
    export = Export(Format(format), header.split(","))
    assert export.columns[: len(ADDED)] == ADDED
    assert len(set(export.columns)) == len(export.columns)
    names = Columns(export.columns).namespace([str(place) for place in range(len(export.columns))])
    assert [names[name] for name in ADDED] == [str(place) for place in range(len(ADDED))]


def test_own_columns_called_like_an_added_one_keep_a_name_of_their_own() -> None:
    own = ["id", "title", "image_link", "position", "shop_position", "image", "body", "Title "]
    assert Export(Format.GOOGLE, own).columns == (
        *ADDED, "id", "image_link", "shop_position_", "shop_position", "shop_image", "shop_body", "Title ",
    )  # fmt: skip
