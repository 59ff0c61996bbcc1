import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import files from '@fastify/static'
import type { FastifyInstance } from 'fastify'
import { installation } from '../../core/installation.ts'

const own = join(installation, 'src/api/graphql/graphiql')

/** Where each file of the page lies; nothing else is served. */
const assets: Readonly<Record<string, readonly [folder: string, file: string]>> = {
  'page.css': [own, 'page.css'],
  'page.js': [own, 'page.js'],
  'graphiql.css': [folderOf('graphiql'), 'graphiql.min.css'],
  'graphiql.js': [folderOf('graphiql'), 'graphiql.min.js'],
  'react.js': [`${folderOf('react')}/umd`, 'react.production.min.js'],
  'react-dom.js': [`${folderOf('react-dom')}/umd`, 'react-dom.production.min.js'],
}

/** Everything from here; GraphiQL's editor sets style attributes and brings its fonts along. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "font-src 'self' data:",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** GET /graphiql: a page to try queries on, from this server alone. For development. */
export async function graphiql(api: FastifyInstance): Promise<void> {
  await api.register(files, { root: own, serve: false })
  api.get('/graphiql', (_request, reply) =>
    reply.header('content-security-policy', policy).sendFile('page.html'),
  )
  for (const [name, [folder, file]] of Object.entries(assets)) {
    api.get(`/graphiql/assets/${name}`, (_request, reply) => reply.sendFile(file, folder))
  }
}

function folderOf(library: string): string {
  return dirname(fileURLToPath(import.meta.resolve(`${library}/package.json`)))
}
