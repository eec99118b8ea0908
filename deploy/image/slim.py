"""Removes from the built file system what serving does not need. Runs inside the build; imports no package.

All remaining files get one time and are compiled again, so that two builds of one commit have the same content.
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

# botocore describes 400 services. Weights come from S3, credentials from STS and SSO.
SERVICES = {"s3", "sts", "sso", "sso-oidc", "signin"}

REMOVED = [
    *Path("/").glob(
        "usr/lib/python3/dist-packages/*"
    ),  # pip and what it needs; the service's packages are in /app/.venv
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
    *(path for path in (SITE / "botocore/data").iterdir() if path.is_dir() and path.name not in SERVICES),
    *SITE.glob("numpy/**/tests"),
    *SITE.glob("numpy/**/*.a"),
    *(SITE / "onnxruntime" / name for name in ("transformers", "quantization", "tools", "datasets", "backend")),
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
    """Delete a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def files() -> list[Path]:
    """All files and folders of the image, without those of the kernel."""
    paths: list[Path] = []
    for folder, folders, names in os.walk("/"):
        folders[:] = [name for name in folders if Path(folder, name) not in (Path("/proc"), Path("/sys"), Path("/dev"))]
        paths.extend(Path(folder, name) for name in [*folders, *names])
    return paths


def main() -> None:
    for path in REMOVED:
        remove(path)
    for path in files():
        if path.name == "__pycache__" and path.is_dir():
            shutil.rmtree(path)
    for path in files():
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
            path.chmod(stat.S_IMODE(mode) & ~(stat.S_ISUID | stat.S_ISGID))  # no program may raise itself to root
    text = re.sub(
        "(?m)^creation_time: .*$", f"creation_time: '{datetime.fromtimestamp(EPOCH, UTC)}'", BENTO.read_text()
    )
    BENTO.write_text(text)
    # Checked by content, since times differ between builds. The root is read-only later, so Python cannot compile then.
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    for folder in (LIBRARY, SITE, Path("/app/bento/src")):
        compileall.compile_dir(folder, quiet=2, invalidation_mode=unchecked, workers=1)
    for path in files():
        if str(path) not in (
            "/etc/hosts",
            "/etc/hostname",
            "/etc/resolv.conf",
        ):  # mounted by the engine during the build
            os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)


if __name__ == "__main__":
    main()
