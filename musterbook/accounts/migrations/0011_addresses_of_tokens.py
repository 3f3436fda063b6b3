from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0010_shortcuts'),
    ]

    operations = [
        migrations.AddField(
            model_name='token',
            name='addresses',
            field=models.JSONField(default=list),
        ),
    ]
