# A stand-in for the official image nginx:1.28-bookworm, from Debian's packages, for machines that
# can't pull it. Same interface as far as the Dockerfile's gateway stage uses it: user nginx (uid 101), the
# njs module in /usr/lib/nginx/modules, curl.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
RUN groupadd --system --gid 101 nginx && useradd --system --gid 101 --uid 101 --no-create-home nginx \
    && apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends nginx-light libnginx-mod-http-js curl \
    && apt-get clean && rm -rf /var/lib/apt/lists/*
STOPSIGNAL SIGQUIT
CMD ["nginx", "-g", "daemon off;"]
