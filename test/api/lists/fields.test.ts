import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fits } from '../../support/contract.ts'
import { lists, type Media } from './contract.ts'
import { http, places } from './stock.ts'

/** An answer, held to what the contract has for its media type. */
async function read(url: string, answers: Readonly<Record<string, Media>>) {
  const { body, type } = await http.get(url).expect(200)
  const media = answers[type]
  assert.ok(media, `${url} is answered as ${type}`)
  fits(media.schema, body, url)
  return { body, type }
}

for (const { id, path, members, answers } of lists) {
  test(`${id} answers each member of its items alone, as the contract has it`, async () => {
    const place = path.replace(/\{(\w+)\}/g, (_, name: string) => places[name] ?? '')
    const whole = await read(place, answers)
    assert.equal(whole.type, 'application/json')
    assert.ok(whole.body.items.length > 1 && members.length > 2)
    const show = (item: object, names: readonly string[]) =>
      Object.fromEntries(Object.entries(item).filter(([name]) => names.includes(name)))
    for (const names of [...members.map((name) => [name]), members]) {
      const { body, type } = await read(`${place}?fields=${names.join(',')}`, answers)
      assert.equal(type, 'application/vnd.gatesmith.sparse+json')
      const shown = whole.body.items.map((item: object) => show(item, names))
      assert.deepEqual(body, { ...whole.body, items: shown })
    }
  })
}
