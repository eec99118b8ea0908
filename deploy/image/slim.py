"""Takes out of the built file system what serving does not need. Runs inside the build, on Python alone.

What is left is brought to one time and compiled again, so that two builds of one commit have the same content.
"""

import compileall
import os
import py_compile
import re
import shutil
import stat
from datetime import UTC, datetime
from pathlib import Path

EPOCH = int(os.environ["SOURCE_DATE_EPOCH"])
SITE = next(Path("/app/.venv/lib").glob("python3*/site-packages"))
LIBRARY = Path(os.__file__).parent
BENTO = Path("/app/bento/bento.yaml")

# botocore describes 400 services; weights come from S3, credentials from STS and SSO.
SERVICES = {"s3", "sts", "sso", "sso-oidc", "signin"}

GONE = [
    *Path("/").glob("usr/lib/python3/dist-packages/*"),  # pip and what it needs; ours lie in /app/.venv
    *Path("/").glob("usr/local/lib/python3*/site-packages/*"),
    *(LIBRARY / name for name in ("ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "tkinter", "turtledemo")),
    *Path("/usr/local/bin").glob("uv*"),
    *Path("/usr/local/bin").glob("pip*"),
    *Path("/usr/local/bin").glob("idle*"),
    *Path("/usr/bin").glob("pip*"),
    *Path("/usr/share/python-wheels").glob("*"),
    Path("/root/.cache"),
    Path("/etc/pip.conf"),
    Path("/etc/uv"),
    *Path("/var/lib/apt/lists").glob("*"),
    *Path("/var/cache").glob("*/*"),
    *Path("/var/log").glob("*"),
    *(one for one in (SITE / "botocore/data").iterdir() if one.is_dir() and one.name not in SERVICES),
    *SITE.glob("numpy/**/tests"),
    *SITE.glob("numpy/**/*.a"),
    *(SITE / "onnxruntime" / name for name in ("transformers", "quantization", "tools", "datasets", "backend")),
    *SITE.glob("PIL/_avif*"),  # JPEG, PNG and WebP are what the service takes
    *SITE.glob("pillow.libs/libavif*"),
    *SITE.glob("uvloop/*.c"),
    *SITE.glob("uvloop/*.pyx"),
    *SITE.glob("boto3/examples"),
    SITE / "tornado/test",
    *SITE.glob("botocore/data/**/examples-*.json"),
    Path("/app/.venv/.lock"),
    Path("/etc/machine-id"),
    Path("/var/lib/dbus/machine-id"),
]


def remove(path: Path) -> None:
    """A file or a folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def files() -> list[Path]:
    """All of the file system's own files and folders."""
    found: list[Path] = []
    for folder, folders, names in os.walk("/"):
        folders[:] = [one for one in folders if Path(folder, one) not in (Path("/proc"), Path("/sys"), Path("/dev"))]
        found.extend(Path(folder, name) for name in [*folders, *names])
    return found


def main() -> None:
    for path in GONE:
        remove(path)
    for path in files():
        if path.name == "__pycache__" and path.is_dir():
            shutil.rmtree(path)
    for path in files():
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
            path.chmod(stat.S_IMODE(mode) & ~(stat.S_ISUID | stat.S_ISGID))  # nobody becomes root in here
    stamp = re.sub(
        "(?m)^creation_time: .*$", f"creation_time: '{datetime.fromtimestamp(EPOCH, UTC)}'", BENTO.read_text()
    )
    BENTO.write_text(stamp)
    # By content, not by time: a time would differ between builds. The root is read-only, so this is the only chance.
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    for folder in (LIBRARY, SITE, Path("/app/bento/src")):
        compileall.compile_dir(folder, quiet=2, invalidation_mode=unchecked, workers=1)
    for path in files():
        if str(path) not in ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf"):  # the engine's own, while this runs
            os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)


if __name__ == "__main__":
    main()
