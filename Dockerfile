# iebench in a container: it renders, trains and evaluates. Build it from the root of the repository:
#
#   docker build -t iebench .
#   docker run --rm -v "$PWD/runs:/work/runs" iebench demo --out runs/demo
#
# docs/containers.md has GPUs, other bases and Apptainer.
ARG BASE=debian:bookworm-slim
FROM ${BASE}

ARG TORCH_INDEX=
ENV DEBIAN_FRONTEND=noninteractive PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    VIRTUAL_ENV=/opt/iebench PATH=/opt/iebench/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# What NVIDIA's container toolkit hands in: with "graphics", which Blender's OptiX needs.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=all

# Python 3.11, for which Blender's wheels are, what torch.compile builds with, and the libraries that Blender loads.
# hadolint ignore=DL3008
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends \
      python3.11 python3.11-venv python3.11-dev gcc libc6-dev ca-certificates \
      libx11-6 libxrender1 libxi6 libxxf86vm1 libxfixes3 libxkbcommon0 libsm6 libice6 libgl1 libegl1 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /src
COPY requirements.lock pyproject.toml README.md LICENSE ./
# hadolint ignore=DL3013
RUN python3.11 -m venv "$VIRTUAL_ENV" \
    && if [ -n "$TORCH_INDEX" ]; then pip install --index-url "$TORCH_INDEX" torch torchvision; fi \
    && pip install -r requirements.lock

COPY shards shards
COPY render render
COPY iebench iebench
RUN pip install --no-deps --no-build-isolation . && iebench doctor

WORKDIR /work
ENTRYPOINT ["iebench"]
CMD ["--help"]
