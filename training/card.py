"""Writes the text of training/MODEL_CARD.md from the measured metrics (Mitchell et al., Model Cards, FAccT 2019)."""

from collections.abc import Iterable, Mapping
from typing import Any

from bentos.skin.findings import WRINKLE_ZONES
from bentos.skin.model.bundle import MODEL, REPEATABILITY, Manifest
from training.distortions import CAST, DISTORTIONS
from training.metrics import LABELLED_SEVERITIES
from training.retakes import CUT, JPEG_HIGH, JPEG_LOW, SMALLEST, STOPS
from training.summary import BY_PERSON, ROBUST_ACNE, ROBUST_WRINKLES, better

LABELS = {  # path of a metric in metrics.json → its name in the card
    "acne/severity_accuracy": "severity accuracy",
    "acne/severity_kappa": "severity, quadratic kappa",
    "acne/count_mae": "count, mean absolute error",
    "acne/count_bias": "count, bias",
    "acne/count_spearman": "count, Spearman",
    "acne/box_ap_30": "boxes, AP at IoU .3, all candidates",
    "acne/box_ap_50": "boxes, AP at IoU .5, all candidates",
    "acne/box_precision_30": "boxes shown, precision at IoU .3",
    "acne/box_recall_30": "boxes shown, recall at IoU .3",
    "acne/box_precision_50": "boxes shown, precision at IoU .5",
    "acne/box_recall_50": "boxes shown, recall at IoU .5",
    **{f"wrinkles/auc/{zone}": f"wrinkle AUC, {zone.replace('_', ' ')}" for zone in WRINKLE_ZONES},
    "wrinkles/auc_mean": "wrinkle AUC, mean of four",
    "wrinkles/accuracy": "wrinkle accuracy at probability one half",
    "wrinkles/unseen_zones": "wrinkle zones not seen, share",
    "wrinkles/shown_boxes": "lesions shown on a wrinkle photo, mean",
    "acne/box_confidence_ece": "ECE of the confidence of shown boxes",
    "acne/severity_confidence_ece": "ECE of the confidence of severity",
    "wrinkles/zone_chance_ece": "ECE of the wrinkle probability of a zone",
}
LIMITED = {  # a limit of repeatability → its name in the card, with the unit
    "acne": "acne score, points of 0 to 100",
    "count": "count, lesions",
    "wrinkles": "wrinkle score, points",
    "redness": "redness, points",
    "pigmentation": "pigmentation, points",
    "shine": "shine, points",
    "texture": "texture, points",
    "ita_degrees": "tone, degrees of ITA",
}
MAIN = ("severity_accuracy", "count_mae", "count_bias", "box_ap_30", "box_ap_50")
ECE_MAX = 0.05  # a larger expected calibration error is listed among the known failures

