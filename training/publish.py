"""Publishes a weights bundle to a folder or to S3, returns to an earlier version, and lists the versions.

    python -m training.publish s3://bucket/face-skin                 # upload the embedded bundle and make it live
    python -m training.publish /srv/weights --bundle DIR             # another bundle, into a folder
    python -m training.publish s3://bucket/face-skin --dry-run       # check the bundle and the version, write nothing
    python -m training.publish s3://bucket/face-skin --list          # the versions, and which one is live
    python -m training.publish s3://bucket/face-skin --rollback      # make the previous version live again
    python -m training.publish s3://bucket/face-skin --rollback 1.0.0-0123456789ab   # make this version live

`shine weights` does the same; the code of both is bentos/skin/model/publish.py. docs/weights.md explains the bundle,
its checks and the settings of the service.
"""

from training import commands

if __name__ == "__main__":  # before what --help does not need
    commands.publish(__doc__).parse_args()

import json
import sys

from botocore.exceptions import BotoCoreError, ClientError
from tqdm import tqdm

from bentos.skin.model.bundle import BundleError
from bentos.skin.model.location import PublishError, parse_location
from bentos.skin.model.publish import describe, publish, rollback, versions


def main(arguments: list[str] | None = None) -> None:
    options = commands.publish(__doc__).parse_args(arguments)
    try:
        location = parse_location(options.uri, _Bars())
        if options.list:
            rows = versions(location)
            if options.json:
                print(json.dumps(rows, indent=1))
                return
            for row in rows:
                print(f"{'live' if row['live'] else '':5}{row['folder']:32}{row['bytes']:>12,}  {row['published']}")
        elif options.rollback is not None:
            print(rollback(location, options.rollback or None, options.dry_run))
        else:
            print(publish(location, options.bundle, options.dry_run))
    except (PublishError, BundleError) as error:
        sys.exit(str(error))
    except (ClientError, BotoCoreError, OSError) as error:
        sys.exit(describe(error, options.uri))


class _Bars:
    """Progress of each file, on stderr."""

    def __init__(self) -> None:
        self._bars: dict[str, tqdm] = {}

    def __call__(self, key: str, size: int, count: int) -> None:
        if key not in self._bars:
            self._bars[key] = tqdm(total=size, desc=key, mininterval=1, unit="B", unit_scale=True)
        self._bars[key].update(count)


if __name__ == "__main__":
    main()
