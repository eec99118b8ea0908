"""The service runs, but its model does not: the log of weights and runners says why."""

from tests.rollout.causes.evidence import UP, Example, Miss, log, log_line, make_evidence, weights
from tests.rollout.causes.messages import LOADED, MODEL, REFUSED

EXAMPLES = [
    Example(
        "WEIGHTS_DENIED",
        make_evidence(running_tasks=MODEL, logs=log(9, *UP, weights("weights_unreachable", REFUSED))),
        "allow s3:GetObject on arn:aws:s3:::shine-weights/face-skin/*",
        "S3 refuses",
        True,
    ),
    Example(
        "WEIGHTS_PIN",
        make_evidence(
            running_tasks=MODEL,
            logs=log(9, weights("weights_corrupt", f"The manifest in s3://b/f has sha256 {'a' * 64}, not the pin's.")),
        ),
        "not the pinned ones",
        "not the pin's",
        True,
    ),
    Example(
        "WEIGHTS_PIN",
        make_evidence(
            running_tasks=MODEL,
            logs=log(9, weights("weights_missing", f"The pinned version {'a' * 64} is not in s3://b/f.")),
        ),
        "The pinned version",
        "is not in s3://b/f",
        True,
        "missing",
    ),
    Example(
        "WEIGHTS_MISSING",
        make_evidence(
            running_tasks=MODEL, logs=log(9, weights("weights_missing", "There is no manifest.json in s3://b/f."))
        ),
        "There is no manifest.json in s3://b/f",
        "weights cannot be loaded",
        True,
    ),
    Example(
        "WEIGHTS_UNREACHABLE",
        make_evidence(
            running_tasks=MODEL,
            logs=log(9, weights("weights_unreachable", "S3 cannot be reached (EndpointConnectionError).")),
        ),
        "S3 cannot be reached",
        "weights_unreachable",
        False,
    ),
    Example(
        "WEIGHTS_CORRUPT",
        make_evidence(
            running_tasks=MODEL,
            logs=log(9, weights("weights_corrupt", "f/model.onnx has not the sha256 that the manifest says.")),
        ),
        "model.onnx has not the sha256",
        "weights_corrupt",
        True,
    ),
    Example(
        "WEIGHTS_INCOMPATIBLE",
        make_evidence(
            running_tasks=MODEL,
            logs=log(9, weights("weights_incompatible", "format_version is 2; this service reads 1.")),
        ),
        "format_version is 2",
        "weights_incompatible",
        True,
    ),
    Example(
        "SELF_TEST_FAILED",
        make_evidence(
            running_tasks=MODEL,
            logs=log(9, weights("self_test_failed", "count differs by 3.1 from what was recorded.")),
        ),
        "count differs by 3.1",
        "self_test_failed",
        True,
    ),
    Example(
        "SELF_TEST_FAILED",
        make_evidence(
            running_tasks=MODEL,
            logs=log(
                9,
                log_line(
                    "the model's answers are poisoned: it is out of service",
                    "error",
                    "shine.model",
                    cause="NaN in boxes",
                ),
            ),
        ),
        "NaN in boxes",
        "poisoned",
        True,
        "poisoned",
    ),
    Example(
        "RUNNER_DIES",
        make_evidence(
            running_tasks=MODEL,
            logs=log(
                9, *[log_line("a worker ended by itself and is started anew", "error", worker="SkinModel", pid=7)] * 4
            ),
        ),
        "SkinModel ended by itself or hung 4 times",
        "a worker ended by itself",
        False,
    ),
]

IN_TEXT = f"10:00:00 warning weights are in service version=1.0.0 note=Offline, the cached version is used. {REFUSED}"

MISSES = [
    Miss("WEIGHTS_DENIED", make_evidence(running_tasks=MODEL, logs=log(9, IN_TEXT)), "the cache serves"),
    Miss(
        "WEIGHTS_MISSING",
        make_evidence(running_tasks=MODEL, logs=log(9, weights("weights_missing", "none"), LOADED)),
        "cured since",
    ),
    Miss(
        "WEIGHTS_UNREACHABLE",
        make_evidence(running_tasks=MODEL, logs=log(9, weights("weights_unreachable", REFUSED))),
        "refused is not unreachable",
    ),
    Miss(
        "WEIGHTS_CORRUPT",
        make_evidence(
            running_tasks=MODEL, logs=log(9, weights("weights_corrupt", "The manifest has sha256 a, the pin is b."))
        ),
        "the pin",
    ),
    Miss(
        "RUNNER_DIES",
        make_evidence(running_tasks=MODEL, logs=log(9, log_line("a worker ended by itself and is started anew"))),
        "once",
    ),
]