USE = """\
## Intended use
Research, evaluation and demonstration of a self-hosted skin analysis: where on a face acne lesions and
wrinkles lie, how many lesions there are, and which class of Hayashi's scale (J Dermatol 2008) that is.

## Uses that are not allowed
- Medical diagnosis, triage, choice or control of a treatment. It is not a medical device.
- Decisions about people: employment, insurance, credit, identification, estimates of age, origin or health.
- Commercial use, or any use that the terms of the photographs below do not allow.
- Parts of the body other than the face, drawings, masks: the training photos show none of them.
- Comparing people of different skin tones with each other: the groups that were measured are small.
"""
DATA = """\
## Data and their terms
| data | content | terms |
|---|---|---|
| ACNE04 (Wu et al., ICCV 2019), a re-export | faces with acne, a box for each lesion, an official class of severity; \
train in two augmented variants of each photo | academic use |
| 258 photos of the same train split in another public copy | without the exporter's changes, cut to squares; boxes \
carried over by matching | no licence stated; the authors: academic use |
| lesions of ACNE04 drawn anew (Gazeau et al., MICCAI 2024) | circles, comedones too: places that count neither as \
lesion nor as background | no licence file; asks for citation |
| severities by single doctors (xpwu95/LDL) | for comparison alone | academic use |
| wrinkle collection | faces, a box for each wrinkle of forehead, crow's feet, frown, nasolabial fold | MIT by its \
README; the terms of the photographs in it are not known |
| Face Research Lab London Set (DeBruine and Jones, 2017), 53 adults | mostly clear skin; lesions counted by eye, with \
a least and a most. 36 were trained on, also with lesions of ACNE04 pasted in | CC BY 4.0 |
| encoder | EfficientNet-Lite0 trained on ImageNet, from a package on PyPI | Apache-2.0 |

Train photos that also occur in the valid split were left out of training. Other photos of the same person may lie in
both splits of ACNE04, as in every published result on it, so that valid flatters. All ACNE04 faces have acne; clear
skin comes from London. The identity, age and origin of the people are not known.

**Where the labels end.** The file names of 37 photos say another class than the official one, which counts here. Every
clean photo with exactly 21 boxes (16 of valid) looks padded to the limit of a class. A second team of experts drew
three times as many lesions, comedones too; 66 % of the boxes here hold one of theirs. So the place of a lesion is
certain to two teams in two cases of three, its extent less: average precision at IoU .5 has a low ceiling. London's
lesions were counted by eye from photographs, not by a doctor. Few faces are dark, and none of these with acne was
photographed: lesions were pasted in. **No parity between tones of skin is claimed.** About 600 people are in ACNE04.

None of the photographs is in this project. **The weights are for
research and evaluation only**; see `bentos/skin/weights/LICENSE.weights`. The Apache-2.0 license of the code does not
cover them.
"""
LIMITS = """\
- The type of a lesion is not labelled. Scars, moles and freckles are not labelled either, so both predictors may take
  them for lesions.
- The wrinkle boxes are not exhaustive: some zones without a box have fine lines, and count as errors when predicted.
- Boxes below the default threshold are more often wrong than right; `min_confidence=0` shows them too. The predicted
  count is not the number of boxes.
- The heuristics take strands of hair, ears, teeth, stubble and, on old faces, folds of the cheeks for lesions; where
  lesions are many they join neighbouring ones.
- Closed or screwed-up eyes, beards and glasses cause wrong wrinkle predictions beside them.
- ACNE04 has no clear face, and the London faces that are were labelled by eye: a count of 0 has no confidence.
- A close-up of skin without a face is analysed as a whole; its zones have no position. So are a neck, a hand, or hair
  that has the colour of skin.
- A hand in the tone of the face is taken for its skin. A headscarf in the colour of skin that leaves the mouth free is
  taken for forehead and temples.
- Dark skin one stop brighter or darker may be told from lighter or darker skin by the whites of the eyes alone.
- The skin tone group is the uncalibrated colour of the photo: dim or coloured light changes the group.
- Few photos lack wrinkles in a zone, so the intervals of its AUC are wide.
"""
REPRODUCE = """\
## How to reproduce
```
make train-long BUNDLE=/tmp/bundle  # data, network, calibration, bundle; 4 hours
make evaluate                       # of the project's weights: this card, the plots, both metrics.json
make repeatability                  # the limits of repeatability, into the same files
```
All seeds are fixed; the metrics are reproduced to three decimals. Latency depends on the machine and is in
`latency.json`.
"""


def text(metrics: Mapping[str, Any], manifest: Manifest) -> str:
    """Write the whole card as Markdown.

    Args:
        metrics: content of metrics.json of "model", with the differences, and of "heuristic".
        manifest: of the bundle that was measured.
    """
    model, heuristic = metrics["model"], metrics["heuristic"]
    parts = [
        f"# Model card: {manifest.name} {manifest.version}",
        f"Written by `python -m training.evaluate` and `training.repeatability`; do not edit. {manifest.notice}\n",
        f"Network: EfficientNet-Lite0 with heads for lesions, count, severity and wrinkles; {MODEL} has "
        f"{manifest.files[MODEL].size / 1e6:.1f} MB, sha256 `{manifest.files[MODEL].sha256}`. The fallback, the "
        "heuristics in `bentos/skin/measure`, was measured on the same photos.\n",
        USE,
        DATA,
        "## Metrics",
        f"Measured on the valid photos, none of which was trained on: {model['dataset']['acne']}; "
        f"{model['dataset']['wrinkles']}. The code of the service processed each photo from its bytes; it found no "
        f"face in {_faceless(model)}. In brackets {model['interval']}; differences are paired.\n",
        _main_table(model, heuristic),
        _doctors(model),
        _constant_predictions(model),
        _wrinkle_maps(model),
        "![count](plots/count.png) ![severity](plots/severity.png) ![boxes](plots/precision_recall.png) "
        "![wrinkles](plots/wrinkles.png)\n",
        "## By severity",
        _group_table(metrics, "by_severity", LABELLED_SEVERITIES, MAIN),
        "## People never trained on",
        _by_person(metrics),
        "## Clear skin, and other people",
        _london(metrics),
        "## Robustness",
        _robustness(metrics),
        "## Repeatability",
        _repeatability(metrics),
        "## Calibration",
        _calibration(metrics),
        "## Known failures",
        _failures(model, "Model") + _failures(heuristic, "Heuristics") + LIMITS,
        REPRODUCE,
    ]
    return "\n".join(parts)


