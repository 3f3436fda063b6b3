"""The labels of a user's fields: the thirteen columns and the marks, as all pages show them."""

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy

from musterbook.directory.users.marks import ENDS_ON, EXEMPT, NO_FILES, SOURCE

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

LABELS: "dict[str, StrOrPromise]" = {
    "FIRST_NAME": gettext_lazy("First name"),
    "LAST_NAME": gettext_lazy("Last name"),
    "EXTERNAL_ID": gettext_lazy("External ID"),
    "BADGE_NUMBER": gettext_lazy("Badge number"),
    "EMAIL": gettext_lazy("Email address"),
    "PHONE": gettext_lazy("Phone"),
    "STATUS": gettext_lazy("Status"),
    "USERNAME": gettext_lazy("Username"),
    "ROLE": gettext_lazy("Role"),
    ENDS_ON: gettext_lazy("Last day of access"),
    "SUPERVISOR_EMAIL": gettext_lazy("Supervisor"),
    "RANK": gettext_lazy("Rank"),
    "EVIDENCE_GROUP_EXT_ID": gettext_lazy("Group"),
    "LOCATION": gettext_lazy("Location"),
    EXEMPT: gettext_lazy("Exempt from synchronize"),
    NO_FILES: gettext_lazy("Not changed by files"),
    SOURCE: gettext_lazy("Source"),
}
"""The label of each heading, in the order in which pages show them."""
