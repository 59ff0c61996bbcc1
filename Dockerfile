# The service; `serve` unless told otherwise (docker run … worker). What it is built on may be told by digest.
ARG BUILD=node:24
ARG BASE=node:24-slim
# With a compiler, which pkcs11js needs to be built: without one npm would leave it out, as it is optional.
FROM ${BUILD} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY clients/typescript ./clients/typescript
COPY console ./console
RUN npm ci
COPY tsconfig.json tsconfig.build.json prisma.config.ts ./
COPY prisma ./prisma
COPY openapi ./openapi
COPY src ./src
COPY tools ./tools
RUN npm run build && npm prune --omit=dev --ignore-scripts

FROM ${BASE}
ENV NODE_ENV=production
# V8 would otherwise let the heap grow far beyond what is in use.
ENV NODE_OPTIONS="--max-semi-space-size=24 --max-old-space-size=256"
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/clients ./clients
COPY --from=build /app/dist ./dist
COPY --from=build /app/prisma ./prisma
USER node
EXPOSE 4000
ENTRYPOINT ["node", "dist/main.js"]
CMD ["serve"]