def overview(metrics: Mapping[str, Any]) -> str:
    """Write the main metrics for the terminal, one line each.

    Args:
        metrics: content of metrics.json by predictor.
    """
    rows = [["", *metrics, *(["difference", "better"] if len(metrics) > 1 else [])]]
    for path, label in LABELS.items():
        values = [_interval(_at(content, path)) for content in metrics.values()]
        rows.append([label, *values, *_difference(metrics.get("model"), path)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(widths[k]) for k, cell in enumerate(row)).rstrip() for row in rows)


def _main_table(model: Mapping[str, Any], heuristic: Mapping[str, Any]) -> str:
    rows = [
        [label, _interval(_at(model, path)), _interval(_at(heuristic, path)), *_difference(model, path)]
        for path, label in LABELS.items()
    ]
    return _table(["metric", "model", "heuristics", "model minus heuristics", "better by more than the interval"], rows)


def _difference(model: Mapping[str, Any] | None, path: str) -> list[str]:
    """Return the difference with its interval, and which predictor is better; nothing where only one was measured."""
    if model is None or "minus_heuristic" not in model:
        return []
    path = f"{path}_size" if path.endswith("_bias") else path
    difference = _at(model["minus_heuristic"], path)
    verdict = {True: "model", False: "heuristics", None: "neither"}[better(path, difference)]
    return [_interval(difference, sign=True) + (" in size" if path.endswith("_size") else ""), verdict]


def _doctors(model: Mapping[str, Any]) -> str:
    if "doctors" not in model:
        return ""
    doctors = model["doctors"]
    return (
        "Severity is the official class: Hayashi's limits on the official count. Single doctors who judged "
        f"{doctors['photos']} of the same photos gave that class to {_number(doctors['with_official'])} of them; two "
        f"of them agreed on {_number(doctors['between'])}, to within one class on "
        f"{_number(doctors['within_one_class'])}.\n"
    )


def _constant_predictions(model: Mapping[str, Any]) -> str:
    acne, wrinkles = model["acne"], model["wrinkles"]
    return (
        "Constant predictions, for comparison: the median train count has a mean absolute error of "
        f"{_interval(acne['count_mae_of_train_median'])}; the most frequent severity has an accuracy of "
        f'{_interval(acne["severity_accuracy_of_majority"])}; "wrinkled" has an accuracy of '
        f"{_interval(wrinkles['accuracy_of_majority'])}.\n"
    )


def _wrinkle_maps(model: Mapping[str, Any]) -> str:
    maps = model["wrinkles"].get("pixel_ap")
    if maps is None:
        return ""
    zones = ", ".join(f"{zone.replace('_', ' ')} {_interval(ap)}" for zone, ap in maps.items())
    mean = _interval(model["wrinkles"]["pixel_ap_mean"])
    return f"Wrinkle maps, average precision of their cells against the labelled boxes: {zones}; mean {mean}.\n"


def _group_table(metrics: Mapping[str, Any], key: str, order: Iterable[str], names: Iterable[str]) -> str:
    model, heuristic, names = metrics["model"], metrics["heuristic"], tuple(names)
    rows = []
    for group in order:
        if group not in model.get(key, {}):
            continue
        count = model[key][group]["photos"]
        photos = f"{count['acne']} + {count['wrinkles']}" if isinstance(count, dict) else str(count)
        for label, content in (("model", model), ("heuristics", heuristic)):
            values = (_interval(content[key][group].get(name)) for name in names)
            rows.append([group.replace("_", " "), photos, label, *values])
    return _table(["group", "photos", "predictor", *(_label(name) for name in names)], rows)


def _by_person(metrics: Mapping[str, Any]) -> str:
    """The figures on the held-out people of train, and the doctors' agreement with the official class."""
    if "by_person" not in metrics["model"]:
        return "Not measured.\n"
    model, heuristic = (metrics[name]["by_person"] for name in ("model", "heuristic"))
    rows = [[_label(name), _interval(model[name]), _interval(heuristic[name])] for name in BY_PERSON]
    return (
        f"{model['photos']} photos of train of people of whom no other photo was trained on: photos that share a place "
        "by ORB features count as one person. Choices and calibrations were made on these photos, so they flatter a "
        "little; valid shares people with train, and flatters otherwise. The constants of the heuristics were fitted "
        "on all photos of train, these among them: here they flatter more than the model.\n\n"
        + _table(["metric", "model", "heuristics"], rows)
    )


