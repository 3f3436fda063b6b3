"""Quotas for the number and total size of the files kept for one user and for one agency.

Files beyond a quota are refused.
"""

from datetime import timedelta

from django.conf import settings
from django.db.models import Count, Q, Sum

from musterbook.core.domain.problems import Problem
from musterbook.directory import models
from musterbook.directory.audit.trail import AuditContext

_MB = 1024 * 1024


class OverQuota(Exception):
    """The file exceeds a quota. `problem` states the reason and the remedy."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.message} {problem.remedy} Nothing was changed.")
        self.problem = problem


def check_quotas(agency: models.Agency, context: AuditContext, size: int) -> None:
    """Raise OverQuota if a file of that size exceeds the quota of the actor or of the agency.

    The quotas count the files that were imported or previewed within the retention time for files. A program that
    acts for no user counts only toward the agency's quota. Files that are sent at the same time do not count each
    other yet.
    """
    since = context.at - timedelta(days=settings.MUSTER_KEEP_FILES_DAYS)
    mine = Q(actor=context.actor) & ~Q(actor="")
    usage = models.Import.objects.filter(agency=agency, kind__in=models.FROM_FILE, started_at__gt=since).aggregate(
        files=Count("pk"),
        bytes=Sum("file_size"),
        my_files=Count("pk", filter=mine),
        my_bytes=Sum("file_size", filter=mine),
    )
    if context.actor:
        limits = (settings.MUSTER_USER_FILES, settings.MUSTER_USER_FILES_MB)
        _check_limit("this user", usage["my_files"], (usage["my_bytes"] or 0) + size, *limits)
    limits = (settings.MUSTER_AGENCY_FILES, settings.MUSTER_AGENCY_FILES_MB)
    _check_limit("this agency", usage["files"], (usage["bytes"] or 0) + size, *limits)


def _check_limit(owner: str, files: int, size: int, most_files: int, most_mb: int) -> None:
    wait = f"Files are deleted after {settings.MUSTER_KEEP_FILES_DAYS} days."
    if files >= most_files:
        raise OverQuota(Problem.of("too-many-files", owner=owner, value=f"{most_files:,} files", retention=wait))
    if size > most_mb * _MB:
        raise OverQuota(Problem.of("too-many-files", owner=owner, value=f"{most_mb:,} MB", retention=wait))
