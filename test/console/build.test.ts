import assert from 'node:assert/strict'
import { globSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { installation } from '../../src/core/installation.ts'

// The console as it is built: `npm run generate` has done so.

const folder = join(installation, 'dist/console')
const assets = globSync('assets/*', { cwd: folder })
const sizeOf = (paths: readonly string[]) =>
  paths.reduce((sum, path) => sum + statSync(join(folder, path)).size, 0)

test('all script of the console is under 250 kB over the wire', (t) => {
  for (const ending of ['.js.br', '.js.gz']) {
    const octets = sizeOf(assets.filter((path) => path.endsWith(ending)))
    t.diagnostic(`${ending} ${(octets / 1000).toFixed(1)} kB`)
    assert.ok(octets > 0 && octets < 250_000, `${ending} ${octets}`)
  }
})

test('what the first view needs is under 150 kB over the wire', (t) => {
  const page = readFileSync(join(folder, 'index.html'), 'utf8')
  const first = [...page.matchAll(/assets\/[\w.-]+/g)].map(([path]) => `${path}.br`)
  t.diagnostic(`${(sizeOf(first) / 1000).toFixed(1)} kB`)
  assert.ok(first.length >= 2 && sizeOf(first) < 150_000)
})

test('nothing in the page is inline, and nothing comes from elsewhere', () => {
  const page = readFileSync(join(folder, 'index.html'), 'utf8')
  assert.doesNotMatch(page, /<script(?![^>]* src=)|<style|\sstyle=|\son\w+=/)
  const loaded = [...page.matchAll(/<(?:script|link)[^>]* (?:src|href)="([^"]+)"/g)]
  for (const [, url = ''] of loaded) assert.match(url, /^(\/console\/assets\/|data:image)/)
})

test('each file of the console lies there compressed, too', () => {
  const plain = assets.filter((path) => /\.(js|css)$/.test(path))
  assert.ok(plain.length > 10)
  for (const path of plain) {
    for (const ending of ['.br', '.gz']) assert.ok(assets.includes(`${path}${ending}`), path)
  }
})
