"""Agencies get limits of each kind (S4), what they remember of files (F2, F12 to F14), and the other settings of imports."""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from musterbook.directory.migrations._columns import AddColumn

DEFAULT = (5, 10, 500)


def keep_limits(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Keep the limits of deactivations that agencies have set. The default ones are defaults from now on."""
    for agency in apps.get_model('directory', 'Agency').objects.all().iterator():
        users, percent, most = agency.limit_users, agency.limit_percent, agency.limit_most
        if (users, percent, most) != DEFAULT:
            limit = {'kind': 'deactivations', 'users': users, 'percent': percent, 'most': most}
            agency.limits = [{**limit, 'off': False, 'role': None, 'group': None}]
            agency.save(update_fields=['limits'])


def restore_limits(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Give the agencies the limit of deactivations that the older version knows. A limit that is off cannot be kept."""
    for agency in apps.get_model('directory', 'Agency').objects.exclude(limits=[]).iterator():
        for limit in agency.limits:
            if limit['kind'] == 'deactivations' and not (limit['off'] or limit['role'] or limit['group']):
                agency.limit_users, agency.limit_percent, agency.limit_most = (
                    round(limit[name] or 0) for name in ('users', 'percent', 'most')
                )
                agency.save(update_fields=['limit_users', 'limit_percent', 'limit_most'])


class Migration(migrations.Migration):

    dependencies = [
        ('directory', '0016_marks_and_keys_of_users'),
    ]

    operations = [
        migrations.AddField(
            model_name='agency',
            name='limits',
            field=models.JSONField(default=list),
        ),
        migrations.AddField(
            model_name='agency',
            name='second_approver',
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name='agency',
            name='reading',
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name='agency',
            name='values',
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name='agency',
            name='defaults',
            field=models.JSONField(default=dict),
        ),
        AddColumn(
            model_name='agency',
            name='grace_days',
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        AddColumn(
            model_name='agency',
            name='preview_days',
            field=models.PositiveSmallIntegerField(db_default=14, default=14),
        ),
        AddColumn(
            model_name='agency',
            name='replaced_addresses_days',
            field=models.PositiveSmallIntegerField(db_default=90, default=90),
        ),
        AddColumn(
            model_name='agency',
            name='release_badges',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.RunPython(keep_limits, restore_limits),
        migrations.RemoveField(
            model_name='agency',
            name='limit_most',
        ),
        migrations.RemoveField(
            model_name='agency',
            name='limit_percent',
        ),
        migrations.RemoveField(
            model_name='agency',
            name='limit_users',
        ),
    ]
