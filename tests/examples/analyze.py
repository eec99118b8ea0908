"""Findings on one photo, with httpx.

    python tests/examples/analyze.py face.jpg [http://localhost:5000]

A service with keys wants yours in API_KEY.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

import httpx


def analyze(photo: Path, base: str, attempts: int = 3) -> dict[str, Any]:
    """The Analysis of a photo; exits with what was wrong and what would be right."""
    key = os.environ.get("API_KEY")
    with httpx.Client(base_url=base, timeout=30, headers={"X-API-Key": key} if key else {}) as client:
        for attempt in range(1, attempts + 1):
            answer = client.post("/analyze", files={"image": (photo.name, photo.read_bytes())})
            if answer.status_code not in (429, 503) or attempt == attempts:
                break
            # Busy, or the model is away: the service says in seconds when to come back.
            time.sleep(float(answer.headers.get("retry-after", 1)))
    if answer.status_code != 200:
        try:
            error = answer.json()["error"]  # every error has this one shape
        except (ValueError, KeyError, TypeError):
            sys.exit(f"HTTP {answer.status_code}")  # it did not come from the service
        sys.exit(f"{error['code']}: {error['message']} {error['hint']} (request {error['request_id']})")
    analysis: dict[str, Any] = answer.json()
    return analysis


def main() -> None:
    """Print the findings."""
    if len(sys.argv) < 2:
        sys.exit("usage: analyze.py PHOTO [BASE_URL]")
    result = analyze(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "http://localhost:5000")
    instead = f", in place of the model: {result['reason']}" if result["degraded"] else ""
    print(f"answered by the {result['source']}{instead}")
    print("quality", result["quality"]["score"], ", ".join(result["quality"]["issues"]))
    for advice in result["advice"]:
        print(advice)
    for name, concern in result["concerns"].items():
        # What cannot be judged is null, and says why.
        print(name, concern["score"] if concern["reason"] is None else f"not judged: {concern['reason']}")
    acne = result["concerns"]["acne"]
    if acne["reason"] is None:
        print(f"{acne['count']} lesions, {acne['severity']}")
    print(result["notice"])


if __name__ == "__main__":
    main()
