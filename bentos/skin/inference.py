"""ONNX Runtime sessions, all made alike: of the face detector, the face mesh and the skin model."""

from pathlib import Path

import onnxruntime as ort


def new_session(path: Path, threads: int) -> ort.InferenceSession:
    """An ONNX Runtime session on the CPU.

    Args:
        path: the ONNX file.
        threads: for each call.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads would take CPU time from the other processes of this service.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # errors are raised, and logged by this service
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
