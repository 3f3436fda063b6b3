"""The list of first steps of a new agency, for the page `first_steps.html` is included in."""

from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from musterbook.directory.imports import first_steps
from musterbook.http import request_context
from musterbook.web.permission import may


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what to do, why, whether it is done, and the page for it ("" for none)."""

    label: str
    about: str
    done: bool
    address: str


def list_steps(request: HttpRequest) -> list[Step]:
    """Return the first steps of the agency. Return none if they are done, or if the user may not import."""
    standing = first_steps.read_first_steps(request_context.agency(request)) if may(request, "users.import") else None
    if standing is None:
        return []
    choose = reverse("import_users")
    plan = reverse("import", args=[standing.plan.number]) if standing.plan else ""
    match = reverse("import_match", args=[standing.plan.number]) if standing.plan else ""
    return [
        Step(
            _("Get your file"),
            _("Export your users from your personnel system, or fill in the example file."),
            standing.sent,
            choose,
        ),
        Step(
            _("Preview it"),
            _("Musterbook reads the file and shows what would change. Nothing changes yet."),
            standing.sent,
            choose,
        ),
        Step(
            _("Match columns and values"),
            _("Create the roles, ranks and groups that the file names, or choose yours instead."),
            standing.named,
            match,
        ),
        Step(_("Apply the import"), _("Check the preview, then apply it. You can undo it."), False, plan),
    ]
