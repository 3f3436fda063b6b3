"""The server of pages: limits on requests and on slow clients. It knows neither users nor pages."""
