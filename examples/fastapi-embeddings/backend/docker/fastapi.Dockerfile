# One layer for each rate of change, as the optimisation guide has it:
#   DOCKER_BUILDKIT=1 docker build -f backend/docker/fastapi.Dockerfile -t fastapi .
FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 \
    PIP_DEFAULT_TIMEOUT=300

WORKDIR /app

# 1. System dependencies: change with the apt packages.
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    apt-get update && apt-get install -y --no-install-recommends libgomp1

# 2. The installers: change with the Python version.
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --upgrade pip setuptools wheel

# 3. Base Python packages: change with requirements-base.txt.
COPY backend/requirements-base.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install -r requirements-base.txt

# 4. numpy: large, so on its own.
COPY backend/requirements.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install -r requirements.txt

# 5. sentence-transformers: the heaviest.
COPY backend/requirements-full.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install -r requirements-full.txt

# 6. The application: changes often, and takes no other layer with it.
COPY backend/app ./app

EXPOSE 8000
CMD ["uvicorn", "app.main:app", "--host", "0.0.0.0", "--port", "8000"]
