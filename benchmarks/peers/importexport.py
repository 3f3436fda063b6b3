"""django-import-export on our own table of users, with its documented best settings and beyond.

Used of what its documentation offers: `use_bulk` with a `batch_size` of 1,000 (its default);
`CachedInstanceLoader`, or `force_init_instance` where everybody is known to be new; `use_transactions`, one for all;
`skip_unchanged`; `skip_diff` where that need not compare, else `skip_html_diff`; `report_skipped` off, and no rows, instances or
full checks (`store_row_values`, `store_instance`, `clean_model_instances`), as is the default; every field declared, with the
look-ups of role, rank, group and supervisor read once, in `before_import`.
In its favour too: ids are given out beforehand, so that supervisors need no second pass, and keys are made for those rows
alone that are written.

`hooked` goes beyond: `skip_unchanged` copies each user deeply, so `skip_row` compares what `after_init_instance` noted
instead, and there are no diffs.

It checks nothing, keeps no trail, and deactivates nobody.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tablib
from django.core.management.color import no_style
from django.db import connection
from import_export.fields import Field
from import_export.instance_loaders import CachedInstanceLoader
from import_export.resources import ModelResource
from import_export.widgets import Widget

from musterbook.directory import models

_KEYED = ("email", "badge_number", "username")
_BATCH = 1_000
_FIELDS = (
    "external_id", "email", "badge_number", "first_name", "last_name", "active", "username", "role_id", "location", "rank_id",
    "group_id", "phone", "supervisor_id",
)  # fmt: skip


class _CachedWidget(Widget):
    """A cell whose value is looked up in a mapping that was read once. A blank cell is null."""

    def __init__(self, known: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.known: Mapping[str, Any] = known or {}

    def clean(self, value: str, row: object = None, **_: object) -> Any:  # noqa: ARG002  (as it is called)
        """Return the value of the cell. Raise KeyError for an unknown one."""
        return self.known[value] if value else None


class _UserResource(ModelResource):
    external_id = Field("external_id", "EXTERNAL_ID")
    email = Field("email", "EMAIL")
    badge_number = Field("badge_number", "BADGE_NUMBER")
    first_name = Field("first_name", "FIRST_NAME")
    last_name = Field("last_name", "LAST_NAME")
    active = Field("active", "STATUS", _CachedWidget({"Active": True, "Inactive": False}))
    username = Field("username", "USERNAME")
    role_id = Field("role_id", "ROLE", _CachedWidget())
    location = Field("location", "LOCATION")
    rank_id = Field("rank_id", "RANK", _CachedWidget())
    group_id = Field("group_id", "EVIDENCE_GROUP_EXT_ID", _CachedWidget())
    phone = Field("phone", "PHONE")
    supervisor_id = Field("supervisor_id", "SUPERVISOR_EMAIL", _CachedWidget())

    class Meta:
        model = models.User
        fields = _FIELDS
        import_id_fields = ("external_id",)
        instance_loader_class = CachedInstanceLoader
        use_bulk = True
        batch_size = _BATCH
        use_transactions = True
        skip_html_diff = True
        skip_unchanged = True
        report_skipped = False

    def __init__(self, agency: models.Agency, *, new: bool, hooked: bool) -> None:
        super().__init__()
        self._agency, self._hooked = agency, hooked
        self._meta.force_init_instance = new
        self._meta.skip_diff = new or hooked
        self._now = datetime.now(UTC)

    def get_queryset(self) -> Any:
        """Return the agency's users."""
        return models.User.objects.filter(agency=self._agency)

    def before_import(self, dataset: Any, **_: object) -> None:
        """Read the mappings that rows look up, and assign ids."""
        mine = {"agency": self._agency}
        self.fields["role_id"].widget.known = dict(models.Role.objects.filter(**mine).values_list("name", "id"))
        self.fields["rank_id"].widget.known = dict(models.Rank.objects.filter(**mine).values_list("name", "id"))
        self.fields["group_id"].widget.known = dict(
            models.Group.objects.filter(**mine).values_list("external_id", "id")
        )
        self._ids = dict(self.get_queryset().values_list("external_id", "id"))
        last = models.User.objects.order_by("-id").values_list("id", flat=True).first() or 0
        strangers = (number for number in dataset["EXTERNAL_ID"] if number not in self._ids)
        self._ids |= {number: last + place for place, number in enumerate(strangers, 1)}
        addresses = zip(dataset["EMAIL"], dataset["EXTERNAL_ID"], strict=True)
        self.fields["supervisor_id"].widget.known = {address: self._ids[number] for address, number in addresses}

    def after_init_instance(self, instance: Any, new: bool, row: Mapping[str, str], **_: object) -> None:
        """Complete a new user, and remember the values of an existing one."""
        self._before = None
        if new:
            instance.id, instance.agency, instance.created_at = self._ids[row["EXTERNAL_ID"]], self._agency, self._now
        if self._hooked and not new:
            self._before = self._values(instance)

    def skip_row(self, instance: Any, *others: object) -> bool:
        """Return whether the row changes nothing."""
        if self._hooked:
            return self._before == self._values(instance)
        return bool(super().skip_row(instance, *others))

    @staticmethod
    def _values(instance: Any) -> list[Any]:
        held = instance.__dict__
        return [held[name] for name in _FIELDS]

    def before_save_instance(self, instance: Any, *_: object, **__: object) -> None:
        """Set the keys that values are compared by."""
        for name in _KEYED:
            setattr(instance, f"{name}_key", getattr(instance, name).casefold())

    def get_bulk_update_fields(self) -> list[str]:
        """Return the columns that change."""
        return [*_FIELDS[1:], *(f"{name}_key" for name in _KEYED)]


def import_users(agency: models.Agency, path: Path, *, new: bool, hooked: bool) -> dict[str, Any]:
    """Import the file. Return the seconds, from reading it to the end of the transaction, and the outcome of the rows."""
    since = time.perf_counter()
    dataset = tablib.Dataset().load(path.read_text(encoding="utf-8"), format="csv")
    result = _UserResource(agency, new=new, hooked=hooked).import_data(dataset, raise_errors=True)
    _set_sequence()
    seconds = time.perf_counter() - since
    totals = {"added": "new", "updated": "update", "unchanged": "skip"}
    return {"seconds": seconds, "counts": {name: result.totals[theirs] for name, theirs in totals.items()}}


def _set_sequence() -> None:
    """Set the sequence of ids, if the database has one."""
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), [models.User]):
            cursor.execute(statement)
