from django.db import migrations, models


def derive(apps, schema_editor):
    """Set the kind of the imports that are no file imports, by the rules of earlier versions."""
    imports = apps.get_model("directory", "Import").objects
    imports.filter(options__has_key="bulk").update(kind="bulk")
    imports.filter(undoes__isnull=False).update(kind="undo")


class Migration(migrations.Migration):

    dependencies = [
        ('directory', '0014_locks_by_place'),
    ]

    operations = [
        migrations.AddField(
            model_name='import',
            name='kind',
            field=models.CharField(default='file', max_length=4),
        ),
        migrations.AddConstraint(
            model_name='import',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['file', 'bulk', 'undo'])), name='import_kind'),
        ),
        migrations.RunPython(derive, migrations.RunPython.noop),
    ]
