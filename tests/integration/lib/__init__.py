"""What the integration tests share: a temporary PostgreSQL cluster (pg), a service as a process
(service), tokens with a JWKS server (tokens), signed CloudEvents (events), waiting (wait)."""
