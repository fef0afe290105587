# The worker and all its commands: `docker build -t crm-mail-router .`, `docker run crm-mail-router check`.
# Runs as user 10001 with a read-only root and without capabilities; what it writes goes to /var/lib/mailrouter (files
# that came in) and to TMPDIR (files on their way out).
# Behind a mirror of the package registry: docker build --secret id=pip,src=pip.conf .
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python -m venv /tools && python -m venv --without-pip /opt/mailrouter
COPY requirements-tracing.lock requirements-build.lock ./
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    /tools/bin/pip install --require-hashes --only-binary :all: -r requirements-build.lock \
    && /tools/bin/pip --python /opt/mailrouter install --require-hashes --only-binary :all: -r requirements-tracing.lock
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY worker worker
RUN /tools/bin/python -m hatchling build -t wheel -d /dist \
    && /tools/bin/pip --python /opt/mailrouter install --no-deps --no-index /dist/*.whl
COPY deploy/docker/healthy.py deploy/docker/start.py /opt/mailrouter/

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="CRM Mail Router" \
      org.opencontainers.image.description="Delivers a CRM's mail through Exchange, exactly once, from RabbitMQ events." \
      org.opencontainers.image.licenses="MIT"
RUN install -d -o 10001 -g 10001 /run/mailrouter /var/lib/mailrouter /var/spool/mailrouter
COPY --from=build /opt/mailrouter /opt/mailrouter
ENV PATH=/opt/mailrouter/bin:$PATH \
    MAILROUTER_HTTP=0.0.0.0:9464 \
    MAILROUTER_PROFILES=/etc/mailrouter/profiles.toml \
    MAILROUTER_ATTACHMENT_STORE=/var/lib/mailrouter \
    TMPDIR=/var/spool/mailrouter
WORKDIR /var/lib/mailrouter
USER 10001:10001
EXPOSE 9464
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "-I", "/opt/mailrouter/healthy.py"]
ENTRYPOINT ["python", "-I", "/opt/mailrouter/start.py"]
CMD ["run"]
