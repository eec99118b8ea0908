"""What all facts have in common, and the simplest: something that was said at a time."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from deploy.aws.lenient import LenientDict


class Fact(BaseModel):
    """Plain data; what is not known in a file of another version is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Event(Fact):
    """Something said at a time: an event of the service, a line of a log."""

    at: datetime | None = None
    text: str = ""

    @classmethod
    def of(cls, raw: LenientDict) -> "Event":
        """Of a service."""
        return cls(at=raw.time("createdAt"), text=raw.text("message"))
