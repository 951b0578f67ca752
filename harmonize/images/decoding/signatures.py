"""Name what is not read here."""

import re
import struct

FORMATS = (
    "PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000", "AVIF", "ICO", "TGA",
)  # fmt: skip
EXPORT = "export it as PNG, TIFF or JPEG"
DEVELOP = f"develop it and {EXPORT}"
HEIC = "HEIC: install pillow-heif (pip install pillow-heif), or export as JPEG"
VIDEO = "a video: export a frame of it"
OFFICE = "an Office document or FlashPix picture: take the picture out of it, or export it as PNG"
BRANDS = {  # of ISO files
    b"heic": HEIC, b"heix": HEIC, b"heim": HEIC, b"heis": HEIC, b"hevc": HEIC, b"hevx": HEIC,
    b"mif1": HEIC, b"msf1": HEIC,
    b"crx ": f"a camera's raw file (CR3): {DEVELOP}",
    b"jxl ": f"JPEG XL: {EXPORT}",
}  # fmt: skip
PICTURES = (  # place, bytes, format
    (0, b"8BPS", "a Photoshop document (PSD)"), (0, b"gimp xcf", "a GIMP document (XCF)"),
    (20, b"GIMP", "a brush of GIMP (GBR)"), (0, b"Paint Shop Pro", "a Paint Shop Pro document"),
    (0, b"CSFCHUNK", "a Clip Studio Paint document"), (0, b"\0\xffKA", "an Affinity document"),
    (8, b"CDR", "a CorelDRAW document"), (0, b"AT&TFORM", "DjVu"), (8, b"ILBM", "IFF (ILBM)"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"), (0, b"\xff\x0a", "JPEG XL"), (0, b"II\xbc\x01", "JPEG XR"),
    (0, b"v/1\x01", "OpenEXR"), (0, b"#?RADIANCE", "Radiance HDR"), (0, b"SDPX", "DPX"),
    (0, b"XPDS", "DPX"), (0, b"\x80\x2a\x5f\xd7", "Cineon"), (0, b"SIMPLE  =", "FITS"),
    (128, b"DICM", "DICOM"), (0, b"BPG\xfb", "BPG"), (0, b"FLIF", "FLIF"), (0, b"qoif", "QOI"),
    (0, b"DDS ", "DDS"), (0, b"FTEX", "FTEX"), (0, b"BLP1", "BLP"), (0, b"BLP2", "BLP"),
    (0, b"icns", "icons of macOS (ICNS)"), (0, b"\0\0\2\0", "a cursor of Windows (CUR)"),
    (0, b"\xd7\xcd\xc6\x9a", "a Windows metafile (WMF)"), (40, b" EMF", "a Windows metafile (EMF)"),
    (0, b"DanM", "MSP"), (0, b"LinS", "MSP"), (0, b"P7 332", "a thumbnail of XV"),
    (0, b"P7\n", "PAM"), (0, b"PF\n", "PFM"), (0, b"Pf\n", "PFM"), (0, b"\x01\xda", "SGI"),
    (0, b"\x59\xa6\x6a\x95", "a Sun raster"),
    (0, b"\n\5\1", "PCX"), (0, b"\n\3\1", "PCX"), (0, b"\n\2\1", "PCX"),
    (0, b"\xb1\x68\xde\x3a", "DCX"), (0, b"/* XPM", "XPM"), (0, b"\x80\xe8\0\0", "PIXAR"),
    (0, b"\0\0\0\0\0\0\0\4", "McIdas"), (2048, b"PCD_", "Photo CD"), (0, b"\x1c\2\0", "IPTC"),
    (4, b"\x11\xaf", "an animation (FLI)"), (4, b"\x12\xaf", "an animation (FLC)"),
    (0, b"farbfeld", "farbfeld"), (0, b"GRIB", "GRIB"), (0, b"BUFR", "BUFR"),
)  # fmt: skip
RAWS = (
    (b"FUJIFILMCCD-RAW", "RAF"), (b"IIU\0", "RW2"), (b"IIRO", "ORF"), (b"FOVb", "X3F"),
    (b"\0MRM", "MRW"), (b"II\x1a\0\0\0HEAPCCDR", "CRW"),
)  # fmt: skip
WITH_ADVICE = (
    (b"%PDF", "a PDF: export its page as PNG or TIFF"),
    (b"%!PS", "PostScript (EPS): export it as PNG or TIFF"),
    (b"\xc5\xd0\xd3\xc6", "PostScript (EPS): export it as PNG or TIFF"),
    (b"BLENDER", "a scene of Blender: render it to PNG"),
    (b"PK\x03\x04", "a ZIP archive or a document: take the picture out of it"),
    (b"Rar!", "a RAR archive: take the picture out of it"),
    (b"7z\xbc\xaf", "a 7z archive: take the picture out of it"),
    (b"\x1f\x8b", "compressed with gzip: unpack it"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OFFICE),
    (b"\x1aE\xdf\xa3", VIDEO),
    (b"\0\0\1\xb3", VIDEO),
    (b"\0\0\1\xba", VIDEO),
    (b"version https://git-lfs", "a pointer of Git LFS, not the picture: run git lfs pull"),
    (b"\x89HDF", "HDF5: export the picture in it as PNG"),
    (b"\x93NUMPY", "an array of NumPy: load it and give the array, or save it as PNG"),
)
SPIDER_KINDS = (1, 3, -11, -12, -21, -22)


def what_is(data: bytes) -> str | None:
    """Return, if known, what a file is and what to do."""
    if data[4:8] == b"ftyp":
        brands = [data[8:12], *(data[place : place + 4] for place in range(16, 40, 4))]
        known = [BRANDS[brand] for brand in brands if brand in BRANDS]
        return known[0] if known else VIDEO
    if data[:4] == b"RIFF" and data[8:12] == b"AVI ":
        return VIDEO
    for place, mark, kind in PICTURES:
        if data.startswith(mark, place):
            return f"{kind}: {EXPORT}"
    for mark, kind in RAWS:
        if data.startswith(mark):
            return f"a camera's raw file ({kind}): {DEVELOP}"
    for mark, said in WITH_ADVICE:
        if data.startswith(mark):
            return said
    start = data[:1000].lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    return _text_format(start) or _jpeg(data) or _unmarked(data)


def _text_format(start: bytes) -> str | None:
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page, not a picture: save the picture itself"
    if b"<svg" in start:
        return "SVG: export it as PNG"
    if re.search(rb"(^|\n)#define\s+\w*width\s+\d", start):
        return f"XBM: {EXPORT}"
    if re.search(rb"(^|\n)(image type|file size \(no of images\)): ", start):
        return f"IM: {EXPORT}"
    return f"IMT: {EXPORT}" if b"\npixel n8" in start else None


def _jpeg(data: bytes) -> str | None:
    place = 2
    while data.startswith(b"\xff\xd8") and place + 9 < len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker in (0xC3, 0xC7, 0xCB, 0xCF, 0xF7):
            return f"a lossless JPEG: {EXPORT}"
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits = data[place + 4]
            return f"a JPEG of {bits} bits a channel: {EXPORT}" if bits != 8 else None
        place += 2 + length
    return None


def _unmarked(data: bytes) -> str | None:
    if len(data) < 108:
        return None
    size, planes = struct.unpack_from("<I8xH", data)
    if size in (40, 52, 56, 108, 124) and planes == 1:
        return f"a bitmap without its file header (DIB): {EXPORT}"
    for order in "<>":
        numbers = struct.unpack_from(f"{order}27f", data)
        if numbers[4] in SPIDER_KINDS and numbers[21] == numbers[12] * numbers[22] > 0:
            return f"SPIDER: {EXPORT}"
    width, row, bits, version = struct.unpack_from(">H2xH2xBB", data)
    if width and bits in (1, 2, 4, 8, 16) and version < 4 and row == (width * bits + 15) // 16 * 2:
        return f"a bitmap of Palm OS (PALM): {EXPORT}"
    return None
