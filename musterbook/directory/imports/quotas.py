"""How many files, and how many bytes of them, are kept for one user and for one agency; what goes beyond is refused."""

from datetime import timedelta

from django.conf import settings
from django.db.models import Count, Q, Sum

from musterbook.core.domain.problems import Problem
from musterbook.directory import models
from musterbook.directory.audit.trail import Act

_MB = 1024 * 1024


class OverQuota(Exception):
    """The file is one too many; `problem` says why, and what can be done."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.message} {problem.remedy} Nothing was changed.")
        self.problem = problem


def check(agency: models.Agency, act: Act, size: int) -> None:
    """Raises OverQuota if a file of that size is more than may be kept for the actor, or for the agency.

    What is kept is what was imported or previewed within the time for which files are kept. A program that acts for nobody
    counts for the agency alone. Files that are sent at the same time do not know of each other yet.
    """
    since = act.at - timedelta(days=settings.MUSTER_KEEP_FILES_DAYS)
    mine = Q(actor=act.actor) & ~Q(actor="")
    kept = models.Import.objects.filter(agency=agency, started_at__gt=since, file_size__gt=0).aggregate(
        files=Count("pk"),
        bytes=Sum("file_size"),
        my_files=Count("pk", filter=mine),
        my_bytes=Sum("file_size", filter=mine),
    )
    if act.actor:
        most = (settings.MUSTER_USER_FILES, settings.MUSTER_USER_FILES_MB)
        _refuse_over("this user", kept["my_files"], (kept["my_bytes"] or 0) + size, *most)
    most = (settings.MUSTER_AGENCY_FILES, settings.MUSTER_AGENCY_FILES_MB)
    _refuse_over("this agency", kept["files"], (kept["bytes"] or 0) + size, *most)


def _refuse_over(whose: str, files: int, size: int, most_files: int, most_mb: int) -> None:
    wait = f"Files are let go after {settings.MUSTER_KEEP_FILES_DAYS} days."
    if files >= most_files:
        raise OverQuota(Problem("too-many-files", detail=whose, value=f"{most_files:,}", hint=wait))
    if size > most_mb * _MB:
        raise OverQuota(Problem("too-many-files", detail=whose, value=f"{most_mb:,} MB of them", hint=wait))
