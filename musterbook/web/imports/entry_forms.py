"""The form on which a file of groups, members, roles or ranks is chosen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy

from musterbook.core.domain.columns import GROUPS, MEMBERS, RANKS, ROLES, Layout
from musterbook.core.domain.policy import Mode
from musterbook.directory.imports.options import Options
from musterbook.web.imports import uploads

_LAYOUTS: Mapping[str, tuple[Layout, ...]] = {
    "groups_import": (GROUPS, MEMBERS), "roles_import": (ROLES,), "ranks_import": (RANKS,),
}  # fmt: skip
_TITLES = {
    "groups_import": gettext_lazy("Import groups"),
    "roles_import": gettext_lazy("Import roles"),
    "ranks_import": gettext_lazy("Import ranks"),
}
_BACK = {"groups_import": "groups", "roles_import": "roles", "ranks_import": "ranks"}
_KINDS = {
    GROUPS.name: gettext_lazy("Groups: one row for each group"),
    MEMBERS.name: gettext_lazy("Members and monitors: one row for each member of a group"),
}
_NAMES = {
    GROUPS.name: gettext_lazy("Columns of a file of groups"),
    MEMBERS.name: gettext_lazy("Columns of a file of members and monitors"),
    ROLES.name: gettext_lazy("Columns of a file of roles"),
    RANKS.name: gettext_lazy("Columns of a file of ranks"),
}


@dataclass(frozen=True, slots=True)
class LayoutShown:
    """A kind of file as the page describes it."""

    title: str | Promise
    layout: Layout


def make_entry_mode(widget: type[forms.Select] | type[forms.RadioSelect] = forms.Select) -> forms.ChoiceField:
    """Return the field of the mode in which groups or their members are imported."""
    return forms.ChoiceField(
        label=gettext_lazy("Import option"),
        choices=[
            (Mode.UPDATE.value, gettext_lazy("Add or update")),
            (Mode.SYNC.value, gettext_lazy("Synchronize the groups named in the file")),
        ],
        widget=widget,
        initial=Mode.UPDATE.value,
        help_text=gettext_lazy(
            "Synchronize: the groups in the file get exactly the members and monitors that it lists, and the others leave"
            " them. Groups that are not in the file stay as they are."
        ),
    )


class EntryUploadForm(forms.Form):
    """The kind of the file, the mode, and the file. Roles and ranks have one kind of file and one mode."""

    what = forms.ChoiceField(
        label=gettext_lazy("What the file contains"), choices=list(_KINDS.items()), widget=forms.RadioSelect,
        initial=GROUPS.name,
    )  # fmt: skip
    mode = make_entry_mode(forms.RadioSelect)
    strict = forms.BooleanField(
        label=gettext_lazy("Strict: if any row has a problem, change nothing at all"), required=False
    )
    file = forms.FileField(label=gettext_lazy("Select file"), allow_empty_file=True, max_length=None)

    def __init__(self, request: HttpRequest) -> None:
        is_post = request.method == "POST"
        super().__init__(request.POST if is_post else None, request.FILES if is_post else None)
        self._page = uploads.get_page(request)
        if len(self._layouts) == 1:
            del self.fields["what"], self.fields["mode"]
        file = self.fields["file"]
        file.help_text = gettext("CSV, .xlsx or .ods, up to %(most)s MB.") % {
            "most": f"{settings.MUSTER_MAX_FILE_MB:,}"
        }
        file.widget.attrs["accept"] = ".csv,.txt,.tsv,.xlsx,.ods"
        file.error_messages["required"] = uploads.get_refusal(request) or gettext("Select a file: CSV, .xlsx or .ods.")

    @property
    def _layouts(self) -> Sequence[Layout]:
        return _LAYOUTS[self._page]

    def describe_page(self) -> dict[str, Any]:
        """Return what the page shows: its title, the way back, and the columns of each kind of file."""
        return {
            "form": self,
            "title": _TITLES[self._page],
            "back": _BACK[self._page],
            "layouts": [LayoutShown(_NAMES[layout.name], layout) for layout in self._layouts],
        }

    def options(self, preview: bool) -> Options:
        """Return the options that were chosen."""
        data = self.cleaned_data
        what, mode = data.get("what", self._layouts[0].name), Mode(data.get("mode", Mode.UPDATE.value))
        return Options(mode, preview=preview, strict=data["strict"], what=what)
