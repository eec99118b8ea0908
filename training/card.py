"""The text of training/MODEL_CARD.md (after Mitchell et al., Model Cards, FAccT 2019), made of measured figures."""

from collections.abc import Iterable, Mapping
from typing import Any

from bentos.skin.findings import WRINKLE_ZONES
from bentos.skin.measure.tone import GROUPS
from bentos.skin.model.bundle import MODEL, Manifest
from training.distortions import DISTORTIONS
from training.figures import GRADES
from training.summary import ROBUST_ACNE, ROBUST_WRINKLES, better

LINES = {  # place of a figure → what it is called
    "acne/severity_accuracy": "severity accuracy",
    "acne/severity_kappa": "severity, quadratic kappa",
    "acne/count_mae": "count, mean absolute error",
    "acne/count_bias": "count, bias",
    "acne/count_spearman": "count, Spearman",
    "acne/box_ap_30": "boxes, AP at IoU .3, all candidates",
    "acne/box_ap_50": "boxes, AP at IoU .5, all candidates",
    "acne/box_ap_30_shown": "boxes shown, AP at IoU .3",
    "acne/box_ap_50_shown": "boxes shown, AP at IoU .5",
    "acne/box_precision_30": "boxes shown, precision at IoU .3",
    "acne/box_recall_30": "boxes shown, recall at IoU .3",
    "acne/box_precision_50": "boxes shown, precision at IoU .5",
    "acne/box_recall_50": "boxes shown, recall at IoU .5",
    **{f"wrinkles/auc/{zone}": f"wrinkle AUC, {zone.replace('_', ' ')}" for zone in WRINKLE_ZONES},
    "wrinkles/auc_mean": "wrinkle AUC, mean of four",
    "wrinkles/accuracy": "wrinkle zones judged rightly at one half",
    "acne/box_confidence_ece": "ECE of a shown box's confidence",
    "acne/severity_confidence_ece": "ECE of severity's confidence",
    "wrinkles/zone_chance_ece": "ECE of a zone's chance",
}
MAIN = ("severity_accuracy", "count_mae", "count_bias", "box_ap_30", "box_ap_50")
ERROR_TOLD = 0.05  # expected calibration error from which the card names it a weakness

USE = """\
## What it is for
Research, evaluation and demonstration of a self-hosted skin analysis: where on a face acne lesions and
wrinkles lie, how many lesions there are, and which class of Hayashi's scale (J Dermatol 2008) that is.

## What it must not be used for
- Medical diagnosis, triage, choice or control of a treatment. It is not a medical device.
- Decisions about people: employment, insurance, credit, identification, estimates of age, origin or health.
- Commercial use, or any use that the terms of the photographs below do not allow.
- Parts of the body other than the face, drawings, masks: it was trained on none of them.
- Comparing people of different skin tones with each other: read the figures by tone first.
"""
DATA = """\
## Data and their terms
| | what | terms |
|---|---|---|
| ACNE04 (Wu et al., ICCV 2019), a re-export | faces with acne, a box for each lesion, severity judged by \
dermatologists | academic use |
| wrinkle collection | faces, a box for each wrinkle of forehead, crow's feet, frown, nasolabial fold | MIT by its \
README; the terms of the photographs in it are not known |
| encoder | EfficientNet-Lite0 trained on ImageNet, from a package on PyPI | Apache-2.0 |

Train photos that show a valid photo again were left out of training; other shots of one person may lie in both splits
of ACNE04, as in every published figure on it. All ACNE04 faces have acne: clear skin was not labelled. Who the people
are, their ages and origins, is not known. None of the photographs is in this project. **The weights are for research
and evaluation only**; `bentos/skin/weights/LICENSE.weights` says it in full, and the code's Apache-2.0 does not cover
them.
"""
LIMITS = """\
- Lesions are labelled without their kind; scars, moles and freckles are not labelled, and are told from lesions only
  as far as the boxes teach it.
- The wrinkle boxes are plausible, not exhaustive: some of the zones counted as wrongly found do have fine lines.
- Of the model's boxes those below a confidence of .35 are often wrong: they sit on hairlines, beards, shaven heads,
  pores of the nose, head scarves. They are shown since a client can leave them out and cannot put them in; the count
  is not their number.
- The heuristics take strands of hair, ears, teeth and stubble for lesions, and on old faces the folds of the cheeks;
  on full faces they join neighbouring lesions.
- Eyes that are shut or screwed up, beards and glasses mislead both about the wrinkles beside them.
- A clear face is not among the labelled photos: count 0 is answered without a confidence.
- Where no face is found the whole photo is analysed, and zones have no place of their own.
- The tone group is the colour of the photo, uncalibrated: dim or coloured light moves a face into another group.
- Each wrinkle zone has few negatives, so the intervals of its area are wide.
"""
REPRODUCE = """\
## How to reproduce
```
make train                          # data, network, export, bundle; then
make evaluate                       # this card, the plots, both metrics.json
```
Draws are seeded; figures come out the same to three decimals. Latency is this machine's and stands in `latency.json`.
"""


