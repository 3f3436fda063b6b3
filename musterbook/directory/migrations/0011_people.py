# Django wrote this from the models.

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('directory', '0010_second_factor_for_all'),
    ]

    operations = [
        migrations.CreateModel(
            name='ReleasedName',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=1020)),
                ('released_at', models.DateTimeField()),
            ],
        ),
        migrations.AddField(
            model_name='agency',
            name='looked_on',
            field=models.DateField(null=True),
        ),
        migrations.AddField(
            model_name='agency',
            name='reuse_days',
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='agency',
            name='sign_in_notice',
            field=models.TextField(blank=True, default=''),
        ),
        migrations.AddField(
            model_name='agency',
            name='unused_days',
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='user',
            name='email_changed_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='user',
            name='ends_on',
            field=models.DateField(null=True),
        ),
        migrations.AddIndex(
            model_name='user',
            index=models.Index(condition=models.Q(('ends_on__isnull', False)), fields=['agency', 'ends_on'], name='user_ends'),
        ),
        migrations.AddField(
            model_name='releasedname',
            name='agency',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='directory.agency'),
        ),
        migrations.AddField(
            model_name='releasedname',
            name='user',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='directory.user'),
        ),
        migrations.AddIndex(
            model_name='releasedname',
            index=models.Index(fields=['agency', 'key'], name='released_name'),
        ),
    ]
