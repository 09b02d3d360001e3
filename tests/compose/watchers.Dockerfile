# Stand-ins for the images of the profile monitoring, from Debian's packages of the same versions, for
# machines that can't pull them. Same interface as far as docker-compose.yml uses it: user 65534, programs in
# /bin, data directories that a new volume takes its owner from, wget. There is none for Grafana.
ARG BASE=debian:bookworm-slim
FROM ${BASE} AS watchers
ARG PACKAGES="prometheus prometheus-alertmanager prometheus-node-exporter prometheus-postgres-exporter"
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends busybox ${PACKAGES} \
    && apt-get clean && rm -rf /var/lib/apt/lists/* /etc/prometheus/* /etc/alertmanager \
    && for tool in wget awk; do ln -sf /bin/busybox /usr/local/bin/$tool; done \
    && ln -s prometheus-alertmanager /usr/bin/alertmanager \
    && install -d -o 65534 -g 65534 /prometheus /alertmanager
USER 65534:65534

FROM watchers AS prometheus
ENTRYPOINT ["/bin/prometheus"]

FROM watchers AS postgres-exporter
ENTRYPOINT ["/bin/prometheus-postgres-exporter"]

FROM watchers AS node-exporter
ENTRYPOINT ["/bin/prometheus-node-exporter"]
