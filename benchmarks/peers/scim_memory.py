"""The application of scim2-server: its storage in memory, with the users of BENCH_USERS."""

from io import BytesIO
from typing import Any

from scim2_models import ScimProvider
from scim2_server import utils
from scim2_server.memory import InMemoryStorage
from scim2_server.testserver.application import BearerTokenApplication

from benchmarks.peers import scim_servers


def _make_application() -> Any:
    """Return the application. It answers below `PATH`, as the others do."""
    provider = ScimProvider.from_discovery(
        utils.load_default_schemas().values(),
        utils.load_default_resource_types().values(),
        config=utils.load_default_service_provider_config(),
    )
    kind = next(one for one in provider.resource_types if one.name == "User")
    model: Any = provider.model_for(kind)
    storage = InMemoryStorage()
    for person in scim_servers.read_people():
        storage.create(kind, model.model_validate(person))
    return _mount(BearerTokenApplication(storage, provider, bearer_tokens=[scim_servers.TOKEN]))


def _mount(application: Any) -> Any:
    """Return the application with its own prefix, /v2, in place of `PATH`."""

    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        environ["wsgi.input"] = BytesIO(environ["wsgi.input"].read())  # granian's takes no size of -1
        environ["PATH_INFO"] = "/v2" + environ["PATH_INFO"].removeprefix(scim_servers.PATH)
        return application(environ, start_response)

    return answer


application = _make_application()
