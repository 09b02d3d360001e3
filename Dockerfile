# One image with every binary of the shop and the relay; the command chooses. Migrations are the same
# image with SERVICE_MODE=INIT. Builds on amd64 and arm64 alike.
#
#   docker build -t outbox-shop .                        all services and the relay
#   docker build -t outbox-relay --target relay .        the relay alone

#   docker build -t outbox-shop-gateway --target gateway .

ARG BASE=debian:bookworm-slim
ARG NGINX_IMAGE=nginx:1.28-bookworm

FROM ${BASE} AS build
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        gcc libc6-dev make pkg-config libmicrohttpd-dev libjansson-dev libpq-dev \
        libcurl4-openssl-dev libssl-dev libjwt-dev libargon2-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY VERSION Makefile ./
COPY make make
COPY scripts scripts
COPY sql sql
COPY shared shared
COPY services services
COPY outbox-relay outbox-relay
RUN make all && strip build/bin/*

FROM ${BASE} AS runtime
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        ca-certificates libmicrohttpd12 libjansson4 libpq5 libcurl4 libjwt0 libargon2-1 \
    && rm -rf /var/lib/apt/lists/* /var/cache/debconf /var/log/*.log /var/log/apt \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin shop
USER 10001:10001
STOPSIGNAL SIGTERM

FROM runtime AS shop
COPY --from=build /src/build/bin/ /usr/local/bin/
COPY deploy /usr/local/share/outbox-shop
CMD ["outbox-relay", "--help"]

FROM runtime AS relay
COPY --from=build /src/build/bin/outbox-relay /usr/local/bin/
EXPOSE 8010
ENTRYPOINT ["outbox-relay"]
CMD ["--help"]

# nginx with the shop's configuration; settings as in services/gateway/render.
FROM ${NGINX_IMAGE} AS gateway
COPY services/gateway/render services/gateway/nginx.conf.template services/gateway/gateway.js /gateway/
ENV RUN=/run/gateway LISTEN=0.0.0.0:8080 ERROR_LOG=stderr
USER 101:101
EXPOSE 8080
STOPSIGNAL SIGQUIT
ENTRYPOINT []
CMD ["sh", "-c", "mkdir -p $RUN && /gateway/render > $RUN/nginx.conf && exec nginx -c $RUN/nginx.conf -e stderr -g 'daemon off;'"]
