# tasktap in an image: a wheel is built, installed into a virtual environment, and only that environment is taken along.

FROM python:3.13-slim-bookworm AS build
# The path of bytes is compiled, which takes a C compiler; the image that is kept has none.
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev
WORKDIR /src
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY proxy ./proxy
RUN TASKTAP_COMPILE=1 pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
 && python -m venv /opt/tasktap \
 && /opt/tasktap/bin/pip install --no-cache-dir "$(echo /wheels/*.whl)[redact]" \
 && /opt/tasktap/bin/pip uninstall --yes pip \
 && /opt/tasktap/bin/python -m compileall -q -j 0 /opt/tasktap/lib

FROM python:3.13-slim-bookworm
COPY --from=build /opt/tasktap /opt/tasktap
COPY deploy/probe.py /opt/tasktap/probe.py
RUN groupadd --gid 10001 tasktap \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin tasktap \
 && install --directory --owner 10001 --group 10001 --mode 0700 /data

# Calls are taken from outside the container, or no published port could reach them. The desk stays on the container's own
# loopback: to open it set TASKTAP_LISTEN__DESK=0.0.0.0:8901 together with TASKTAP_DESK__KEY.
ENV PATH=/opt/tasktap/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TASKTAP_DATA_DIR=/data \
    TASKTAP_LISTEN__CALLS=0.0.0.0:8900

# by number, so that Kubernetes can see that it is not root
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8900 8901
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --start-interval=1s --retries=3 \
    CMD ["python", "/opt/tasktap/probe.py", "healthz"]
ENTRYPOINT ["tasktap"]
CMD ["serve"]