def _london(metrics: Mapping[str, Any]) -> str:
    """The figures of the London faces, with the number of faces of each group."""
    if "london" not in metrics["model"]:
        return "Not measured.\n"
    rows = []
    for predictor, content in metrics.items():
        figures = content["london"]
        groups = {"check split": figures["check"]}
        groups |= {f"all, Monk {name}": group for name, group in figures["by_monk"].items()}
        groups |= {f"all, {name}": group for name, group in figures["by_ethnicity"].items()}
        for name, group in groups.items():
            if not group["faces"]:
                continue
            rows.append(
                [
                    predictor,
                    f"{name}: {group['faces']}",
                    _number(group["count_within"]),
                    f"{group['called_clear']} of {group['clear']}",
                    f"{group['called_spotted']} of {group['spotted']}",
                    _number(group["severity_within"]),
                    _number(group["shown_boxes"]),
                    _number(group["zone_ece"]),
                    _number(group["zone_auc"]),
                ]
            )
    head = ["predictor", "faces", "count within bounds", "clear, called clear", "spotted, called so"]
    head += ["severity within bounds", "boxes shown", "wrinkle zones, ECE", "wrinkle zones, AUC"]
    bare = metrics["model"]["london"]
    return (
        f"{metrics['model']['dataset']['london']}, with a least and a most number of lesions each. Skin tone is by eye "
        "on the Monk scale, ethnicity as the people said; the groups are small. Surely clear: a most of 1 or less; "
        "spotted: a least of 1 or more. The threshold below which a face is called clear was set on the fit split, "
        f"which has no face of the check split. Of {bare['bare_faces']} faces without beard and fringe, "
        f"{bare['bare_faces_with_unseen_zones']} have a zone that is called unseen.\n\n" + _table(head, rows)
    )


def _robustness(metrics: Mapping[str, Any]) -> str:
    if "robustness" not in metrics["model"]:
        return "Not measured.\n"
    photos = metrics["model"]["robustness"]["photos"]
    names = (*ROBUST_ACNE, *ROBUST_WRINKLES)
    rows = []
    labels = {"undistorted": "undistorted", **{key: distortion.label for key, distortion in DISTORTIONS.items()}}
    for key, label in labels.items():
        for predictor, content in metrics.items():
            values = content["robustness"][key]
            rows.append([label, predictor, *(_value_and_change(values, name) for name in names)])
    return (
        f"{photos['acne']} acne and {photos['wrinkles']} wrinkle photos, chosen with a fixed seed, were distorted "
        "before the service decoded them. Each cell holds the metric and its change with interval.\n\n"
        + _table(["distortion", "predictor", *(_label(name) for name in names)], rows)
        + "\n![robustness](plots/robustness.png)\n"
    )


def _value_and_change(values: Mapping[str, Any], name: str) -> str:
    value = _number(values[name]["value"])
    return f"{value}; {_interval(values['change'][name], sign=True)}" if "change" in values else value


def _repeatability(metrics: Mapping[str, Any]) -> str:
    """The limits of repeatability of both; what the model does not find comes from the heuristics always."""
    limits = {name: content.get(REPEATABILITY) for name, content in metrics.items()}
    if None in limits.values():
        return "Not measured.\n"
    rows = [
        [label, str(limits["model"].get(name, "–")), str(limits["heuristic"][name])] for name, label in LIMITED.items()
    ]
    return (
        "A difference between two photos of one face means something only where it is larger than this: 95 % of the "
        f"differences between retakes of {limits['heuristic']['photos']} photos lie within it (the repeatability limit "
        "of ISO 5725-1), on faces with few lesions and on those with many. For a retake up to "
        f"{CUT:.0%} is cut off each side, the size is {SMALLEST:.0%} to 100% of the photo's, the JPEG quality "
        f"{JPEG_LOW} to {JPEG_HIGH}, the exposure up to {STOPS:g} stop off, red and blue up to {CAST:.0%}; those in "
        "which the quality check finds what it does not in the photo do not count. Real photos differ in expression, "
        "pose, focus and the direction of the light too, and their scores by more. Tone depends on exposure more than "
        "on all else.\n\n" + _table(["score", "model", "heuristics"], rows)
    )


