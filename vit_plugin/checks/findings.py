"""Findings of the checks: errors and warnings."""
from collections.abc import Iterable
from typing import NamedTuple

from vit_plugin.errors import UserError


class Finding(NamedTuple):
    """One result of a check; ``message`` has what is wrong, the value seen, what would be right."""

    message: str
    is_error: bool = True


def raise_errors(findings: Iterable[Finding]) -> list[str]:
    """Raise one `UserError` with all errors among the findings; return the warnings' messages."""
    findings = list(findings)
    errors = [finding.message for finding in findings if finding.is_error]
    if errors:
        raise UserError('\n'.join(errors))
    return [finding.message for finding in findings]
