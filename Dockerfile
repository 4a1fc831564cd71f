# The service, and as a second target the parts of the demo:
#   docker build -t envoy-mcp-identity .
#   docker build -t envoy-mcp-identity-demo --target demo .
# To pin the base by digest: --build-arg NODE_IMAGE=node:24-bookworm-slim@sha256:…
# The same base and the same commit give the same layers of ours: nothing below depends on when or where it is built.
# --build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)  gives files, and the image itself, the time of the commit.
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN npm run build

# Identity provider and MCP servers to try the service with (docker-compose.yml); nothing of it belongs in production.
FROM build AS demo
ENV NODE_ENV=production
COPY demo demo
COPY deploy deploy
# Volumes mounted here for the first time belong to the user who writes into them.
RUN install -d -o node -g node /config /keys /clients
USER node
ENTRYPOINT ["node"]

FROM ${NODE_IMAGE} AS application
WORKDIR /app
COPY package.json package-lock.json ./
# Exactly what the lock file says, its hashes checked; no package runs code while it is installed.
RUN npm ci --ignore-scripts --omit=dev --no-audit --no-fund && rm node_modules/.package-lock.json package-lock.json
COPY LICENSE ./
COPY proto proto
COPY deploy/healthcheck.mjs deploy/healthcheck.mjs
COPY --from=build /app/dist dist
ARG SOURCE_DATE_EPOCH=0
RUN chmod -R u=rwX,go=rX . && find . -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

FROM ${NODE_IMAGE} AS service
# What follows from docs/performance.md, Memory: about 100 MiB less resident.
ENV NODE_ENV=production MALLOC_ARENA_MAX=2
# One layer, before anything else touches /app: its time would be that of the build.
COPY --from=application /app /app
WORKDIR /app
# uid 1000. The service writes nothing below /app: the root file system may be read-only.
USER node
# HEALTH_URL: where `server.admin` listens, when not at its default.
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 CMD ["node", "deploy/healthcheck.mjs"]
# No shell between the container and the process: signals arrive, and none has to be in the image.
ENTRYPOINT ["node", "--max-semi-space-size=16", "dist/main.js"]
CMD ["serve", "--config", "/config/sidecar.yaml"]
