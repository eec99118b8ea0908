"""Writes examples as they are trained on, with their boxes, to look at them.

    python -m training.preview views --out /tmp/views      # crops as a phone might have taken them
    python -m training.preview pasted --out /tmp/pasted    # faces before and after lesions were pasted into them

Keep the images out of the project, whose license does not cover the photos.
"""

from training import commands

if __name__ == "__main__":  # before what --help does not need
    commands.preview(__doc__).parse_args()

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from bentos.skin.photo.crop import CROP_SIZE
from training import augment, data, pasting
from training.data import DataError

VIEW_SIDE = 384  # px


def views(folder: Path, number: int) -> Iterator[Image.Image]:
    """Yield augmented views, two of acne for one of wrinkles.

    Args:
        folder: of the labelled photos.
        number: of views.

    Raises:
        DataError: as `data.load`.
    """
    fit, rng = data.load(folder).fit, np.random.default_rng(0)
    for position in range(number):
        examples = fit.wrinkles if position % 3 == 2 else fit.acne
        view = augment.random_view(examples[rng.integers(len(examples))], VIEW_SIDE, rng)
        yield _with_boxes(view.pixels, (view.lesions, *view.wrinkles.values()))


def pasted(folder: Path, number: int) -> Iterator[Image.Image]:
    """Yield faces without lesions: as they were, with lesions pasted in, and with the boxes of these.

    Args:
        folder: of the labelled photos, `london` among them.
        number: of faces.

    Raises:
        DataError: as `data.load` and `data.london`.
    """
    fit = data.load(folder).fit
    clear = [face for face, label in data.london(folder) if label.split == "fit" and label.lesions == 0]
    others = [example for example in fit.wrinkles if example.crop.landmarks is not None]
    receivers = [face for pair in zip(clear, others, strict=False) for face in pair]
    donors = [example for example in fit.acne if example.crop.landmarks is not None]
    before = {example.group: example.crop.pixels for example in receivers}
    for example in pasting.pasted_examples(receivers, donors, number):
        after = example.crop.pixels
        shown = (before[example.group], after, np.asarray(_with_boxes(after, (example.lesions,))))
        sheet = Image.new("RGB", (len(shown) * CROP_SIZE, CROP_SIZE))
        for column, pixels in enumerate(shown):
            sheet.paste(Image.fromarray(pixels), (column * CROP_SIZE, 0))
        yield sheet


def _with_boxes(pixels: NDArray[np.uint8], parts: Iterable[ArrayLike]) -> Image.Image:
    image = Image.fromarray(pixels)
    for boxes in parts:
        for x, y, width, height in np.asarray(boxes):
            ImageDraw.Draw(image).rectangle([x, y, x + width, y + height], outline="lime")
    return image


def main() -> None:
    parser = commands.preview(__doc__)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        for position, image in enumerate(
            {"views": views, "pasted": pasted}[options.kind](options.data, options.number)
        ):
            image.save(options.out / f"{position:02}.png")
    except DataError as error:
        parser.error(str(error))
    print(f"wrote {options.number} images to {options.out}")


if __name__ == "__main__":
    main()
