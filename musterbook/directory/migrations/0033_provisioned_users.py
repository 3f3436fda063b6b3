"""What an identity provider says of a user, and that it has deleted them, is kept next to the user."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('directory', '0032_totals_of_imports'),
    ]

    operations = [
        migrations.CreateModel(
            name='ProvisionedUser',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kept', models.JSONField(default=dict)),
                ('deleted_at', models.DateTimeField(null=True)),
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='provisioned', to='directory.user')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('deleted_at__isnull', False)), fields=['user'], name='provisioned_deleted')],
            },
        ),
    ]
