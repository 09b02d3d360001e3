"""What the integration tests share: a temporary PostgreSQL cluster (pg), a service as a process
(service), tokens with a JWKS server (tokens), signed CloudEvents (events), waiting (wait); and for tests through the gateway, the whole shop as scripts/stack starts it
(full_stack) and its users (client)."""
