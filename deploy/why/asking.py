"""Asks AWS part by part: a part that does not answer is noted with its reason, and hides no other.

Throttling is waited out by the clients (deploy/aws.py). Only credentials that are no good end the whole: every other
question would get the same answer.
"""

from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from deploy.aws import Clients
from deploy.refusal import Absent, Denied, NoCredentials, Throttled, meaning
from deploy.why.raw import Raw
from deploy.words import printable

# Endpoint and operation, where the endpoint turned out not to know it. Some say so with an error that is tried again: a
# rollout that looks every few seconds waits for that once.
UNKNOWN: set[tuple[str, str]] = set()
SILENT_MOST = 2  # so many services that do not answer are a network that is down; the others are not waited for
CREDENTIALS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, TokenRetrievalError)


class Asking:
    """Questions, and what they left open.

    Args:
        clients: of AWS.

    Attributes:
        unseen: what could not be asked, and why, a sentence each.
        absent: parts of which AWS said that there is no such thing → its words.
    """

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._silent: dict[str, str] = {}  # services that do not answer at all are not waited for twice
        self.unseen: list[str] = []
        self.absent: dict[str, str] = {}

    def ask(
        self, part: str, service: str, operation: str, /, *, optional: bool = False, **parameters: Any
    ) -> Raw | None:
        """The answer; None where there is none.

        Args:
            part: what is asked for, in words.
            service, operation: by boto3's names.
            optional: not every endpoint knows the operation, and nothing is said where one does not.
            parameters: of the call.

        Raises:
            BotoCoreError, ClientError: there are no credentials, or they are no good.
        """
        try:
            client = self._clients.few_tries(service) if optional else self._clients[service]
            known = (client.meta.endpoint_url, operation)
            if len(self._silent) >= SILENT_MOST or service in self._silent:
                self.note(part, self._silent.get(service) or f"{service} is not asked, since others do not answer.")
            elif known not in UNKNOWN:
                return Raw(getattr(client, operation)(**parameters))
        except CREDENTIALS:
            raise
        except ClientError as error:
            reason = meaning(error, service)
            if isinstance(reason, NoCredentials):
                raise
            if isinstance(reason, Absent):
                self.absent[part] = str(reason)
            elif not optional or isinstance(reason, Denied | Throttled):
                self.note(part, str(reason))
            else:
                UNKNOWN.add(known)
        except (ConnectionError, HTTPClientError) as error:
            self._silent[service] = f"{service} does not answer ({type(error).__name__})."
            self.note(part, self._silent[service])
        except (BotoCoreError, ResponseParserError) as error:
            if not optional:
                self.note(part, f"{service} {operation}: {' '.join(str(error).split())}")
            elif isinstance(error, ResponseParserError):
                UNKNOWN.add(known)
        return None

    def note(self, part: str, reason: str) -> None:
        """A part that was not seen, and why."""
        self.unseen.append(printable(f"{part[:1].upper()}{part[1:]}: {reason.rstrip('.')}.", 400))
