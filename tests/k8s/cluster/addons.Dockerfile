# What runs in pods of the test's cluster besides the shop: name server and ingress controller, as static
# programs; and, by its command, the pause container of each pod.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
COPY coredns skipper /usr/local/bin/
CMD ["sleep", "infinity"]
