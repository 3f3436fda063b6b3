"""The trail gets keys, sessions, and heads that are only ever added. The triggers come with `muster migrate` (`guards`)."""

import django.db.models.deletion
from django.db import migrations, models

KEEP_ENDS = "INSERT INTO directory_trailend (agency_id, links, digest) SELECT agency_id, links, digest FROM directory_oldend"


class Migration(migrations.Migration):
    """Rows of old trails stay as they are: their links name no key."""

    dependencies = [
        ("directory", "0012_mails_to_forget"),
        ("contenttypes", "0002_remove_content_type_name"),  # which follows the names of models
    ]

    operations = [
        migrations.AddField(
            model_name="event",
            name="session",
            field=models.CharField(db_default="", default="", max_length=16),
        ),
        migrations.AddField(
            model_name="event",
            name="request",
            field=models.CharField(db_default="", default="", max_length=40),
        ),
        migrations.AddField(
            model_name="traillink",
            name="key",
            field=models.CharField(db_default="", default="", max_length=16),
        ),
        migrations.RenameModel("TrailEnd", "OldEnd"),
        migrations.CreateModel(
            name="TrailEnd",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("links", models.PositiveBigIntegerField()),
                ("digest", models.CharField(max_length=64)),
                (
                    "agency",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="directory.agency",
                    ),
                ),
            ],
        ),
        migrations.RunSQL(KEEP_ENDS, migrations.RunSQL.noop),
        migrations.DeleteModel("OldEnd"),
        migrations.AddConstraint(
            model_name="trailend",
            constraint=models.UniqueConstraint(fields=("agency", "links"), name="trail_end_once"),
        ),
    ]
