"""By which bytes files of photos begin."""

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
MAGICS = {"JPEG": b"\xff\xd8\xff", "PNG": PNG_MAGIC, "WEBP": b"RIFF"}
AVIF_BRANDS = (b"avif", b"avis")
HEVC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")
HEIF_BRANDS = (*HEVC_BRANDS, b"mif1", b"mif2", b"mif3", b"msf1")


def begins_as_photo(head: bytes) -> bool:
    """Whether a file may be a photo of a supported format.

    Args:
        head: its first bytes, 12 at least unless it is shorter.
    """
    if head.startswith(MAGICS["WEBP"]):
        return head[8:12] == b"WEBP"
    if head[4:8] == b"ftyp":
        return head[8:12] in (*AVIF_BRANDS, *HEIF_BRANDS)
    return head.startswith((MAGICS["JPEG"], MAGICS["PNG"]))
