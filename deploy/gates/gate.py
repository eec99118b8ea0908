"""A gate: one question with its name, and how whatever comes back becomes a result and never a trace."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import httpx
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from bentos.skin.settings import Phase
from deploy.aws.errors import describe
from deploy.config.plan import PHASES
from deploy.gates.observation import Observation
from deploy.gates.replies import Unexpected
from deploy.gates.result import GateResult
from deploy.gates.target import LiveTarget, credentials_lost
from deploy.text import printable

NO_CREDENTIALS = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    TokenRetrievalError,
    SSOError,
)


@dataclass(frozen=True, slots=True)
class GateOutcome:
    """What a gate's question gave; the attributes are those of `GateResult`."""

    holds: bool
    sentence: str
    value: Any = None
    limit: Any = None
    hopeless: bool = False


def passed(sentence: str, value: Any = None, limit: Any = None) -> GateOutcome:
    """It is as the phase demands."""
    return GateOutcome(True, sentence, value, limit)


def failed(sentence: str, value: Any = None, limit: Any = None, *, hopeless: bool = False) -> GateOutcome:
    """It is not; `hopeless` where no waiting can change that."""
    return GateOutcome(False, sentence, value, limit, hopeless)


@dataclass(frozen=True)
class Gate:
    """One question to the live system.

    Attributes:
        name: stable.
        title: for people.
        judge: asks and judges.
        since: first phase in which it is asked; it is asked in all later ones too.
        kind: steady: in every round; once: when all steady ones first hold, and at the end of the window.
        last: asked only while all others hold; for what takes long.
        again: whether a miss within the window is asked about a second time at once; not where the answer sums up
            many requests, of which a few may be lost anyway.
    """

    name: str
    title: str
    judge: Callable[[LiveTarget, Observation], GateOutcome]
    since: Phase = "simple"
    kind: Literal["steady", "once"] = "steady"
    last: bool = False
    again: bool = True

    def is_of(self, phase: Phase) -> bool:
        """Whether it is asked in a phase."""
        return PHASES.index(self.since) <= PHASES.index(phase)

    def ask(self, live: LiveTarget, seen: Observation) -> GateResult:
        """The result; what the network or the other side does wrong is a gate that does not hold.

        Raises:
            ClientError, BotoCoreError: AWS credentials are missing or no longer valid.
        """
        judged = self._judged(live, seen)
        return GateResult(
            name=self.name,
            title=self.title,
            holds=judged.holds,
            value=judged.value,
            limit=judged.limit,
            sentence=judged.sentence,
            at=datetime.now(UTC),
            hopeless=judged.hopeless,
        )

    def _judged(self, live: LiveTarget, seen: Observation) -> GateOutcome:
        try:
            return self.judge(live, seen)
        except Unexpected as odd:
            return failed(str(odd))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return failed(
                f"{live.base_url} gives no answer: {reason(error)}. Is the load balancer there, and its name?"
            )
        except NO_CREDENTIALS:
            raise
        except ClientError as error:
            if credentials_lost(error):
                raise
            return failed(describe(error))
        except BotoCoreError as error:
            return failed(describe(error))
        except ResponseParserError:
            return failed("AWS answers in a form that cannot be read: is AWS_ENDPOINT_URL that of an AWS API?")
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            # Whatever stands in AWS's place may leave out what AWS always says.
            return failed(f"An answer lacks what it should have ({type(error).__name__}: {printable(str(error), 80)}).")


def reason(error: Exception) -> str:
    """Why no answer came, in a few words."""
    if isinstance(error, httpx.TimeoutException):
        return "it takes too long"
    return printable(" ".join(str(error).split()), 200) or type(error).__name__
