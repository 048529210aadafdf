"""Findings of the checks: errors, warnings and remarks."""
import logging
from collections.abc import Iterable
from typing import NamedTuple

from mmengine.logging import print_log

from vit_plugin.errors import UserError


class Finding(NamedTuple):
    """One result of a check; ``message`` has what is wrong, the value seen, what would be right.

    ``level`` is one of `logging`: ERROR ends the run, WARNING and INFO go to its log.
    """

    message: str
    level: int = logging.ERROR


def raise_errors(findings: Iterable[Finding]) -> list[Finding]:
    """Raise one `UserError` with all errors among the findings; return the other findings."""
    findings = list(findings)
    errors = [finding.message for finding in findings if finding.level >= logging.ERROR]
    if errors:
        raise UserError('\n'.join(errors))
    return findings


def raise_and_log(findings: Iterable[Finding]) -> None:
    """Raise the errors among the findings, as `raise_errors`; log the others."""
    for message, level in raise_errors(findings):
        print_log(message, 'current', level)