def text(metrics: Mapping[str, Any], manifest: Manifest) -> str:
    """The whole card.

    Args:
        metrics: of "model", with its differences to the other, and of "heuristic".
        manifest: of the bundle that was measured.
    """
    model, heuristic = metrics["model"], metrics["heuristic"]
    parts = [
        f"# Model card: {manifest.name} {manifest.version}",
        f"Written by `python -m training.evaluate`; do not edit. {manifest.notice}\n",
        f"Network: EfficientNet-Lite0 with heads for lesions, count, severity and wrinkles; {MODEL} has "
        f"{manifest.files[MODEL].size / 1e6:.1f} MB, sha256 `{manifest.files[MODEL].sha256}`. Beside it stands the "
        "fallback, the heuristics in `bentos/skin/measure`, measured on the very same photos.\n",
        USE,
        DATA,
        "## Figures",
        f"On the valid photos, none of which was trained on: {model['dataset']['acne']}; "
        f"{model['dataset']['wrinkles']}. Photos went through the serving code from their bytes on; no face was found "
        f"in {_faceless(model)}. In brackets {model['interval']}; differences are paired.\n",
        _figures(model, heuristic),
        _guesses(model),
        _pixels(model),
        "![count](plots/count.png) ![severity](plots/severity.png) ![boxes](plots/precision_recall.png) "
        "![wrinkles](plots/wrinkles.png)\n",
        "## By severity",
        _groups(metrics, "by_severity", GRADES, MAIN),
        "## By skin tone",
        "Groups of this photo's colour (individual typology angle); groups of fewer than ten photos have no figures.\n",
        _groups(metrics, "by_tone", GROUPS, (*MAIN[:2], *MAIN[3:], *ROBUST_WRINKLES)),
        "## Robustness",
        _robustness(metrics),
        "## Calibration",
        _calibration(metrics),
        "## Known failures",
        _failures(model, "Model") + _failures(heuristic, "Heuristics") + LIMITS,
        REPRODUCE,
    ]
    return "\n".join(parts)


def overview(metrics: Mapping[str, Any]) -> str:
    """The main figures, a line each, for the terminal."""
    rows = [["", *metrics, *(["difference", "better"] if len(metrics) > 1 else [])]]
    for place, label in LINES.items():
        told = [_interval(_at(one, place)) for one in metrics.values()]
        rows.append([label, *told, *_difference(metrics.get("model"), place)])
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(wide[k]) for k, cell in enumerate(row)).rstrip() for row in rows)


def _figures(model: Mapping[str, Any], heuristic: Mapping[str, Any]) -> str:
    rows = [
        [label, _interval(_at(model, place)), _interval(_at(heuristic, place)), *_difference(model, place)]
        for place, label in LINES.items()
    ]
    return _table(["", "model", "heuristics", "model minus heuristics", "better by more than the interval"], rows)


