from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('directory', '0009_states_by_index'),
    ]

    operations = [
        migrations.AddField(
            model_name='user',
            name='email_changed_at',
            field=models.DateTimeField(null=True),
        ),
    ]
