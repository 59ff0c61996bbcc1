import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lists } from './contract.ts'
import { http, places } from './stock.ts'

for (const { id, path, members } of lists) {
  test(`${id} answers each member of its items alone`, async () => {
    const place = path.replace(/\{(\w+)\}/g, (_, name: string) => places[name] ?? '')
    const whole = await http.get(place).expect(200)
    assert.ok(whole.body.items.length > 1 && members.length > 2)
    const show = (item: object, names: readonly string[]) =>
      Object.fromEntries(Object.entries(item).filter(([name]) => names.includes(name)))
    for (const names of [...members.map((name) => [name]), members]) {
      const { body } = await http.get(`${place}?fields=${names.join(',')}`).expect(200)
      const shown = whole.body.items.map((item: object) => show(item, names))
      assert.deepEqual(body, { ...whole.body, items: shown })
    }
  })
}
