from django.db import migrations, models

DEFAULT = (5, 10, 500)


def keep_limits(apps, schema_editor):
    """Keep the limits of deactivations that agencies have set. The default ones are defaults from now on."""
    for agency in apps.get_model("directory", "Agency").objects.all():
        users, percent, most = agency.limit_users, agency.limit_percent, agency.limit_most
        if (users, percent, most) != DEFAULT:
            limit = {"kind": "deactivations", "users": users, "percent": percent, "most": most}
            agency.limits = [{**limit, "off": False, "role": None, "group": None}]
            agency.save(update_fields=["limits"])


def name_requesters(apps, schema_editor):
    """Whoever has run an import has requested it."""
    apps.get_model("directory", "Import").objects.update(requester=models.F("actor"))


def list_holds(apps, schema_editor):
    """List why imports are held, as later versions do."""
    imports = apps.get_model("directory", "Import").objects.filter(held__isnull=False)
    for record in imports.filter(state__in=["held", "previewed"]).iterator():
        held = record.held or {}
        if held.get("code") == "deactivation-limit":
            number = held["deactivations"]
            hold = {"kind": "deactivations", "users": number, "active": held["active"], "limit": held["limit"]}
            record.holds = [{"code": "limit", **hold, "total": number, "external_ids": record.leavers["deactivated"]}]
            record.save(update_fields=["holds"])


class Migration(migrations.Migration):

    dependencies = [
        ('directory', '0020_new_external_ids'),
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
            model_name='import',
            name='holds',
            field=models.JSONField(default=list),
        ),
        migrations.AddField(
            model_name='import',
            name='requester',
            field=models.CharField(db_default='', default='', max_length=255),
        ),
        migrations.RunPython(keep_limits, migrations.RunPython.noop),
        migrations.RunPython(name_requesters, migrations.RunPython.noop),
        migrations.RunPython(list_holds, migrations.RunPython.noop),
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
