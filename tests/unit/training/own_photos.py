"""Draws faces with spots and wrinkles, and labels them as a stranger would, in each form that training reads."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Form = Literal["csv", "coco", "yolo"]
Box = tuple[int, int, int, int]  # x, y, width, height in px
ZONES: dict[str, Box] = {  # of the wrinkles, in hundredths of the face
    "forehead": (30, 8, 40, 8),
    "crows_feet": (4, 34, 10, 10),
    "frown": (46, 22, 8, 10),
    "nasolabial": (28, 58, 8, 18),
}


@dataclass(frozen=True)
class Drawn:
    """A drawn face.

    Attributes:
        image: of it.
        boxes: (class, box).
    """

    image: Image.Image
    boxes: list[tuple[str, Box]]


def face(seed: int, spots: int = 0, zones: Sequence[str] = ()) -> Drawn:
    """Draw skin, hair, eyes and a mouth on a background, each seed another, with red spots and dark lines."""
    rng = np.random.default_rng(seed)
    width, height = (int(value) for value in rng.integers(240, 360, 2))
    coarse = rng.integers(30, 220, (7, 7, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    left, top = int(rng.integers(15, 60)), int(rng.integers(15, 60))
    across, down = width - left - int(rng.integers(15, 60)), height - top - int(rng.integers(15, 40))
    skin = tuple(int(value) for value in rng.normal((205, 160, 135), 12))
    pen.ellipse((left - 8, top - 14, left + across + 8, top + down), fill=(50, 40, 35))
    pen.ellipse((left, top, left + across, top + down), fill=skin)
    boxes: list[tuple[str, Box]] = []

    def place(x: float, y: float) -> tuple[int, int]:
        return int(left + x * across / 100), int(top + y * down / 100)

    for x in (32, 68):
        pen.ellipse((*place(x - 8, 34), *place(x + 8, 42)), fill=(240, 240, 240))
        pen.ellipse((*place(x - 3, 34), *place(x + 3, 42)), fill=(60, 40, 30))
    pen.ellipse((*place(36, 74), *place(64, 82)), fill=(170, 80, 80))
    for zone in zones:
        x, y, w, h = ZONES[zone]
        (x0, y0), (x1, y1) = place(x, y), place(x + w, y + h)
        for share in (0.2, 0.5, 0.8):
            at = int(y0 + share * (y1 - y0))
            pen.line((x0, at, x1, at), fill=(120, 85, 70), width=2)
        boxes.append((zone, (x0, y0, x1 - x0, y1 - y0)))
    image = image.filter(ImageFilter.GaussianBlur(1))
    pen = ImageDraw.Draw(image)
    for _ in range(spots):
        x, y = place(*rng.uniform((25, 44), (70, 90)))
        side = int(rng.integers(6, 11))
        pen.ellipse((x, y, x + side - 1, y + side - 1), fill=(185, 60, 60))
        boxes.append(("papule" if side > 8 else "pustule", (x, y, side, side)))
    pixels = np.asarray(image) + rng.normal(0, 4, (height, width, 1))
    return Drawn(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)), boxes)


def write(folder: Path, faces: dict[str, Drawn], form: Form, classes: Sequence[str]) -> None:
    """Write photos and labels of a split; `classes.txt` comes beside the split, as the wrinkle photos have it."""
    (folder / "images").mkdir(parents=True)
    for name, drawn in faces.items():
        drawn.image.save(folder / "images" / name, quality=92)
    if form == "coco":
        content = {
            "images": [
                {"id": number, "file_name": name, "width": drawn.image.width, "height": drawn.image.height}
                for number, (name, drawn) in enumerate(faces.items())
            ],
            "annotations": [
                {"id": 0, "image_id": number, "category_id": classes.index(kind) + 1, "bbox": box, "iscrowd": 0}
                for number, drawn in enumerate(faces.values())
                for kind, box in drawn.boxes
            ],
            "categories": [{"id": number, "name": name} for number, name in enumerate(classes, start=1)],
        }
        (folder / "annotations.json").write_text(json.dumps(content))
    elif form == "yolo":
        (folder / "labels").mkdir()
        (folder.parent / "classes.txt").write_text("\n".join(classes) + "\n")
        for name, drawn in faces.items():
            lines = []
            for kind, (x, y, w, h) in drawn.boxes:
                size = (drawn.image.width, drawn.image.height)
                values = ((x + w / 2) / size[0], (y + h / 2) / size[1], w / size[0], h / size[1])
                lines.append(" ".join([str(classes.index(kind)), *(f"{value:.7f}" for value in values)]))
            (folder / "labels" / f"{Path(name).stem}.txt").write_text("\n".join(lines))
    else:
        with (folder / "_annotations.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"])
            for name, drawn in faces.items():
                size = (drawn.image.width, drawn.image.height)
                table.writerows([name, *size, kind, x, y, x + w, y + h] for kind, (x, y, w, h) in drawn.boxes)


def dataset(folder: Path, form: Form, lesions: tuple[int, int] = (20, 6), wrinkles: tuple[int, int] = (8, 5)) -> Path:
    """Write a whole folder for `--data`: photos of train and of valid with lesions, and with wrinkles."""
    seed = 0
    for split, count in zip(("train", "valid"), lesions, strict=True):
        faces = {f"face-{seed + k:02}.jpg": face(seed + k, spots=(0, 3, 8, 24, 12)[k % 5]) for k in range(count)}
        write(folder / "lesions" / split, faces, form, ("papule", "pustule"))
        seed += count
    for split, count in zip(("train", "valid"), wrinkles, strict=True):
        zones = tuple(ZONES)
        faces = {
            f"face-{seed + k:02}.jpg": face(seed + k, zones=zones[k % 2 :] if k % 4 else zones[:1])
            for k in range(count)
        }
        write(folder / "wrinkles" / split, faces, "coco" if form == "coco" else "yolo", ("chin", *zones))
        seed += count
    return folder
