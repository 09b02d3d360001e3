"""What the integration tests share: a temporary PostgreSQL cluster (pg), a service as a process
(service), several with the relay between them (linked), tokens with a JWKS server (tokens), signed
CloudEvents (events) and their documentation (event_docs), waiting (wait); and for tests through the
gateway, the whole shop as scripts/stack starts it (full_stack) and its users (client)."""
