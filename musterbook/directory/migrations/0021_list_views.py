"""How each user sees All Users, and the searches that they have saved."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Add the two tables."""

    dependencies = [
        ('directory', '0020_drafts_of_fixes'),
    ]

    operations = [
        migrations.CreateModel(
            name='ListView',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('columns', models.JSONField(default=list)),
                ('compact', models.BooleanField(default=False)),
                ('size', models.PositiveSmallIntegerField(default=0)),
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='directory.user')),
            ],
        ),
        migrations.CreateModel(
            name='SavedFilter',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=60)),
                ('name_key', models.CharField(max_length=240)),
                ('query', models.CharField(max_length=2000)),
                ('user', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='directory.user')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('user', 'name_key'), name='saved_filter_once')],
            },
        ),
    ]