def _calibration(metrics: Mapping[str, Any]) -> str:
    rows = [
        [predictor, *(_number(_at(content, path)) for path in LABELS if path.endswith("_ece"))]
        for predictor, content in metrics.items()
    ]
    head = ["predictor", "box", "severity", "wrinkle zone"]
    return (
        "A confidence is a share: of shown boxes that are correct at IoU .3, of severities that are correct, of zones "
        "that have wrinkles. Confidences were fitted on a part of train. Their expected calibration error (ECE) on the "
        "valid photos, with ten bins:\n\n" + _table(head, rows) + "\n![reliability](plots/reliability.png)\n"
    )


def _failures(content: Mapping[str, Any], name: str) -> str:
    """List the weaknesses that the metrics show, one sentence each."""
    acne, wrinkles = content["acne"], content["wrinkles"]
    errors = [
        f"a {row['severity'].replace('_', ' ')} face with {row['lesions']} labelled lesions, {row['said']} predicted"
        for row in acne["largest_count_errors"]
    ]
    lines = [f"largest errors of the count: {'; '.join(errors)}."]
    groups = {key: group for key, group in content.get("by_severity", {}).items() if "severity_accuracy" in group}
    if groups:
        worst = min(groups, key=lambda key: groups[key]["severity_accuracy"]["value"])
        confusion = {other: count for other, count in acne["severity_confusion"][worst].items() if other != worst}
        lines.append(
            f"severity accuracy is lowest on {worst.replace('_', ' ')} faces "
            f"({_interval(groups[worst]['severity_accuracy'])}), most often predicted as "
            f"{max(confusion, key=lambda other: confusion[other]).replace('_', ' ')}."
        )
        biased = max(groups, key=lambda key: abs(groups[key]["count_bias"]["value"]))
        lines.append(
            f"the bias of the count is largest on {biased.replace('_', ' ')} faces: "
            f"{_interval(groups[biased]['count_bias'])}."
        )
    recall = acne["box_recall_30"]["value"]
    if recall is not None:
        lines.append(f"{1 - recall:.0%} of the labelled lesions have no shown box at IoU .3.")
    zones = {zone: auc["value"] for zone, auc in wrinkles["auc"].items() if auc["value"] is not None}
    if zones:
        weakest = min(zones, key=lambda zone: zones[zone])
        lines.append(f"wrinkle AUC is lowest in the zone {weakest.replace('_', ' ')} ({zones[weakest]:.3f}).")
    if "robustness" in content:
        lines.append(_largest_changes(content["robustness"]))
    for path in LABELS:
        if path.endswith("_ece") and (_at(content, path) or 0) > ECE_MAX:
            lines.append(f"{LABELS[path]} is {_number(_at(content, path))}.")
    return "".join(f"- {name}: {line}\n" for line in lines)


def _largest_changes(robustness: Mapping[str, Any]) -> str:
    """Name the distortion that lowers boxes, severity and wrinkles most."""
    changes = []
    for name in ("box_ap_30", "severity_accuracy", "auc_mean"):
        changes_of = {
            distortion.label: robustness[key]["change"][name]["value"]
            for key, distortion in DISTORTIONS.items()
            if robustness[key]["change"][name]["value"] is not None
        }
        if changes_of:
            worst = min(changes_of, key=lambda label: changes_of[label])
            changes.append(f'{_label(name)} falls most under "{worst}" ({changes_of[worst]:+.3f})')
    return "; ".join(changes) + "."


def _faceless(model: Mapping[str, Any]) -> str:
    return f"{model['acne']['photos_without_face']} and {model['wrinkles']['photos_without_face']} of them"


def _at(tree: Mapping[str, Any], path: str) -> Any:
    for name in path.split("/"):
        tree = tree[name]
    return tree


def _interval(metric: Any, sign: bool = False) -> str:
    """Format a metric: 0.812 [0.780, 0.840]; without an interval 0.812; undefined –."""
    if not isinstance(metric, Mapping):
        return _number(metric, sign)
    if metric["value"] is None:
        return _number(None)
    edges = [metric[key] for key in ("value", "low", "high")]
    digits = 3 if max(map(abs, edges)) <= 1 else 2
    value, low, high = (_number(edge, sign, digits) for edge in edges)
    return f"{value} [{low}, {high}]"


def _number(value: float | None, sign: bool = False, digits: int = 3) -> str:
    if value is None:
        return "–"
    return f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"


def _label(name: str) -> str:
    return next((label for path, label in LABELS.items() if path.rsplit("/", 1)[-1] == name), name.replace("_", " "))


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
