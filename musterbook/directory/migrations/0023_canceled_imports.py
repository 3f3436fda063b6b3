from django.db import migrations


def mark_canceled(apps, schema_editor):
    failed = apps.get_model("directory", "Import").objects.filter(state="failed")
    failed.filter(message__startswith="It was cancelled").update(stop=True)
    failed.exclude(message__startswith="It was cancelled").update(stop=False)


class Migration(migrations.Migration):
    """An import that was canceled is marked as such, so that it is not shown as a failure."""

    dependencies = [("directory", "0022_notices")]

    operations = [migrations.RunPython(mark_canceled, migrations.RunPython.noop)]
