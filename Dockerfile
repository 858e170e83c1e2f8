# docker build --build-arg UID="$(id -u)" --tag batch-editor .
# docker run --rm --env SEGMIND_API_KEY --volume "$PWD:/catalog" --volume batch-editor-state:/state batch-editor --help
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
RUN python -m venv /opt/batch-editor
WORKDIR /src
COPY requirements.lock ./
RUN /opt/batch-editor/bin/pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md ./
COPY batch_editor ./batch_editor
RUN /opt/batch-editor/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
    && /opt/batch-editor/bin/pip check

FROM python:${PYTHON}-slim
# Whose files the images and the ledger in the mounted folder will be.
ARG UID=1000
RUN useradd --uid "${UID}" --no-log-init --create-home editor \
    && install --directory --owner editor /catalog /state
COPY --from=build /opt/batch-editor /opt/batch-editor
# What the runs of one key share, so that they keep its rate limit together.
ENV PATH=/opt/batch-editor/bin:$PATH XDG_STATE_HOME=/state
USER ${UID}
WORKDIR /catalog
ENTRYPOINT ["batch-editor"]
CMD ["--help"]
