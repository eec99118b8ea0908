"""`shine weights`: checks a bundle of weights, and lists, publishes and rolls back versions."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bentos.cli.command import Command, CommandError, json_output, prepare
from bentos.cli.exit_codes import DONE, THERE, WEIGHTS
from bentos.cli.progress import bar
from bentos.cli.text import printable

if TYPE_CHECKING:
    from bentos.skin.model.location import Location

SHORT = 160  # characters of a value
place_argument = click.argument("place", type=click.Path())
dry_run = click.option("--dry-run", is_flag=True, help="Check everything, write nothing.")


@click.group()
def weights() -> None:
    """Check, list, publish and roll back weights. PLACE is s3://bucket/prefix or a folder (docs/weights.md).

    \b
    shine weights check /srv/bundle
    shine weights publish s3://bucket/face-skin --bundle /srv/bundle
    shine weights list s3://bucket/face-skin
    shine weights rollback s3://bucket/face-skin

    Exit codes: 0 done; 2 wrong usage, or the place cannot be read or written; 3 the version is there with other bytes,
    or another publisher was faster; 4 the bundle cannot be used, or not be fetched.
    """


@weights.command(cls=Command, short_help="Check weights as a service does before it uses them.")
@click.argument("place", required=False, type=click.Path(), envvar="SHINE_WEIGHTS_URI")
@click.option("--sha256", metavar="PIN", envvar="SHINE_WEIGHTS_SHA256", help="Of the manifest that it must have.")
@json_output
def check(place: str | None, sha256: str | None, as_json: bool) -> int:
    """Check weights as a service does before it uses them: checksums, format, network, self-test.

    PLACE is a bundle's folder, or where versions are, of which the live one is checked (default: SHINE_WEIGHTS_URI,
    else the weights of this package).

    \b
    shine weights check
    shine weights check /srv/bundle --json

    Exit codes: see `shine weights --help`.
    """
    with _explained(place or ""):
        bundle = checked(place, sha256)
    manifest = bundle.manifest
    content = {
        "name": manifest.name,
        "version": manifest.version,
        "sha256": bundle.sha256,
        "created": manifest.created,
        "license": manifest.license,
        "notice": manifest.notice,
        "folder": str(bundle.folder),
    }
    if as_json:
        print(json.dumps(content, indent=1))
    else:
        print("Checksums, format, network and self-test are right.")
        for name, value in content.items():
            print(f"{name:8} {printable(str(value), SHORT)}")
    return DONE


def checked(place: str | None, sha256: str | None) -> Any:
    """The bundle of a place, as `bentos.skin.model.bundle.Bundle`, whose network has passed its self-test.

    Raises:
        BundleError: it cannot be used.
        CommandError: the pin is none.
    """
    prepare()
    from bentos.skin.model.engine import load
    from bentos.skin.model.source import source
    from bentos.skin.settings import SettingsError, read

    try:
        names = {"SHINE_WEIGHTS_URI": place, "SHINE_WEIGHTS_SHA256": sha256}
        settings = read({name: value for name, value in names.items() if value})
    except SettingsError as error:
        raise CommandError(str(error)) from None
    bundle = source(settings).fetch()
    load(bundle, threads=1)
    return bundle


@weights.command("list", cls=Command, short_help="List the versions, and which one is live.")
@place_argument
@json_output
def list_versions(place: str, as_json: bool) -> int:
    """List the versions in PLACE by the time of their upload, and which one is live.

    \b
    shine weights list s3://bucket/face-skin
    shine weights list /srv/weights --json

    Exit codes: see `shine weights --help`.
    """
    from bentos.skin.model.publish import versions

    with _location(place) as location:
        rows = versions(location)
    if not rows and not place.startswith("s3://") and not Path(place).is_dir():
        raise CommandError(f"There is no folder {place}.")
    if as_json:
        print(json.dumps(rows, indent=1))
        return DONE
    for row in rows:
        live = "live" if row["live"] else ""
        print(f"{live:5}{printable(row['folder']):32}{row['bytes']:>12,}  {row['published']}")
    if not rows:
        print(f"There is no version in {printable(place)}.")
    return DONE


@weights.command(cls=Command, short_help="Upload a bundle and make it live.")
@place_argument
@click.option("--bundle", type=click.Path(path_type=Path), help="Its folder (default: the weights of this package).")
@dry_run
def publish(place: str, bundle: Path | None, dry_run: bool) -> int:
    """Upload a bundle to PLACE and make it live; it is checked first.

    \b
    shine weights publish s3://bucket/face-skin --bundle /srv/bundle --dry-run
    shine weights publish /srv/weights --bundle /srv/bundle

    Exit codes: see `shine weights --help`.
    """
    from bentos.skin.model.engine import EMBEDDED
    from bentos.skin.model.publish import publish as upload

    with _location(place) as location:
        print(upload(location, bundle or EMBEDDED, dry_run))
    return DONE


@weights.command(cls=Command, short_help="Make an earlier version live again.")
@place_argument
@click.argument("version", required=False)
@dry_run
def rollback(place: str, version: str | None, dry_run: bool) -> int:
    """Make the version before live again, or VERSION, named by its folder.

    The version before is the one that was live until the last publish or rollback: a second rollback undoes the first.

    \b
    shine weights rollback s3://bucket/face-skin
    shine weights rollback /srv/weights 1.0.0-3aef0440ca01

    Exit codes: see `shine weights --help`.
    """
    from bentos.skin.model.publish import rollback as go_back

    with _location(place) as location:
        print(go_back(location, version, dry_run))
    return DONE


@contextmanager
def _location(place: str) -> "Iterator[Location]":
    """A place of versions; errors of it are those of the command. Uploads have a bar."""
    prepare()
    from bentos.skin.model.location import parse_location

    with ExitStack() as bars, _explained(place):
        advance: dict[str, Callable[[int], None]] = {}

        def progress(key: str, size: int, count: int) -> None:
            if key not in advance:
                bars.close()  # the file before is there
                advance[key] = bars.enter_context(bar(printable(key), size, in_bytes=True))
            advance[key](count)

        yield parse_location(place, progress)


@contextmanager
def _explained(place: str) -> Iterator[None]:
    """Turn what publishing and S3 raise into errors of the command."""
    from botocore.exceptions import BotoCoreError, ClientError

    from bentos.skin.model.bundle import BundleError
    from bentos.skin.model.location import AlreadyThere, PublishError
    from bentos.skin.model.publish import describe

    try:
        yield
    except BundleError as error:
        raise CommandError(f"{error.message} ({error.reason})", WEIGHTS) from None
    except AlreadyThere as error:
        raise CommandError(str(error), THERE) from None
    except PublishError as error:
        raise CommandError(str(error)) from None
    except (ClientError, BotoCoreError, OSError) as error:
        raise CommandError(describe(error, place)) from None
