"""Name files that are not read here."""

FORMATS = (
    "PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000", "AVIF", "ICO", "TGA",
)  # fmt: skip
EXPORT = "export it as PNG, TIFF or JPEG"
HEIC = "HEIC: install pillow-heif (pip install pillow-heif), or export as JPEG"
BRANDS = {  # of ISO files
    b"heic": HEIC, b"heix": HEIC, b"heim": HEIC, b"heis": HEIC, b"hevc": HEIC, b"hevx": HEIC,
    b"mif1": HEIC, b"msf1": HEIC,
    b"crx ": f"a camera's raw file (CR3): develop it and {EXPORT}",
    b"jxl ": f"JPEG XL: {EXPORT}",
}  # fmt: skip
STARTS = (
    (b"8BPS", f"a Photoshop document (PSD): {EXPORT}"),
    (b"gimp xcf", f"a GIMP document (XCF): {EXPORT}"),
    (b"\0\0\0\x0cJXL ", f"JPEG XL: {EXPORT}"),
    (b"\xff\x0a", f"JPEG XL: {EXPORT}"),
    (b"v/1\x01", f"OpenEXR: {EXPORT}"),
    (b"#?RADIANCE", f"Radiance HDR: {EXPORT}"),
    (b"%PDF", "a PDF: export its page as PNG or TIFF"),
    (b"%!PS", "PostScript: export it as PNG or TIFF"),
    (b"\xc5\xd0\xd3\xc6", "PostScript (EPS): export it as PNG or TIFF"),
    (b"DDS ", f"DDS: {EXPORT}"),
    (b"qoif", f"QOI: {EXPORT}"),
    (b"icns", f"icons of macOS (ICNS): {EXPORT}"),
    (b"P7\n", f"PAM: {EXPORT}"),
    (b"PF\n", f"PFM: {EXPORT}"),
    (b"SIMPLE  =", f"FITS: {EXPORT}"),
    (b"\x01\xda", f"SGI: {EXPORT}"),
    (b"\x0a\x05\x01", f"PCX: {EXPORT}"),
    (b"/* XPM", f"XPM: {EXPORT}"),
    (b"BLENDER", "a scene of Blender: render it to PNG"),
    (b"farbfeld", f"farbfeld: {EXPORT}"),
    (b"FUJIFILMCCD-RAW", f"a camera's raw file (RAF): develop it and {EXPORT}"),
    (b"IIU\0", f"a camera's raw file (RW2): develop it and {EXPORT}"),
    (b"IIRO", f"a camera's raw file (ORF): develop it and {EXPORT}"),
    (b"II\xbc\x01", f"JPEG XR: {EXPORT}"),
    (b"\xd7\xcd\xc6\x9a", f"a Windows metafile: {EXPORT}"),
    (b"PK\x03\x04", "a ZIP archive or a document: take the picture out of it"),
    (b"Rar!", "a RAR archive: take the picture out of it"),
    (b"7z\xbc\xaf", "a 7z archive: take the picture out of it"),
    (b"\x1f\x8b", "compressed with gzip: unpack it"),
    (b"\x1aE\xdf\xa3", "a video: export a frame of it"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the picture: run git lfs pull"),
    (b"\x89HDF", "HDF5: export the picture in it as PNG"),
    (b"\x93NUMPY", "an array of NumPy: load it and give the array, or save it as PNG"),
)  # fmt: skip


def what_is(data: bytes) -> str | None:
    """Return what a file is and what to do, if known."""
    if data[4:8] == b"ftyp":
        brands = [data[8:12], *(data[place : place + 4] for place in range(16, 40, 4))]
        known = [BRANDS[brand] for brand in brands if brand in BRANDS]
        return known[0] if known else "a video: export a frame of it"
    for start, said in STARTS:
        if data.startswith(start):
            return said
    return _text_format(data[:1000].lstrip(b"\xef\xbb\xbf \r\n\t").lower()) or _jpeg(data)


def _text_format(start: bytes) -> str | None:
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page, not a picture: save the picture itself"
    if b"<svg" in start:
        return "SVG: export it as PNG"
    return None


def _jpeg(data: bytes) -> str | None:
    place = 2
    while data.startswith(b"\xff\xd8") and place + 9 < len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker in (0xC3, 0xC7, 0xCB, 0xCF):
            return f"a lossless JPEG: {EXPORT}"
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits = data[place + 4]
            return f"a JPEG of {bits} bits a channel: {EXPORT}" if bits != 8 else None
        place += 2 + length
    return None
