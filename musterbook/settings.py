"""Django's settings. Importing them touches no disk: folder, database and secret key are made when first needed."""

from django.utils.functional import SimpleLazyObject

from musterbook import databases, environment, home

# Where things are
MUSTER_HOME = environment.home()
DATABASES = {"default": databases.configured(environment.text("DATABASE_URL"), MUSTER_HOME)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# What there is
INSTALLED_APPS = ["musterbook.directory"]
ROOT_URLCONF = "musterbook.urls"

# Secrets
SECRET_KEY = SimpleLazyObject(home.secret_key)
DEBUG = False

# Times are UTC inside; faces show them as the person wants. Sentences are English alone so far.
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False

# Limits of what an import reads (rule F9), and how long it is kept (rule A4); environment.py says what each means.
MUSTER_MAX_FILE_MB = environment.number("MUSTER_MAX_FILE_MB")
MUSTER_MAX_ROWS = environment.number("MUSTER_MAX_ROWS")
MUSTER_MAX_CELL_CHARACTERS = environment.number("MUSTER_MAX_CELL_CHARACTERS")
MUSTER_KEEP_FILES_DAYS = environment.number("MUSTER_KEEP_FILES_DAYS")