def _difference(model: Mapping[str, Any] | None, place: str) -> list[str]:
    """The difference with its interval, and whom it speaks for; nothing where only one path was measured."""
    if model is None or "minus_heuristic" not in model:
        return []
    place = f"{place}_size" if place.endswith("_bias") else place
    difference = _at(model["minus_heuristic"], place)
    verdict = {True: "model", False: "heuristics", None: "neither"}[better(place, difference)]
    return [_interval(difference, sign=True) + (" in size" if place.endswith("_size") else ""), verdict]


def _guesses(model: Mapping[str, Any]) -> str:
    acne, wrinkles = model["acne"], model["wrinkles"]
    return (
        f"Constant guesses: always the median train count errs by {_interval(acne['count_mae_of_train_median'])}; "
        f'always the commonest severity is right in {_interval(acne["severity_accuracy_of_majority"])}; "wrinkled" is '
        f"right for {_interval(wrinkles['accuracy_of_majority'])} of the zones.\n"
    )


def _pixels(model: Mapping[str, Any]) -> str:
    maps = model["wrinkles"].get("pixel_ap")
    if maps is None:
        return ""
    zones = ", ".join(f"{zone.replace('_', ' ')} {_interval(told)}" for zone, told in maps.items())
    mean = _interval(model["wrinkles"]["pixel_ap_mean"])
    return f"Wrinkle maps, average precision of their cells against the drawn boxes: {zones}; mean {mean}.\n"


def _groups(metrics: Mapping[str, Any], key: str, order: Iterable[str], names: Iterable[str]) -> str:
    model, heuristic, names = metrics["model"], metrics["heuristic"], tuple(names)
    rows = []
    for group in order:
        if group not in model.get(key, {}):
            continue
        count = model[key][group]["photos"]
        photos = f"{count['acne']} + {count['wrinkles']}" if isinstance(count, dict) else str(count)
        for label, one in (("model", model), ("heuristics", heuristic)):
            rows.append([group.replace("_", " "), photos, label, *(_interval(one[key][group].get(k)) for k in names)])
    return _table(["group", "photos", "path", *(_words(name) for name in names)], rows)


def _robustness(metrics: Mapping[str, Any]) -> str:
    if "robustness" not in metrics["model"]:
        return "Not measured.\n"
    photos = metrics["model"]["robustness"]["photos"]
    names = (*ROBUST_ACNE, *ROBUST_WRINKLES)
    rows = []
    for key, label in {"undistorted": "undistorted", **{k: one.label for k, one in DISTORTIONS.items()}}.items():
        for path, one in metrics.items():
            found = one["robustness"][key]
            rows.append([label, path, *(_changed(found, name) for name in names)])
    return (
        f"{photos['acne']} acne and {photos['wrinkles']} wrinkle photos, drawn with a seed, distorted before they are "
        "sent: the figure, and its change with interval.\n\n"
        + _table(["", "path", *(_words(name) for name in names)], rows)
        + "\n![robustness](plots/robustness.png)\n"
    )


def _changed(found: Mapping[str, Any], name: str) -> str:
    value = _number(found[name]["value"])
    return f"{value}; {_interval(found['change'][name], sign=True)}" if "change" in found else value


def _calibration(metrics: Mapping[str, Any]) -> str:
    rows = [
        [path, *(_number(_at(one, place)) for place in LINES if place.endswith("_ece"))]
        for path, one in metrics.items()
    ]
    head = ["path", "box", "severity", "wrinkle zone"]
    return (
        "Confidences mean shares: of shown boxes that are right at IoU .3, of classes that are right, of zones "
        "that have wrinkles. They were fitted on a part of train; expected calibration error on valid, ten bins:\n\n"
        + _table(head, rows)
        + "\n![reliability](plots/reliability.png)\n"
    )


