"""Copies of an agency within its installation, made in SQL: a million users take seconds."""

from collections.abc import Sequence

from django.core.management.color import no_style
from django.db import connection, transaction
from django.db.models import Max, Model

from musterbook.directory import models
from musterbook.directory.storage import frames

_MANY_IDS = 1 << 16
"""The distance between the slots of two copies in the search index. So many users, and 24 times as many, get other ids."""
_SLOT_WIDTH = 24
"""The number of neighboring ids that share a slot (`apply.search_index`)."""


def copy_agency(agency: models.Agency, slugs: Sequence[str], tables: Sequence[type[Model]]) -> None:
    """Make agencies like this one with rows of these tables."""
    if not slugs:
        return
    first = (models.Agency.objects.aggregate(last=Max("pk"))["last"] or 0) + 1
    copies = [models.Agency.objects.get(pk=agency.pk) for _ in slugs]
    for number, (one, slug) in enumerate(zip(copies, slugs, strict=True)):
        one.pk, one.slug, one.name = first + number, slug, slug
    with transaction.atomic(), connection.cursor() as cursor:
        models.Agency.objects.bulk_create(copies)
        for table in tables:
            cursor.execute(_write_copy(agency, table, first, len(slugs)))
        for statement in connection.ops.sequence_reset_sql(no_style(), [models.Agency, *tables]):
            cursor.execute(statement)


def _write_copy(agency: models.Agency, table: type[Model], first: int, copies: int) -> str:
    """Return the statement that copies the agency's rows of a table. Ids are moved by the number of the agency."""
    number = f"CAST(n.k - {agency.pk} AS bigint)"
    move = f"{number} * {_MANY_IDS * _SLOT_WIDTH}"
    fields, values = table._meta.concrete_fields, []
    for field in fields:
        column = f't."{field.column}"'
        target = field.related_model
        if target is models.Agency:
            values.append("n.k")
        elif field.primary_key or target:
            values.append(f"{column} + {move}")
        elif table is models.SearchChunk and field.name == "slot":
            values.append(f"{column} + {number} * {_MANY_IDS}")
        else:
            values.append(column)
    name, columns = frames.table(table), ", ".join(f'"{field.column}"' for field in fields)
    numbers = f"WITH RECURSIVE n(k) AS (SELECT {first} UNION ALL SELECT k + 1 FROM n WHERE k < {first + copies - 1})"
    source = f'{numbers} SELECT {", ".join(values)} FROM n, "{name}" t WHERE t.agency_id = {agency.pk} ORDER BY 1'
    return f'INSERT INTO "{name}" ({columns}) {source}'
