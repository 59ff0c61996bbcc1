import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import files from '@fastify/static'
import Type from 'typebox'
import type { Context } from '../../core/context.ts'
import { installation } from '../../core/installation.ts'
import { Problem } from '../../shared/problem.ts'
import type { Api } from '../api.ts'

const forGood = 'public, max-age=31536000, immutable'
const hourly = 'public, max-age=3600'

/** No part begins with a dot, and nothing but slashes leads elsewhere. */
const fileName = /^(?:[\w-][\w.-]*\/)*[\w-][\w-]*\.[\w.-]+$/

/** The address of a host ends in its name, dots and all, and is a view like any other. */
const hostView = /^hosts\/[a-z0-9-]+\/[\w*.-]+$/i

/** GET /console/…: the built console, to everybody; the page itself wherever no file is named, since it knows its own
 *  views. No database is asked. */
export async function consoleFiles(api: Api, ctx: Context): Promise<void> {
  const { consoleFolder: folder = join(installation, 'dist/console') } = ctx.config
  await api.register(files, {
    ...{ root: folder, serve: false, suppressWarning: true, preCompressed: true },
    ...{ acceptRanges: false, cacheControl: false, dotfiles: 'ignore', index: false },
    // What is not there is not remembered.
    setHeaders: (reply, path) => {
      const isNamedByContent = path.startsWith(join(folder, 'assets/'))
      reply.header('cache-control', isNamedByContent ? forGood : hourly)
    },
  })
  const page = () => readFile(join(folder, 'index.html')).catch(unbuilt)
  api.get('/console', { schema: { hide: true } }, (_request, reply) =>
    reply.redirect('/console/', 308),
  )
  api.get(
    '/console/*',
    {
      config: { conditional: true, problems: ['route-unknown'] },
      schema: { hide: true, params: Type.Object({ '*': Type.String() }) },
    },
    async (request, reply) => {
      const name = request.params['*']
      const html = await page()
      if (name !== 'index.html' && !hostView.test(name) && /\.[^/]*$/.test(name)) {
        if (!fileName.test(name)) return reply.callNotFound()
        return reply.sendFile(name)
      }
      // By what is in it: two builds of one size and one time may differ in the names of their files alone.
      const etag = `"${createHash('sha256').update(html).digest('base64url').slice(0, 22)}"`
      reply.header('etag', etag).header('cache-control', 'no-cache')
      if (isKnown(request.headers['if-none-match'], etag)) return reply.code(304).send()
      return reply.type('text/html; charset=utf-8').send(html)
    },
  )
}

function unbuilt(error: NodeJS.ErrnoException): never {
  if (error.code !== 'ENOENT') throw error
  throw new Problem('route-unknown', 'The console is not built here: npm run build')
}

/** RFC 9110 13.1.2: compared weakly. */
function isKnown(header: string | undefined, etag: string): boolean {
  const tags = (header ?? '').split(',').map((tag) => tag.trim().replace(/^W\//, ''))
  return tags.includes(etag) || tags.includes('*')
}