def _failures(one: Mapping[str, Any], name: str) -> str:
    """What the figures say is weak, in sentences."""
    acne, wrinkles = one["acne"], one["wrinkles"]
    told = [
        f"a {row['severity'].replace('_', ' ')} face with {row['lesions']} lesions drawn, {row['said']} said"
        for row in acne["largest_count_errors"]
    ]
    lines = [f"largest errors of the count: {'; '.join(told)}."]
    groups = {key: group for key, group in one.get("by_severity", {}).items() if "severity_accuracy" in group}
    if groups:
        worst = min(groups, key=lambda key: groups[key]["severity_accuracy"]["value"])
        confused = {said: count for said, count in acne["severity_confusion"][worst].items() if said != worst}
        lines.append(
            f"faces judged {worst.replace('_', ' ')} are classed rightly least often "
            f"({_interval(groups[worst]['severity_accuracy'])}), most often mistaken for "
            f"{max(confused, key=lambda said: confused[said]).replace('_', ' ')}."
        )
        far = max(groups, key=lambda key: abs(groups[key]["count_bias"]["value"]))
        lines.append(
            f"the count is off most on {far.replace('_', ' ')} faces: by {_interval(groups[far]['count_bias'])}."
        )
    missed = acne["box_recall_30"]["value"]
    if missed is not None:
        lines.append(f"of the drawn lesions {1 - missed:.0%} have no shown box that fits at IoU .3.")
    zones = {zone: told["value"] for zone, told in wrinkles["auc"].items() if told["value"] is not None}
    if zones:
        weakest = min(zones, key=lambda zone: zones[zone])
        lines.append(f"wrinkles are told worst in the zone {weakest.replace('_', ' ')} (AUC {zones[weakest]:.3f}).")
    if "robustness" in one:
        lines.append(_fragile(one["robustness"]))
    for place in LINES:
        if place.endswith("_ece") and (_at(one, place) or 0) > ERROR_TOLD:
            lines.append(f"{LINES[place]} is {_number(_at(one, place))}: what it says is off by that on average.")
    return "".join(f"- {name}: {line}\n" for line in lines)


def _fragile(robustness: Mapping[str, Any]) -> str:
    """The distortion that costs boxes most, and the one that costs severity most."""
    told = []
    for name in ("box_ap_30", "severity_accuracy", "auc_mean"):
        falls = {
            label.label: robustness[key]["change"][name]["value"]
            for key, label in DISTORTIONS.items()
            if robustness[key]["change"][name]["value"] is not None
        }
        if falls:
            worst = min(falls, key=lambda label: falls[label])
            told.append(f"{_words(name)} changes most by {worst} ({falls[worst]:+.3f})")
    return "; ".join(told) + "."


def _faceless(model: Mapping[str, Any]) -> str:
    return f"{model['acne']['photos_without_face']} and {model['wrinkles']['photos_without_face']} of them"


def _at(tree: Mapping[str, Any], place: str) -> Any:
    for name in place.split("/"):
        tree = tree[name]
    return tree


def _interval(told: Any, sign: bool = False) -> str:
    """A figure as people read it: .812 [.780, .840]; a plain number without brackets; a dash where there is none."""
    if not isinstance(told, Mapping):
        return _number(told, sign)
    if told["value"] is None:
        return _number(None)
    edges = [told[key] for key in ("value", "low", "high")]
    digits = 3 if max(map(abs, edges)) <= 1 else 2
    value, low, high = (_number(edge, sign, digits) for edge in edges)
    return f"{value} [{low}, {high}]"


def _number(value: float | None, sign: bool = False, digits: int = 3) -> str:
    if value is None:
        return "–"
    return f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"


def _words(name: str) -> str:
    return next((label for place, label in LINES.items() if place.rsplit("/", 1)[-1] == name), name.replace("_", " "))


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
