"""Imports get every reason why they are held (S4), their requester (S8), mails (D8) and the end of a plan (A4).

An idempotency key is used up only by an import that was applied or is to be (D6).
"""

import django.db.models.deletion
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from musterbook.directory.migrations._columns import AddColumn

AT_ONCE = 500
COUNT_ENDED = """
    SELECT p.of_id, count(*)
    FROM directory_passage p
    JOIN directory_event e ON e.id BETWEEN p."first" AND p."last" AND e.of_id = p.of_id AND e.kind = p.kind
    WHERE p.of_id IS NOT NULL AND p.kind = 'user.updated' AND e.changes LIKE '%"STATUS":["Active","Inactive"]%'
    GROUP BY p.of_id
"""
"""For each import, the number of users who lost access by their row."""


def complete(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Fill in what later versions record: who requested the import, why it is held, and how many users lose access."""
    imports = apps.get_model('directory', 'Import').objects
    imports.update(requester=models.F('actor'))
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(COUNT_ENDED)
        ended = dict(cursor.fetchall())
    fields = 'counts', 'held', 'state', 'holds'
    found = imports.order_by('pk').only(*fields)
    last = 0
    while part := list(found.filter(pk__gt=last)[:AT_ONCE]):
        for record in part:
            record.counts = count_access(record.counts, ended.get(record.pk, 0))
            if record.held and record.state in ('held', 'previewed'):
                record.holds = list_holds(apps, record)
        imports.bulk_update(part, ['counts', 'holds'])
        last = part[-1].pk


def count_access(counts: dict[str, int], ended: int) -> dict[str, int]:
    """Return the counts of an import, with the number of users who lose access."""
    return counts | {'losing_access': counts.get('deactivated', 0) + ended} if counts else counts


def list_holds(apps: StateApps, record: models.Model) -> list[dict[str, object]]:
    """Return why an import is held, as later versions do."""
    held = record.held
    if held['code'] == 'deactivation-limit':
        number = held['deactivations']
        hold = {'kind': 'deactivations', 'users': number, 'active': held['active'], 'limit': held['limit']}
        ids = record.leavers.get('deactivated', [])
        return [{'code': 'limit', **hold, 'total': number, 'external_ids': ids}]
    problems = apps.get_model('directory', 'ImportProblem').objects.filter(of=record.pk, note=False, row__gt=0)
    return [{'code': held['code'], 'rows': problems.filter(external_id='').values('row').distinct().count()}]


def end_applied(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """End the plans that were applied: the import that did so names the plan by its digest."""
    imports = apps.get_model('directory', 'Import').objects
    applied = imports.filter(state='applied').exclude(expected='').order_by('pk')
    for record in applied.only('agency', 'expected', 'finished_at').iterator():
        shown = imports.filter(
            agency=record.agency_id, digest=record.expected, pk__lt=record.pk, state__in=['previewed', 'held'], ended=''
        )
        shown.update(ended='applied-as', ended_at=record.finished_at, successor=record.pk)


def rename_note(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Rename the note about the encoding, whose sentence now also names the encoding."""
    notes = apps.get_model('directory', 'ImportProblem').objects.filter(code='read-as-windows-1252')
    notes.update(code='encoding', hint=models.F('detail'), detail='Windows-1252')


def restore_note(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Give the note about the encoding the name that the older version knows."""
    notes = apps.get_model('directory', 'ImportProblem').objects.filter(code='encoding', detail='Windows-1252')
    notes.update(code='read-as-windows-1252', detail=models.F('hint'), hint='')


class Migration(migrations.Migration):

    dependencies = [
        ('directory', '0017_settings_of_imports'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='import',
            name='import_once',
        ),
        migrations.RemoveConstraint(
            model_name='import',
            name='import_mode',
        ),
        migrations.RemoveConstraint(
            model_name='import',
            name='import_kind',
        ),
        migrations.AlterField(
            model_name='import',
            name='kind',
            field=models.CharField(default='file', max_length=5),
        ),
        migrations.AddField(
            model_name='import',
            name='mails',
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name='import',
            name='holds',
            field=models.JSONField(default=list),
        ),
        migrations.AddConstraint(
            model_name='import',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['file', 'rekey', 'bulk', 'undo'])), name='import_kind'),
        ),
        migrations.AddConstraint(
            model_name='import',
            constraint=models.CheckConstraint(condition=models.Q(('mode__in', ('update', 'sync', 'rekey'))), name='import_mode'),
        ),
        migrations.AddConstraint(
            model_name='import',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ('waiting', 'running', 'applied'))), fields=('agency', 'idempotency_key'), name='import_once'),
        ),
        AddColumn(
            model_name='import',
            name='requester',
            field=models.CharField(db_default='', default='', max_length=255),
        ),
        AddColumn(
            model_name='import',
            name='ended',
            field=models.CharField(db_default='', default='', max_length=11),
        ),
        migrations.AddField(
            model_name='import',
            name='ended_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='import',
            name='origin',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='directory.import'),
        ),
        migrations.AddField(
            model_name='import',
            name='successor',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='directory.import'),
        ),
        migrations.AddIndex(
            model_name='import',
            index=models.Index(condition=models.Q(('ended', ''), ('state__in', ('previewed', 'held', 'refused'))), fields=['agency', 'finished_at'], name='import_plan_open'),
        ),
        migrations.RunPython(complete, migrations.RunPython.noop),
        migrations.RunPython(end_applied, migrations.RunPython.noop),
        migrations.RunPython(rename_note, restore_note),
    ]
