"""What a gate has before it: the text of a printed ticket, and the code that a scanner reads from paper or a screen."""

import io

import pypdfium2
import zxingcpp
from PIL import Image
from pypdf import PdfReader

SCANNED_DPI = 120  # a cheap camera at arm's length


def page_texts(pdf: bytes) -> list[str]:
    """What stands on each page."""
    return [page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages]


def scan_pages(pdf: bytes, dpi: int = SCANNED_DPI) -> list[list[str]]:
    """The codes on each page, once it is printed and photographed."""
    return [_scan(page.render(scale=dpi / 72).to_pil()) for page in pypdfium2.PdfDocument(pdf)]


def scan_picture(png: bytes) -> list[str]:
    """The codes in a picture."""
    return _scan(Image.open(io.BytesIO(png)))


def _scan(picture: Image.Image) -> list[str]:
    # Only QR codes, as a gate's scanner is set: the bars of a heading can be taken for a code of one dimension.
    found = zxingcpp.read_barcodes(picture.convert("L"), formats=zxingcpp.barcode_formats_from_str("QRCode"))
    return [code.text for code in found]
