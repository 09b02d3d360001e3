# One image with every binary of the shop and the relay; the command chooses. Migrations are the same
# image with SERVICE_MODE=INIT. Nothing in here knows the processor: builds on amd64 and arm64 alike.
#
#   docker build -t outbox-shop --target shop .                 all services and the relay
#   docker build -t outbox-relay --target relay .               the relay alone
#   docker build -t outbox-shop-gateway --target gateway .      nginx, configured

ARG BASE=debian:bookworm-slim
ARG NGINX_IMAGE=nginx:1.28-bookworm

FROM ${BASE} AS build
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        gcc libc6-dev make pkg-config libmicrohttpd-dev libjansson-dev libpq-dev \
        libcurl4-openssl-dev libssl-dev libargon2-dev \
    && apt-get clean && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# Only what is compiled: a change of anything else leaves this stage in the cache.
COPY VERSION Makefile ./
COPY scripts/embed-sql.sh scripts/
COPY sql sql
COPY shared shared
COPY services services
COPY outbox-relay outbox-relay
RUN make all && strip build/bin/*

FROM ${BASE} AS runtime
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        ca-certificates libmicrohttpd12 libjansson4 libpq5 libcurl4 \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* /var/cache/debconf/* /var/log/apt /var/log/*.log \
        /usr/share/doc/*/changelog* /usr/share/man/* /usr/share/locale/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin shop
USER 10001:10001
STOPSIGNAL SIGTERM

FROM runtime AS shop
USER root
# The library of auth alone.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends libargon2-1 \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* /var/cache/debconf/* /var/log/apt /var/log/*.log \
        /usr/share/doc/*/changelog*
COPY --from=build /src/build/bin/ /usr/local/bin/
COPY deploy /usr/local/share/outbox-shop
# Where docker-compose.yml mounts the volumes that deploy/make-secrets.sh fills, and where a program finds its
# own. A new volume gets the owner, and would get the content, of the directory it is mounted on first.
RUN cd /usr/local/share/outbox-shop && install -d -o 10001 -g 10001 -m 700 /secrets /volumes \
        /volumes/postgres /volumes/relay /volumes/deploy /volumes/monitoring \
        $(sed -n 's|^\([a-z][a-z-]*\)\t.*|/volumes/\1|p' services.tsv)
USER 10001:10001
CMD ["outbox-relay", "--help"]

FROM runtime AS relay
COPY --from=build /src/build/bin/outbox-relay /usr/local/bin/
EXPOSE 8010
HEALTHCHECK --interval=10s --timeout=3s --retries=6 CMD ["outbox-relay", "healthcheck"]
ENTRYPOINT ["outbox-relay"]
CMD ["--help"]

# The builder without BuildKit builds every stage before its target: this one, whose base is
# another, comes last.
FROM ${NGINX_IMAGE} AS gateway
COPY services/gateway/render services/gateway/serve services/gateway/nginx.conf.template \
    services/gateway/gateway.js /gateway/
ENV RUN=/run/gateway LISTEN=0.0.0.0:8080 ERROR_LOG=stderr
USER 101:101
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --retries=6 CMD ["curl", "-sf", "-o", "/dev/null", "http://127.0.0.1:8080/health"]
STOPSIGNAL SIGQUIT
ENTRYPOINT []
CMD ["/gateway/serve"]
