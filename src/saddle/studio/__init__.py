"""saddle over HTTP: the service that draws samples on request, and what guards everything that listens."""
