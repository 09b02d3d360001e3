# The images of CloudNativePG, for machines that can't pull them: the operator, built from its Go module, laid out as
# in the official image; and instances from Debian's PostgreSQL (the stand-in of tests/compose).
ARG BASE=debian:bookworm-slim
ARG POSTGRES_IMAGE=postgres:15-bookworm
FROM ${BASE} AS operator
WORKDIR /
COPY manager operator/manager
# The operator looks for one binary per processor, by this name.
RUN mv operator/manager operator/manager_$(dpkg --print-architecture) \
    && ln -s operator/manager_$(dpkg --print-architecture) manager
USER 65532:65532
ENTRYPOINT ["/manager"]

FROM ${POSTGRES_IMAGE} AS instance
RUN usermod --uid 26 postgres
ENTRYPOINT []
USER 26
