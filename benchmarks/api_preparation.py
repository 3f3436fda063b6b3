"""The tokens of the programs that `benchmarks.api_runs` measures with."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from musterbook.accounts import tokens
from musterbook.accounts.tokens import TokenData
from musterbook.directory import models
from musterbook.directory.apply import snapshot_queries
from musterbook.directory.audit.trail import AuditContext
from musterbook.directory.permissions import ALL

_SOME = 20_000


def prepare(agency: models.Agency, number: int) -> Mapping[str, Any]:
    """Make one user an administrator with so many tokens, and new users officers. Return the tokens and some users."""
    models.Agency.objects.filter(pk=agency.pk).update(defaults={"ROLE": "Officer"})
    users = models.User.objects.filter(agency=agency, active=True).order_by("external_id")
    maker = users[0]
    models.User.objects.filter(pk=maker.pk).update(role=models.Role.objects.get(agency=agency, administrator=True))
    operator = snapshot_queries.read_operator(agency, maker.external_id)
    context = AuditContext(datetime.now(UTC), maker.external_id, "page")
    secrets = [
        tokens.create_token(agency, TokenData(f"program {place}", frozenset(ALL), 90), context, operator)[1]
        for place in range(number)
    ]
    some = users[1 : _SOME + 1].values_list("pk", "external_id", "username")
    return {"tokens": secrets, "users": list(some)}
