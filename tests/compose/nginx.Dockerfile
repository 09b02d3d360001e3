# A stand-in for the official image nginx:1.28-bookworm, from Debian's packages, for machines that
# can't pull it. Same interface as far as the Dockerfile's gateway stage uses it: user nginx (uid 101), the
# njs module under /etc/nginx/modules.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends nginx-light libnginx-mod-http-js curl \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 101 nginx
RUN id nginx >/dev/null 2>&1 || useradd --system --gid 101 --uid 101 --no-create-home nginx; \
    mkdir -p /etc/nginx/modules && ln -sf /usr/lib/nginx/modules/ngx_http_js_module.so /etc/nginx/modules/ && id nginx
STOPSIGNAL SIGQUIT
CMD ["nginx", "-g", "daemon off;"]
