"""A gate: one check of the live system. Errors of the network, of AWS or of the service become failed gates."""

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
from deploy.gates.responses import UnexpectedResponse
from deploy.gates.target import LiveTarget, credentials_lost
from deploy.record.trail import GateResult
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
    """What a gate's check returned; the attributes are those of `GateResult`."""

    holds: bool
    sentence: str
    value: Any = None
    limit: Any = None
    permanent: bool = False


def passed(sentence: str, value: Any = None, limit: Any = None) -> GateOutcome:
    """The live system is as the phase requires."""
    return GateOutcome(True, sentence, value, limit)


def failed(sentence: str, value: Any = None, limit: Any = None, *, permanent: bool = False) -> GateOutcome:
    """It is not; `permanent` if waiting cannot change that."""
    return GateOutcome(False, sentence, value, limit, permanent)


@dataclass(frozen=True)
class Gate:
    """One check of the live system.

    Attributes:
        name: stable.
        title: for people.
        check: the function that checks.
        since: first phase that checks it; all later ones do too.
        kind: steady: checked in every round; once: checked when all steady ones first pass, and at the end of the
            window.
        last: checked only while all others pass, since it takes long.
        again: whether a failure within the window is checked a second time at once; not for a gate that sums up many
            requests, of which a few may fail.
    """

    name: str
    title: str
    check: Callable[[LiveTarget, Observation], GateOutcome]
    since: Phase = "simple"
    kind: Literal["steady", "once"] = "steady"
    last: bool = False
    again: bool = True

    def belongs_to(self, phase: Phase) -> bool:
        """Whether a phase checks it."""
        return PHASES.index(self.since) <= PHASES.index(phase)

    def run(self, live: LiveTarget, observation: Observation) -> GateResult:
        """Check it now.

        Raises:
            ClientError, BotoCoreError: AWS credentials are missing or no longer valid.
        """
        outcome = self._outcome(live, observation)
        return GateResult(
            name=self.name,
            title=self.title,
            holds=outcome.holds,
            value=outcome.value,
            limit=outcome.limit,
            sentence=outcome.sentence,
            at=datetime.now(UTC),
            permanent=outcome.permanent,
        )

    def _outcome(self, live: LiveTarget, observation: Observation) -> GateOutcome:
        try:
            return self.check(live, observation)
        except UnexpectedResponse as error:
            return failed(str(error))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return failed(
                f"{live.base_url} does not answer: {reason(error)}. Does the load balancer exist, and does its DNS "
                "name resolve?"
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
            return failed("The response from AWS cannot be parsed: is AWS_ENDPOINT_URL the address of an AWS API?")
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            # An emulator of AWS may leave out what AWS always sends.
            return failed(f"A response lacks a field ({type(error).__name__}: {printable(str(error), 80)}).")


def reason(error: Exception) -> str:
    """Why no response came, in a few words."""
    if isinstance(error, httpx.TimeoutException):
        return "timeout"
    return printable(" ".join(str(error).split()), 200) or type(error).__name__
