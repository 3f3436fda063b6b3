"""Users get a key of their external id (M4), a source (S9), and the marks of grace periods and of files (S10, S11)."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from musterbook.directory.apply import stored_keys
from musterbook.directory.migrations._columns import AddColumn


def correct(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Make the keys again, because they ignore dashes, invisible characters and forms of domains now (rule M4)."""
    for agency in apps.get_model('directory', 'Agency').objects.values_list('pk', flat=True):
        stored_keys.correct_keys(agency)
    stored_keys.correct_released_names()


class Migration(migrations.Migration):

    dependencies = [
        ('directory', '0015_kind_of_import'),
    ]

    operations = [
        AddColumn(
            model_name='user',
            name='external_id_key',
            field=models.CharField(blank=True, db_default='', default='', max_length=1020),
        ),
        AddColumn(
            model_name='user',
            name='source',
            field=models.CharField(blank=True, db_default='', default='', max_length=63),
        ),
        AddColumn(
            model_name='user',
            name='no_files',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name='user',
            name='missing_since',
            field=models.DateField(null=True),
        ),
        AddColumn(
            model_name='user',
            name='missing_imports',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        AddColumn(
            model_name='releasedname',
            name='address',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.CreateModel(
            name='FormerId',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('agency', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='directory.agency')),
                ('external_id', models.CharField(max_length=255)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='directory.user')),
                ('until', models.DateTimeField()),
            ],
            options={
                'indexes': [models.Index(fields=['agency', 'external_id'], name='former_id')],
            },
        ),
        migrations.RunPython(correct, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name='user',
            index=models.Index(condition=models.Q(('external_id_key__gt', '')), fields=['agency', 'external_id_key'], name='user_by_look_of_id'),
        ),
        migrations.AddIndex(
            model_name='user',
            index=models.Index(condition=models.Q(('no_files', True), ('missing_since__isnull', False), _connector='OR'), fields=['agency'], name='user_marked'),
        ),
    ]
