# The server on CPU:  docker build -t nextgpt . && docker run -p 127.0.0.1:8000:8000 -e NEXTGPT_API_KEY=... nextgpt
# The image has what `make install` installs, so it serves nano; small needs the package of its LLM. Options of nextgpt serve follow the image's name.
# --build-arg EXTRAS=[ray] adds Ray, see deploy/.
FROM python:3.11-slim

ARG EXTRAS=""
ARG PIP_ARGS=""
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 HF_HUB_OFFLINE=1 HOME=/home/nextgpt

WORKDIR /opt/nextgpt
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
# KubeRay checks the health of Ray nodes with wget.
RUN apt-get update && apt-get install -y --no-install-recommends wget && rm -rf /var/lib/apt/lists/*
RUN python -m pip install --disable-pip-version-check --quiet $PIP_ARGS -c constraints.txt ".$EXTRAS" \
 && useradd --create-home nextgpt

USER nextgpt
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=2)"]
# The server listens on all interfaces of the container, so it needs a key: NEXTGPT_API_KEY.
ENTRYPOINT ["nextgpt", "serve", "--host", "0.0.0.0"]
